"""Audio files in, waveforms out: mono, float32, 16 kHz, whatever the file holds."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples per second of every waveform in the program."""

SILENCE_PEAK = 1e-4
"""A waveform whose peak stays below this (-80 dBFS) holds no speech."""

_STREAMED = 0x7FFF_0000  # writers that cannot seek back leave a size of about 2 or 4 GiB


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
    """Read the header of an audio file; about 1 ms.

    Raises:
        AudioError: for a file that is missing, empty, shorter than its header promises, or
            not audio.
    """
    path = Path(path)
    with _opened(path) as file:
        return _info(path, file)


def read_audio(path: Path) -> NDArray[np.float32]:
    """Read a file (wav, flac, ogg, mp3, ...) as ``(S,)`` float32 at 16 kHz.

    Channels are averaged. After resampling the waveform is cut or padded with zeros to
    exactly ``probe(path).num_samples``, the nearest whole number of samples (halves up).

    Raises:
        AudioError: as ``probe``, and for samples that are NaN or infinite.
    """
    path = Path(path)
    with _opened(path) as file:
        info = _info(path, file)
        promised = file.frames
        try:
            samples = file.read(dtype="float32", always_2d=True)  # (frames, channels)
        except soundfile.LibsndfileError as error:
            raise AudioError(
                f"{path}: damaged or truncated ({error.error_string}); fetch it again"
            ) from error
    if len(samples) < promised:
        raise AudioError(
            f"{path}: truncated, its header promises {promised} frames but {len(samples)} can be "
            "read; fetch it again"
        )
    finite = np.isfinite(samples)
    if not finite.all():
        first = int(np.argmin(finite.all(axis=1)))
        raise AudioError(
            f"{path}: holds NaN or infinite samples, the first at "
            f"{first / info.sample_rate:.3f}s; export it again, as 16-bit for instance"
        )
    waveform = samples[:, 0] if info.channels == 1 else samples.mean(axis=1)
    if info.sample_rate != SAMPLE_RATE:
        waveform = soxr.resample(waveform, info.sample_rate, SAMPLE_RATE)
        missing = info.num_samples - len(waveform)
        waveform = np.pad(waveform, (0, missing)) if missing > 0 else waveform[: info.num_samples]
    return np.ascontiguousarray(waveform, dtype=np.float32)


def is_silent(waveform: NDArray[np.float32]) -> bool:
    """Whether the peak of a waveform stays below -80 dBFS."""
    return bool(np.abs(waveform).max(initial=0.0) < SILENCE_PEAK)


def _opened(path: Path) -> soundfile.SoundFile:
    if not path.exists():
        raise AudioError(f"{path}: no such audio file")
    if not path.is_file():
        raise AudioError(f"{path}: a folder, not an audio file")
    try:
        if path.stat().st_size == 0:
            raise AudioError(f"{path}: empty file (0 bytes); fetch it again")
        with path.open("rb") as file:
            missing = _missing_bytes(file)
            file.seek(0)
            start = file.read(16)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror})") from error
    if missing > 0:
        raise AudioError(
            f"{path}: truncated, {missing} bytes are missing at its end; fetch it again"
        )
    try:
        return soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: headerless .raw
        raise AudioError(
            f"{path}: not an audio file of a known format (it starts with {start!r}); "
            "wav, flac, ogg and mp3 can be read"
        ) from error


def _info(path: Path, file: soundfile.SoundFile) -> AudioInfo:
    num_samples = (2 * file.frames * SAMPLE_RATE + file.samplerate) // (2 * file.samplerate)
    if num_samples <= 0:
        raise AudioError(f"{path}: zero samples; fetch it again or leave it out")
    return AudioInfo(num_samples, file.samplerate, file.channels)


def _missing_bytes(file: BinaryIO) -> int:
    """Bytes that a wav or ogg file promises beyond its end.

    libsndfile opens such a file without a word, as a shorter one.
    """
    size = file.seek(0, 2)
    file.seek(0)
    start = file.read(12)
    if start[:4] == b"RIFF" and start[8:] == b"WAVE":
        return _promised_by_riff(file) - size
    if start[:4] == b"OggS":
        return _promised_by_ogg(file, size) - size
    return 0


def _promised_by_riff(file: BinaryIO) -> int:
    position = 12
    while True:
        file.seek(position)
        header = file.read(8)
        if len(header) < 8:
            return position
        name, length = struct.unpack("<4sI", header)
        if name == b"data":
            return 0 if length >= _STREAMED else position + 8 + length
        position += 8 + length + length % 2


def _promised_by_ogg(file: BinaryIO, size: int) -> int:
    longest_page = 27 + 255 + 255 * 255
    first = max(0, size - longest_page)
    file.seek(first)
    tail = file.read()
    page = tail.rfind(b"OggS")
    if page < 0:  # something long follows the last page, which is therefore whole
        return 0
    header = tail[page : page + 27]
    if len(header) < 27:
        return first + page + 27
    lengths = tail[page + 27 : page + 27 + header[26]]
    return first + page + 27 + header[26] + sum(lengths)
