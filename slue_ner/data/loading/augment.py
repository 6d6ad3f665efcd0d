"""Make speech sound as if it had been recorded elsewhere: speed, filter, reverberation, noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from slue_ner.data.loading.audio import SAMPLE_RATE

Waveform = NDArray[np.float32]

REVERBERATION_TIME = (0.1, 0.6)
"""Seconds in which the room's answer falls by 60 dB."""

DIRECT_TO_REVERBERANT = (0.0, 15.0)
"""Decibels."""

GAIN_DEVIATION = 4.0
"""Decibels, standard deviation of the filter at its control points."""

CONTROL_POINTS = (0.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 8000.0)
"""Hertz; between them the gain in decibels is linear."""

CUT_OFF = (3_000.0, 8_000.0)
"""Hertz; above it a filter lets nothing pass."""

NOISE_SLOPE = (0.0, 2.0)
"""Power of the noise falls as ``frequency ** -slope``: white 0, pink 1, brown 2."""

SIGNAL_TO_NOISE = (5.0, 35.0)
"""Decibels."""

_RINGING = 1_024
"""Samples of silence behind the audio, so that its end does not ring into its start."""


@dataclass(kw_only=True)
class AugmentOptions:
    """What is done to training audio, drawn anew every epoch; all 0 for nothing.

    Attributes:
        speed: largest relative change of speed, in [0, 0.5]; pitch follows.
        filter_prob, reverb_prob, noise_prob: shares of the utterances, in [0, 1].
    """

    speed: float
    filter_prob: float
    reverb_prob: float
    noise_prob: float

    def __post_init__(self) -> None:
        for name, most in (
            ("speed", 0.5),
            ("filter_prob", 1.0),
            ("reverb_prob", 1.0),
            ("noise_prob", 1.0),
        ):
            if not 0.0 <= getattr(self, name) <= most:
                raise ValueError(f"augment.{name} must be in [0, {most:g}], got {self!r}")

    @property
    def changes(self) -> bool:
        """Whether anything is done at all."""
        return any((self.speed, self.filter_prob, self.reverb_prob, self.noise_prob))


def augment(
    waveform: Waveform, options: AugmentOptions, random: np.random.Generator
) -> tuple[Waveform, Waveform]:
    """One random recording of an utterance.

    Args:
        waveform: mono 16 kHz audio, ``(S,)``.
        options: what may be done.
        random: the only source of randomness.

    Returns:
        The audio at its new speed, ``(S',)``, and the same with filter, reverberation and noise;
        sample ``i`` of both was spoken at the same time.
    """
    # every draw is made whatever is done, so one probability does not change the other effects
    speed = 1.0 + options.speed * random.uniform(-1.0, 1.0)
    filtered, reverberant, noisy = random.random(3) < (
        options.filter_prob,
        options.reverb_prob,
        options.noise_prob,
    )
    clean = waveform
    if options.speed:
        clean = _at_speed(waveform, speed)
    if not (filtered or reverberant or noisy):
        return clean, clean
    num_bins = _fast_length(len(clean) + round(REVERBERATION_TIME[1] * SAMPLE_RATE)) // 2 + 1
    hertz = np.linspace(0.0, SAMPLE_RATE / 2, num_bins)
    spectrum = np.fft.rfft(clean, 2 * (num_bins - 1))
    if filtered:
        spectrum *= _filter(hertz, random)
    if reverberant:
        spectrum *= np.fft.rfft(_room(random), 2 * (num_bins - 1))
    changed = np.fft.irfft(spectrum)[: len(clean)]
    if noisy:
        noise = np.fft.irfft(_noise(hertz, random))[: len(clean)]
        ratio = 10.0 ** (random.uniform(*SIGNAL_TO_NOISE) / 20.0)
        changed += noise * (_level(changed) / (ratio * _level(noise)))
    loudest = max(1.0, float(np.abs(changed).max()))
    return clean, (changed / loudest).astype(np.float32)


def _at_speed(waveform: Waveform, speed: float) -> Waveform:
    """The audio at another speed, ``(round(S / speed),)``, with all of the band that there is.

    Its spectrum is stretched, and what would lie above the Nyquist frequency is cut. A filter
    (soxr's) that is as quick lets nothing pass of the uppermost tenth.
    """
    num_in, num_out = _transform_lengths(len(waveform) + _RINGING, speed)
    spectrum = np.fft.rfft(waveform, num_in)
    stretched = np.zeros(num_out // 2 + 1, spectrum.dtype)
    kept = min(len(spectrum), len(stretched))
    stretched[:kept] = spectrum[:kept]
    edge = kept // 50  # a steep end rings, so the last 2 % fade
    stretched[kept - edge : kept] *= np.cos(np.linspace(0.0, np.pi / 2, edge)) ** 2
    changed = np.fft.irfft(stretched, num_out)[: round(len(waveform) / speed)]
    return np.asarray(changed * (num_out / num_in), dtype=np.float32)


def _transform_lengths(num_samples: int, speed: float) -> tuple[int, int]:
    """Two lengths of quick transforms, the first a quarter above ``num_samples`` at most.

    Their ratio is ``speed`` to about 1e-4, a millisecond in ten seconds.
    """
    known = _smooth_numbers(2 ** (4 * num_samples).bit_length())
    first, stop = np.searchsorted(known, (num_samples, 1.25 * num_samples))
    ins = known[first:stop]
    above = np.searchsorted(known, ins / speed)
    outs = np.stack([known[above - 1], known[above]])
    errors = np.abs(np.log(outs * speed / ins))
    row, column = np.unravel_index(np.argmin(errors), errors.shape)
    return int(ins[column]), int(outs[row, column])


@cache
def _smooth_numbers(limit: int) -> NDArray[np.int64]:
    """Even numbers up to ``limit`` without a prime factor above 11."""
    found = np.array([2], dtype=np.int64)
    for prime in (2, 3, 5, 7, 11):
        powers = prime ** np.arange(int(np.log(limit) / np.log(prime)) + 1, dtype=np.int64)
        found = np.outer(found, powers).ravel()
        found = found[found <= limit]
    return np.sort(found)


def _filter(hertz: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    decibels = random.normal(0.0, GAIN_DEVIATION, len(CONTROL_POINTS))
    gain = 10.0 ** (np.interp(hertz, CONTROL_POINTS, decibels) / 20.0)
    return np.where(hertz <= random.uniform(*CUT_OFF), gain, 0.0)


def _room(random: np.random.Generator) -> NDArray[np.float64]:
    """Impulse response: the direct sound, then noise that dies away."""
    decay = random.uniform(*REVERBERATION_TIME)
    seconds = np.arange(1, round(decay * SAMPLE_RATE)) / SAMPLE_RATE
    tail = random.standard_normal(len(seconds)) * 10.0 ** (-3.0 * seconds / decay)
    ratio = 10.0 ** (-random.uniform(*DIRECT_TO_REVERBERANT) / 20.0)
    return np.concatenate([[1.0], tail * ratio / np.sqrt(np.square(tail).sum())])


def _noise(hertz: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.complex128]:
    parts = random.standard_normal((2, len(hertz)))
    # below 50 Hz the power stays as it is there
    slope = -0.5 * random.uniform(*NOISE_SLOPE)
    return np.asarray((parts[0] + 1j * parts[1]) * np.maximum(hertz, 50.0) ** slope)


def _level(waveform: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(waveform)))) + 1e-12


def _fast_length(length: int) -> int:
    """A multiple of 4096: numpy's transform is slow at lengths with large prime factors."""
    return -(-length // 4096) * 4096
