import math
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from slue_ner.data.corpora.survey import survey_audio
from slue_ner.data.loading.audio import AudioError, AudioInfo, is_silent, probe, read_audio


def noise(num_samples: int, num_channels: int = 1) -> np.ndarray:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (num_samples, num_channels))
    return samples.astype(np.float32)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(16_000), 16_000, subtype="PCM_16")
    return path


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def test_a_16_bit_sample_of_half_scale_is_read_as_one_half(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([0, 16_384, -32_768], np.int16), 16_000)
    waveform = read_audio(path)
    assert waveform.dtype == np.float32
    assert waveform.tolist() == [0.0, 0.5, -1.0]


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.tile([[0.5, -0.25]], (100, 1)), 16_000, subtype="FLOAT")
    assert read_audio(path) == pytest.approx(np.full(100, 0.125))
    assert probe(path) == AudioInfo(100, 16_000, 2)
    assert probe(path).converted


@pytest.mark.parametrize(
    ("rate", "num_channels", "num_frames", "num_samples"),
    [(8_000, 1, 4_000, 8_000), (44_100, 2, 44_100, 16_000), (16_000, 8, 1_000, 1_000)],
)
def test_telephone_stereo_and_array_recordings_are_accepted(
    tmp_path: Path, rate: int, num_channels: int, num_frames: int, num_samples: int
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(num_frames, num_channels), rate)
    assert probe(path) == AudioInfo(num_samples, rate, num_channels)
    assert read_audio(path).shape == (num_samples,)


def test_a_tone_keeps_its_pitch_and_loudness_when_resampled(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    seconds = np.arange(44_100) / 44_100
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 1_000 * seconds), 44_100, subtype="FLOAT")
    expected = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000)
    middle = slice(1_000, 15_000)  # the filter rings at both ends
    assert read_audio(path)[middle] == pytest.approx(expected[middle], abs=1e-3)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 16_001, 22_050, 44_100, 48_000, 96_000])
def test_the_header_tells_the_exact_number_of_samples_at_16_khz(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.wav"
    for num_frames in [4, 5, 6, 7, 11, 100, 101, 102, 999, 1_000, 1_001, 4_409, 4_410, 4_411]:
        soundfile.write(path, noise(num_frames), rate)
        nearest = math.floor(num_frames * 16_000 / rate + 0.5)
        assert len(read_audio(path)) == probe(path).num_samples == nearest


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3"])
def test_every_common_format_keeps_its_length(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    soundfile.write(path, noise(12_345), 16_000)
    assert probe(path) == AudioInfo(12_345, 16_000, 1)
    assert len(read_audio(path)) == 12_345


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"gone\.ogg: no such audio file"):
        probe(tmp_path / "gone.ogg")


def test_a_folder_is_not_audio(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="a folder, not an audio file"):
        probe(tmp_path)


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.touch()
    with pytest.raises(AudioError, match=r"a\.wav: empty file \(0 bytes\)"):
        probe(path)


def test_a_header_without_samples_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(0), 16_000)
    with pytest.raises(AudioError, match=r"a\.wav: zero samples"):
        probe(path)


@pytest.mark.parametrize("name", ["a.wav", "a.raw", "a.txt"])
def test_a_text_file_is_not_audio_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("<html>404 not found</html>")
    with pytest.raises(AudioError, match=r"not an audio file .* starts with b'<html>404"):
        read_audio(path)


def test_a_truncated_wav_is_recognised_by_its_header_alone(wav: Path) -> None:
    with pytest.raises(AudioError, match=r"a\.wav: truncated, 100 bytes are missing"):
        probe(cut(wav, 1 - 100 / wav.stat().st_size))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_truncated_ogg_is_recognised_by_its_last_page(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, noise(160_000), 16_000)
    with pytest.raises(AudioError, match=r"a\.ogg: truncated"):
        probe(cut(path, share))


def test_an_ogg_cut_inside_a_page_header_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, noise(160_000), 16_000)
    content = path.read_bytes()
    path.write_bytes(content[: content.rfind(b"OggS") + 10])
    with pytest.raises(AudioError, match=r"a\.ogg: truncated"):
        probe(path)


@pytest.mark.parametrize("extension", ["flac", "mp3"])
def test_a_truncated_flac_or_mp3_is_recognised_when_read(
    tmp_path: Path, extension: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"a.{extension}"
    soundfile.write(path, noise(16_000), 16_000)
    with pytest.raises(AudioError, match=rf"a\.{extension}: .*truncated"):
        read_audio(cut(path, 0.6))


def test_a_wav_written_to_a_pipe_has_no_length_and_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(1_000), 16_000, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    position = content.index(b"data") + 4
    content[position : position + 4] = struct.pack("<I", 0xFFFF_FFFF)
    path.write_bytes(content)
    assert len(read_audio(path)) == probe(path).num_samples == 1_000


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers_are_refused_with_their_time(
    tmp_path: Path, bad: float
) -> None:
    path = tmp_path / "a.wav"
    samples = noise(8_000, 2)
    samples[4_000, 1] = bad
    soundfile.write(path, samples, 8_000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav: holds NaN or infinite .* first at 0\.500s"):
        read_audio(path)


def test_silence_is_a_peak_below_minus_80_dbfs() -> None:
    assert is_silent(np.zeros(100, np.float32))
    assert is_silent(np.full(100, 0.99e-4, np.float32))
    assert not is_silent(np.array([0, 0, -1.01e-4], np.float32))


def test_a_survey_reports_converted_and_silent_files(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loud.wav", noise(800), 8_000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(800), 16_000)
    paths = {name: tmp_path / f"{name}.wav" for name in ("loud", "silent")}
    seen: list[tuple[int, int]] = []
    survey = survey_audio(paths, progress=lambda done, total: seen.append((done, total)))
    assert survey.num_converted == 1
    assert survey.silent == ("silent",)
    assert seen == [(1, 2), (2, 2)]
    converted, silent = survey.warnings()
    assert "1 of 2 audio files are not 16 kHz mono" in converted and "8000 Hz" in converted
    assert "1 of 2 audio files are silent" in silent and silent.endswith("silent")


def test_a_survey_keeps_the_reason_of_every_bad_file_beside_the_good_ones(
    tmp_path: Path, wav: Path
) -> None:
    survey = survey_audio({"good": wav, "gone": tmp_path / "gone.wav"})
    assert list(survey.infos) == ["good"]
    assert survey.unusable == {"gone": f"{tmp_path / 'gone.wav'}: no such audio file"}


def test_a_survey_without_one_good_file_counts_them_and_names_the_first_twenty(
    tmp_path: Path,
) -> None:
    paths = {f"u{i}": tmp_path / f"u{i}.wav" for i in range(23)}
    with pytest.raises(AudioError) as caught:
        survey_audio(paths)
    message = str(caught.value)
    assert message.startswith("23 of 23 audio files cannot be used:\n  u0: ")
    assert "  u19: " in message and "  u20: " not in message
    assert message.endswith("and 3 more")


def test_a_survey_of_headers_does_not_decode(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 16_000)
    assert survey_audio({"a": tmp_path / "a.wav"}, listen=False).silent == ()
