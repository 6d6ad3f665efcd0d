"""Audio files in, waveforms out: mono, float32, 16 kHz, whatever the file holds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from slue_ner.data.loading.streams import Stream, find_streams

SAMPLE_RATE = 16_000
"""Samples per second of every waveform in the program."""

SILENCE_PEAK = 1e-4
"""A waveform whose peak stays below this (-80 dBFS) holds no speech."""

LOWEST_RATE, HIGHEST_RATE = 1_000, 1_000_000
"""Sample rates, in hertz, that a header may name; others are those of damaged files."""

_EXACT = frozenset(
    ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
) | frozenset(("VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"))
"""Codecs of which libsndfile knows the length before it decodes them."""

_UNCHECKED = frozenset(("AVR", "MAT4", "MAT5", "MPC2K", "SDS", "SVX", "VOC", "XI"))
"""Formats of libsndfile that say how long they are, where nobody compares it with what is there."""

_UNKNOWN = 2**40
"""So many frames stand for a length that libsndfile does not know."""

_BLOCK = 2**20
"""Frames read at once where the length is not known."""


class AudioError(ValueError):
    """An audio file that cannot be used; the message names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What the header of a file says.

    Attributes:
        num_samples: length once read, at 16 kHz.
        sample_rate: of the file, before resampling.
    """

    num_samples: int
    sample_rate: int
    channels: int

    @property
    def converted(self) -> bool:
        """Whether reading has to resample or to average channels."""
        return self.sample_rate != SAMPLE_RATE or self.channels != 1


def probe(path: Path) -> AudioInfo:
    """The length of an audio file, by its headers where they can be trusted; about 1 ms.

    Flac, and codecs whose headers say little, are decoded.

    Raises:
        AudioError: for a file that is missing, empty, shorter than its header promises, or
            not audio.
    """
    path = Path(path)
    with _named_errors(path):
        lengths, rates, channels = zip(*(_length(s, path) for s in _streams(path)), strict=True)
        return _info(path, lengths, rates, channels)


def read_audio(path: Path) -> NDArray[np.float32]:
    """Read a file (wav, flac, ogg, mp3, ...) as ``(S,)`` float32 at 16 kHz.

    The length is what decodes, whatever the header says; of several streams in one file all are
    read. Channels are averaged. After resampling the waveform is cut or padded with zeros to
    exactly ``probe(path).num_samples``, the nearest whole number of samples (halves up).

    Raises:
        AudioError: as ``probe``, and for samples that are NaN or infinite.
    """
    return hear(path)[1]


def hear(path: Path) -> tuple[AudioInfo, NDArray[np.float32]]:
    """What ``probe`` and ``read_audio`` say, from one decoding."""
    path = Path(path)
    with _named_errors(path):
        parts = [_decoded(stream, path) for stream in _streams(path)]
        rates = [rate for _, rate in parts]
        channels = [samples.shape[1] for samples, _ in parts]
        info = _info(path, [len(samples) for samples, _ in parts], rates, channels)
        waveforms = [_mono(samples, rate, path) for samples, rate in parts]
        waveform = waveforms[0] if len(waveforms) == 1 else np.concatenate(waveforms)
        if info.sample_rate != SAMPLE_RATE:
            waveform = soxr.resample(waveform, info.sample_rate, SAMPLE_RATE)
            missing = info.num_samples - len(waveform)
            waveform = np.pad(waveform, (0, max(0, missing)))[: info.num_samples]
        return info, np.ascontiguousarray(waveform, dtype=np.float32)


def at_16_khz(num_frames: int, rate: int) -> int:
    """Samples that so many frames become once read, to the nearest (halves up)."""
    return (2 * num_frames * SAMPLE_RATE + rate) // (2 * rate)


def is_silent(waveform: NDArray[np.float32]) -> bool:
    """Whether the peak of a waveform stays below -80 dBFS."""
    return bool(np.abs(waveform).max(initial=0.0) < SILENCE_PEAK)


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Whatever goes wrong with a file is an error of that file, which its sentence names."""
    try:
        yield
    except AudioError:
        raise
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{path}: damaged, truncated or of an unknown codec ({_said(error)}); "
            "fetch it again, or convert it to 16-bit wav"
        ) from error
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, TypeError, RuntimeError, MemoryError) as error:
        raise AudioError(f"{path}: {error or type(error).__name__}") from error


