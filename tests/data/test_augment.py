from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slue_ner.data.loading import augment as module
from slue_ner.data.loading.augment import AugmentOptions, augment

NOTHING = AugmentOptions(speed=0.0, filter_prob=0.0, reverb_prob=0.0, noise_prob=0.0)
EVERYTHING = AugmentOptions(speed=0.15, filter_prob=1.0, reverb_prob=1.0, noise_prob=1.0)
EFFECTS = ("filter_prob", "reverb_prob", "noise_prob")
SEEDS = range(20)


def only(**changes: float) -> AugmentOptions:
    return dataclasses.replace(NOTHING, **changes)


def white(num_samples: int = 16_000, level: float = 0.05) -> np.ndarray:
    noise = np.random.default_rng(7).standard_normal(num_samples)
    return (level * noise).astype(np.float32)


def tone(hertz: float, num_samples: int = 16_000) -> np.ndarray:
    time = np.arange(num_samples) / 16_000
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def power(waveform: np.ndarray) -> float:
    return float(np.mean(np.square(waveform.astype(np.float64))))


def run(waveform: np.ndarray, options: AugmentOptions, seed: int = 0):
    return augment(waveform, options, np.random.default_rng(seed))


def test_no_effect_returns_the_very_samples():
    waveform = white()
    clean, changed = run(waveform, NOTHING)
    assert clean is waveform and changed is waveform
    assert not NOTHING.changes


@pytest.mark.parametrize("name", ["speed", *EFFECTS])
def test_every_single_effect_counts_as_a_change_and_is_heard(name):
    options = only(**{name: 0.1 if name == "speed" else 1.0})
    waveform = white()
    assert options.changes
    _, changed = run(waveform, options)
    assert len(changed) != len(waveform) or np.abs(changed - waveform).max() > 1e-4


@pytest.mark.parametrize("options", [only(**{name: 1.0}) for name in EFFECTS])
def test_without_a_change_of_speed_the_clean_audio_is_the_audio_itself(options):
    waveform = white()
    clean, changed = run(waveform, options)
    assert clean is waveform
    assert changed is not waveform
    np.testing.assert_array_equal(waveform, white())  # and nobody has written into it


@given(
    st.integers(400, 40_000),
    st.floats(0.0, 0.5),
    *(st.sampled_from([0.0, 0.5, 1.0]) for _ in EFFECTS),
    st.integers(0, 2**32),
)
@settings(max_examples=60)
def test_both_outputs_are_as_long_as_the_speed_says(
    num_samples, speed, filter_prob, reverb_prob, noise_prob, seed
):
    options = AugmentOptions(
        speed=speed, filter_prob=filter_prob, reverb_prob=reverb_prob, noise_prob=noise_prob
    )
    clean, changed = run(white(num_samples), options, seed)
    assert len(clean) == len(changed)
    # never shorter than the selection of training utterances reckons with
    assert int(num_samples / (1 + speed)) <= len(clean) <= num_samples / (1 - speed) + 1
    assert clean.dtype == changed.dtype == np.float32
    assert np.isfinite(changed).all() and np.abs(changed).max() <= 1.0


def test_faster_audio_is_shorter_and_higher_by_the_same_factor():
    lengths = set()
    for seed in SEEDS:
        clean, _ = run(tone(1_000.0), only(speed=0.3), seed)
        lengths.add(len(clean))
        hertz = np.abs(np.fft.rfft(clean)).argmax() * 16_000 / len(clean)
        # one second of 1000 Hz has 1000 periods at any speed
        assert hertz * len(clean) / 16_000 == pytest.approx(1_000.0, abs=1.0)
    assert len(lengths) > 15
    assert min(lengths) < 14_000 and max(lengths) > 19_000  # 12308 to 22857 are possible


def at_speed(waveform: np.ndarray, speed: float) -> np.ndarray:
    class Fixed:
        """Draws the speed that was asked for."""

        def uniform(self, low: float, high: float) -> float:
            return (speed - 1.0) / 0.5

        def random(self, size: int) -> np.ndarray:
            return np.ones(size)

    return augment(waveform, only(speed=0.5), Fixed())[0]  # type: ignore[arg-type]


@pytest.mark.parametrize("speed", [0.9, 0.95, 1.0001, 1.05, 1.1])
def test_another_speed_keeps_the_spectrum_flat_to_7_khz(speed):
    waveform = white(480_000)
    changed = at_speed(waveform, speed)
    assert len(changed) == round(480_000 / speed)

    def level(audio, low, high):
        """Mean power a hertz between two frequencies."""
        spectrum = np.square(np.abs(np.fft.rfft(audio))) / len(audio)
        hertz = np.linspace(0.0, 8_000.0, len(spectrum))
        return spectrum[(hertz > low) & (hertz < high)].mean()

    for low in (100, *range(1_000, 7_000, 500), 6_900):
        decibels = 10 * np.log10(level(changed, low, low + 100) / level(waveform, 0, 8_000))
        # the same power in a band that is 1.1 or 0.9 times as wide: -0.4 to 0.5 dB
        assert abs(decibels + 10 * np.log10(speed)) < 1.0, low


@pytest.mark.parametrize("speed", [0.9, 1.1])
@pytest.mark.parametrize("hertz", [300.0, 4_000.0, 6_300.0])
def test_a_tone_at_another_speed_keeps_its_loudness_and_has_no_image(speed, hertz):
    changed = at_speed(tone(hertz, 160_000), speed)[1_000:-1_000]
    spectrum = np.square(np.abs(np.fft.rfft(changed * np.hanning(len(changed)))))
    place = hertz * speed * len(changed) / 16_000
    assert spectrum.argmax() == pytest.approx(place, abs=1.5)
    near = slice(round(place) - 20, round(place) + 21)
    assert power(changed) == pytest.approx(0.125, rel=0.01)
    assert spectrum.sum() - spectrum[near].sum() < 1e-5 * spectrum.sum()