def _said(error: soundfile.LibsndfileError) -> str:
    return str(error.error_string).removeprefix("Error : ").strip(" .")


def _streams(path: Path) -> list[Stream]:
    if not path.exists():
        raise AudioError(f"{path}: no such audio file")
    if not path.is_file():
        what = "a folder" if path.is_dir() else "a device or a pipe"
        raise AudioError(f"{path}: {what}, not an audio file")
    content = path.read_bytes()
    if not content:
        raise AudioError(f"{path}: empty file (0 bytes); fetch it again")
    streams = find_streams(content)
    if not streams:
        raise _no_samples(path)
    if [stream.content for stream in streams] == [content]:
        return [replace(streams[0], content=path)]
    return streams


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """A file read from its first frame to its last, without looking for the end in between."""

    def seekable(self) -> bool:
        return False


def _opened(stream: Stream, path: Path) -> _Sequential:
    source = stream.content
    try:
        file = _Sequential(_in_memory(source) if isinstance(source, bytes) else source)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: headerless .raw
        with path.open("rb") as opened:
            start = opened.read(16)
        raise AudioError(
            f"{path}: not an audio file of a known format (it starts with {start!r}); "
            "wav, flac, ogg and mp3 can be read"
        ) from error
    if file.format in _UNCHECKED:
        file.close()
        raise AudioError(
            f"{path}: a {file.format} file, whose length cannot be checked; convert it to wav"
        )
    if not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
        file.close()
        raise AudioError(
            f"{path}: its header says {file.samplerate} Hz, which is no sample rate of speech; "
            "fetch it again"
        )
    return file


def _in_memory(content: bytes) -> int:
    """A file with that content, which libsndfile closes.

    It reads these quicker than Python's bytes.
    """
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("audio")
    else:
        with TemporaryFile() as file:
            number = os.dup(file.fileno())
    with os.fdopen(number, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(number, 0, os.SEEK_SET)
    return number


def _length(stream: Stream, path: Path) -> tuple[int, int, int]:
    """Frames, sample rate and channels."""
    with _opened(stream, path) as file:
        if stream.expected is None and file.subtype in _EXACT:
            return file.frames, file.samplerate, file.channels
    samples, rate = _decoded(stream, path)
    return len(samples), rate, samples.shape[1]


def _decoded(stream: Stream, path: Path) -> tuple[NDArray[np.float32], int]:
    """All samples, ``(frames, channels)``, and their rate."""
    with _opened(stream, path) as file:
        known = file.frames < _UNKNOWN
        expected = stream.expected or (file.frames if known else 0)
        num_asked = file.frames if known else min(expected + 1, _BLOCK)
        parts = [file.read(num_asked, dtype="float32", always_2d=True)]
        while not known and len(parts[-1]) == num_asked:
            num_asked = _BLOCK
            parts.append(file.read(num_asked, dtype="float32", always_2d=True))
        rate = file.samplerate
    samples = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if len(samples) < expected:
        raise AudioError(
            f"{path}: truncated, its header promises {expected} frames but {len(samples)} can be "
            "read; fetch it again"
        )
    if stream.frames is not None:
        num_frames, filling = stream.frames
        if 0 <= len(samples) - num_frames <= filling:
            samples = samples[:num_frames]
    return samples, rate


def _mono(samples: NDArray[np.float32], rate: int, path: Path) -> NDArray[np.float32]:
    finite = np.isfinite(samples)
    if not finite.all():
        first = int(np.argmin(finite.all(axis=1)))
        raise AudioError(
            f"{path}: holds NaN or infinite samples, the first at "
            f"{first / rate:.3f}s; export it again, as 16-bit for instance"
        )
    waveform: NDArray[np.float32] = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    return waveform


def _info(
    path: Path, lengths: Sequence[int], rates: Sequence[int], channels: Sequence[int]
) -> AudioInfo:
    """What the streams of a file are together."""
    rate = rates[0]
    if set(rates) != {rate}:
        raise AudioError(
            f"{path}: holds streams of {' and '.join(map(str, sorted(set(rates))))} Hz; give "
            "each a file of its own"
        )
    num_samples = at_16_khz(sum(lengths), rate)
    if num_samples <= 0:
        raise _no_samples(path)
    return AudioInfo(num_samples, rate, max(channels))


def _no_samples(path: Path) -> AudioError:
    return AudioError(f"{path}: zero samples; fetch it again or leave it out")