def test_what_would_lie_above_the_nyquist_frequency_is_cut():
    # 7.8 kHz would be 8.58 kHz at a speed of 1.1, and be heard at 7.42
    changed = at_speed(tone(7_800.0, 160_000), 1.1)[1_000:-1_000]
    assert power(changed) < 1e-6


def test_the_seed_alone_decides():
    one, same, other = (run(white(), EVERYTHING, seed) for seed in (1, 1, 2))
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(other[1]) != len(one[1])


@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_happens_to_its_share_of_the_utterances(name):
    waveform = white(800)
    hit = [run(waveform, only(**{name: 0.25}), seed)[1] is not waveform for seed in range(400)]
    assert 0.18 < np.mean(hit) < 0.32  # three standard deviations of 400 draws


def test_the_speed_of_an_utterance_does_not_depend_on_the_other_effects():
    for seed in SEEDS:
        clean, _ = run(white(), EVERYTHING, seed)
        alone, _ = run(white(), only(speed=0.15), seed)
        np.testing.assert_array_equal(clean, alone)


def test_noise_keeps_the_stated_distance_to_the_speech():
    decibels = []
    for seed in range(40):
        clean, noisy = run(tone(300.0), only(noise_prob=1.0), seed)
        if np.abs(noisy).max() < 1.0:  # nothing was scaled down
            decibels.append(10 * np.log10(power(clean) / power(noisy - clean)))
    assert len(decibels) > 20
    assert min(decibels) > 5.0 - 0.1 and max(decibels) < 35.0 + 0.1
    assert min(decibels) < 12.0 and max(decibels) > 28.0  # and the whole range is used


def test_loud_audio_with_noise_is_scaled_and_not_clipped():
    clean = np.sign(tone(300.0))  # at full scale throughout
    for seed in SEEDS:
        _, noisy = run(clean, only(noise_prob=1.0), seed)
        assert np.abs(noisy).max() == 1.0
        assert np.sum(np.abs(noisy) == 1.0) == 1


def test_a_filter_lets_nothing_pass_above_its_cut_off(monkeypatch):
    monkeypatch.setattr(module, "CUT_OFF", (4_000.0, 4_000.0))
    for seed in SEEDS:
        _, filtered = run(white(), only(filter_prob=1.0), seed)
        spectrum = np.square(np.abs(np.fft.rfft(filtered * np.hanning(len(filtered)))))
        hertz = np.linspace(0.0, 8_000.0, len(spectrum))
        assert spectrum[hertz > 4_020.0].sum() < 1e-4 * spectrum.sum()
        assert spectrum[(hertz > 3_900.0) & (hertz < 3_980.0)].mean() > 0.01 * spectrum.mean()


def test_filters_cut_off_within_the_stated_range():
    for seed in SEEDS:
        _, filtered = run(white(), only(filter_prob=1.0), seed)
        spectrum = np.square(np.abs(np.fft.rfft(filtered * np.hanning(len(filtered)))))
        bands = spectrum[:8_000].reshape(80, 100).sum(1)  # of 100 Hz
        heard = bands > 1e-4 * bands.max()
        assert heard[:29].all()  # nothing below 3 kHz is cut
        assert (np.diff(heard.astype(int)) <= 0).all()  # and nothing comes back above the cut


def test_reverberation_leaves_every_sound_where_it_was():
    waveform = white(8_000)
    for seed in SEEDS:
        clean, reverberant = run(waveform, only(reverb_prob=1.0), seed)
        size = 2 * len(clean)
        product = np.fft.rfft(reverberant, size) * np.conj(np.fft.rfft(clean, size))
        assert np.fft.irfft(product).argmax() == 0


def test_reverberation_outlasts_the_sound_and_does_not_come_before_it():
    click = np.zeros(16_000, np.float32)
    click[4_000] = 0.5
    for seed in SEEDS:
        _, reverberant = run(click, only(reverb_prob=1.0), seed)
        assert np.abs(reverberant[:4_000]).max() < 1e-6
        assert reverberant[4_000] == pytest.approx(0.5, abs=1e-5)
        tail = reverberant[4_001:]
        assert 1e-4 < power(tail) * len(tail) / 0.25 < 1.01  # -15 to 0 dB, some of it cut off
        assert np.abs(tail[9_600:]).max() < 1e-6  # over after 0.6 s


@pytest.mark.parametrize("num_samples", [400, 401, 16_000])
@pytest.mark.parametrize("level", [0.0, 1e-30, 1.0])
def test_silent_short_and_loud_audio_stay_finite(num_samples, level):
    waveform = np.full(num_samples, level, np.float32)
    for seed in SEEDS:
        for part in run(waveform, EVERYTHING, seed):
            assert np.isfinite(part).all()
            assert len(part) >= int(num_samples / 1.15)


def test_silence_stays_silent():
    _, changed = run(np.zeros(16_000, np.float32), EVERYTHING)
    assert np.abs(changed).max() < 1e-9


@pytest.mark.parametrize(
    ("name", "value", "most"),
    [("speed", 0.6, "0.5"), ("filter_prob", 1.1, "1"), ("noise_prob", -0.1, "1")],
)
def test_options_out_of_range_are_refused_by_name(name, value, most):
    with pytest.raises(ValueError, match=rf"augment.{name} must be in \[0, {most}\], got "):
        only(**{name: value})
