"""The length of audio is what decodes, whatever the header says."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from slue_ner.data.corpora.survey import survey_audio
from slue_ner.data.loading.audio import AudioError, probe, read_audio

A = np.random.default_rng(0).uniform(-0.5, 0.5, 20_000).astype(np.float32)
B = np.random.default_rng(1).uniform(-0.5, 0.5, 30_000).astype(np.float32)

PLACEHOLDERS = [
    *(0, 10**9, 2 * 10**9, 10**9 - 36, 2**30, 2**31, 0x7FFF_F000, 0x7FFF_FFFF - 36),
    *(0xFFFF_FFFF, 0xFFFF_FFFF - 36),
]


def encoded(samples: np.ndarray, kind: str, rate: int = 16_000, **options: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, **options)
    return buffer.getvalue()


def put(content: bytes, place: int, layout: str, value: int) -> bytes:
    field = struct.pack(layout, value)
    return content[:place] + field + content[place + len(field) :]


def length(folder: Path, content: bytes, name: str = "a.audio") -> int:
    """The length by headers, which reading must confirm."""
    path = folder / name
    path.write_bytes(content)
    num_samples = probe(path).num_samples
    assert len(read_audio(path)) == num_samples
    return num_samples


def refusal(folder: Path, content: bytes) -> str:
    """What reading says of a file, and that looking at its headers says the same."""
    path = folder / "a.audio"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"a\.audio: ") as by_header:
        probe(path)
    with pytest.raises(AudioError, match=r"a\.audio: ") as by_decoding:
        read_audio(path)
    assert str(by_header.value) == str(by_decoding.value)
    return str(by_decoding.value)


WAV = encoded(A, "WAV", subtype="PCM_16")
SIZE = WAV.index(b"data") + 4
FLAC = encoded(A, "FLAC")
OGG = encoded(A, "OGG")
MP3 = encoded(A, "MP3")


def flac_of(num_samples: int) -> bytes:
    """The number of samples is a field of 36 bits that ends at byte 26."""
    high = FLAC[21] & 0xF0 | num_samples >> 32
    return FLAC[:21] + bytes([high]) + struct.pack(">I", num_samples % 2**32) + FLAC[26:]


@pytest.mark.parametrize("size", PLACEHOLDERS)
def test_a_wav_whose_size_is_a_placeholder_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    assert length(tmp_path, put(WAV, SIZE, "<I", size)) == 20_000


@pytest.mark.parametrize(
    ("kind", "name", "layout", "sizes"),
    [
        ("AIFF", b"SSND", ">I", (0, 10**9, 0xFFFF_FFFF)),
        ("AU", b".snd\0\0\0\x18", ">I", (0, 10**9, 0xFFFF_FFFF)),
        ("CAF", b"data", ">q", (-1, 0, 10**9)),
        ("RF64", b"ds64\x1c\0\0\0" + struct.pack("<Q", 40_096), "<Q", (0, 10**9, 2**62)),
        ("W64", bytes.fromhex("64617461f3acd3118cd100c04f8edb8a"), "<Q", (0, 10**9, 2**62)),
    ],
)
def test_so_is_every_other_container(
    tmp_path: Path, kind: str, name: bytes, layout: str, sizes: tuple[int, ...]
) -> None:
    content = encoded(A, kind, subtype="PCM_16")
    place = content.index(name) + len(name)
    for size in sizes:
        assert length(tmp_path, put(content, place, layout, size)) == 20_000


@pytest.mark.parametrize("share", [0.5, 0.8])
@pytest.mark.parametrize("tail", ["sound", "silence"])
def test_a_size_smaller_than_what_follows_is_refused_with_both_numbers(
    tmp_path: Path, share: float, tail: str
) -> None:
    samples = np.where(np.arange(20_000) < 20_000 * share, A, 0.0) if tail == "silence" else A
    content = encoded(samples, "WAV", subtype="PCM_16")
    said = refusal(tmp_path, put(content, SIZE, "<I", int(share * 40_000)))
    if share == 0.5:
        assert "promises 20000 bytes of samples, but 20000 more follow" in said


def test_a_size_of_nothing_before_another_chunk_is_no_placeholder(tmp_path: Path) -> None:
    notes = b"LIST" + struct.pack("<I", 4) + b"INFO"
    assert "zero samples" in refusal(tmp_path, put(WAV[: SIZE + 4], SIZE, "<I", 0) + notes)


@pytest.mark.parametrize("tail", [b"LIST\x0a\0\0\0INFOabcdef", b"TAG" + bytes(125), bytes(512)])
def test_chunks_tags_and_padding_may_follow_the_samples(tmp_path: Path, tail: bytes) -> None:
    assert length(tmp_path, WAV + tail) == 20_000


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        *(("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "ULAW"), ("RF64", "PCM_16")),
        *(("W64", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "ULAW"), ("CAF", "ALAC_16")),
        *(("NIST", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")),
        ("MP3", "MPEG_LAYER_III"),
    ],
)
def test_two_streams_in_one_file_are_both_read(tmp_path: Path, kind: str, subtype: str) -> None:
    first, second = (encoded(samples, kind, subtype=subtype) for samples in (A, B))
    assert length(tmp_path, first) == 20_000
    alone = read_audio(tmp_path / "a.audio")
    assert length(tmp_path, first + second) == 50_000
    np.testing.assert_array_equal(read_audio(tmp_path / "a.audio")[:20_000], alone)


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3", "WAV"])
def test_streams_of_different_rates_are_refused(tmp_path: Path, kind: str) -> None:
    said = refusal(tmp_path, encoded(A, kind) + encoded(A, kind, rate=44_100))
    assert "streams of 16000 and 44100 Hz" in said


@pytest.mark.parametrize(
    "kind", ["WAV", "RF64", "W64", "AIFF", "AU", "CAF", "NIST", "OGG", "FLAC", "MP3"]
)
def test_what_is_cut_short_is_refused_whatever_the_container(tmp_path: Path, kind: str) -> None:
    content = encoded(A, kind)
    assert "truncated" in refusal(tmp_path, content[: len(content) * 6 // 10])


@pytest.mark.parametrize("num_samples", [0, 1, 10_000, 19_999])
def test_flac_is_read_to_its_end_whatever_number_of_samples_it_names(
    tmp_path: Path, num_samples: int
) -> None:
    assert length(tmp_path, flac_of(num_samples)) == 20_000


def test_flac_with_fewer_samples_than_it_names_is_truncated(tmp_path: Path) -> None:
    said = refusal(tmp_path, flac_of(40_000))
    assert "promises 40000 frames but 20000 can be read" in said
    assert "truncated" in refusal(tmp_path, flac_of(0)[:-100])


def test_flac_of_unknown_length_survives_another_flac_behind_it(tmp_path: Path) -> None:
    assert length(tmp_path, flac_of(0) + flac_of(0)) == 40_000


def test_ogg_without_a_page_in_its_middle_is_damaged(tmp_path: Path) -> None:
    content = encoded(np.tile(A, 8), "OGG")
    pages = [i for i in range(len(content)) if content.startswith(b"OggS", i)]
    without = content[: pages[5]] + content[pages[6] :]
    assert "1 ogg pages are missing" in refusal(tmp_path, without)
    flipped = bytearray(content)
    flipped[pages[5] + 300] ^= 1
    assert "ogg page at byte" in refusal(tmp_path, bytes(flipped))
    assert "truncated" in refusal(tmp_path, content[: pages[6]])


def mp3_index(content: bytes) -> int:
    """Where the index counts its frames: 4 bytes behind its name and its flags."""
    return max(content.find(b"Xing"), content.find(b"Info")) + 8


def without_index(content: bytes) -> bytes:
    """The frames behind the first one, which is the index; all begin with the same two bytes."""
    return content[content.index(content[:2], 4) :]


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("num_frames", [0, 1, 20])
def test_mp3_is_read_to_its_end_whatever_its_index_counts(
    tmp_path: Path, mode: str, num_frames: int, capfd: pytest.CaptureFixture[str]
) -> None:
    content = encoded(A, "MP3", bitrate_mode=mode)
    assert length(tmp_path, put(content, mp3_index(content), ">I", num_frames)) == 20_000
    assert capfd.readouterr().err == ""  # nor does mpg123 say anything


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100])
@pytest.mark.parametrize("num_channels", [1, 2])
def test_mp3_of_variable_rate_without_an_index_is_read_to_its_end(
    tmp_path: Path, rate: int, num_channels: int
) -> None:
    quiet_then_loud = np.concatenate([0.01 * A[: 2 * rate], A, A, A])
    samples = np.tile(quiet_then_loud[:, None], (1, num_channels))
    content = encoded(samples, "MP3", rate=rate, bitrate_mode="VARIABLE")
    whole = length(tmp_path, content)
    # the frames hold the encoder's delay and padding as well, three frames at most
    assert 0 <= length(tmp_path, without_index(content)) - whole < 3 * 1_152 * 16_000 / rate


def test_mp3_with_fewer_frames_than_its_index_counts_is_truncated(tmp_path: Path) -> None:
    assert "counts 80 mp3 frames" in refusal(tmp_path, put(MP3, mp3_index(MP3), ">I", 80))


def test_mp3_with_a_hole_is_damaged(tmp_path: Path) -> None:
    middle = len(MP3) // 2
    assert "no mp3 frame where one should begin" in refusal(
        tmp_path, MP3[:middle] + bytes(700) + MP3[middle:]
    )


def test_mp3_is_known_between_tags_and_in_a_wav(tmp_path: Path) -> None:
    tag = b"ID3\4\0\0\0\0\0\x76" + bytes(118)
    assert length(tmp_path, tag + MP3 + b"TAG" + bytes(125)) == 20_000
    layout = struct.pack("<4sIHHIIHHH", b"fmt ", 18, 0x55, 1, 16_000, 4_000, 1, 0, 0)
    chunks = b"WAVE" + layout + struct.pack("<4sI", b"data", len(MP3)) + MP3
    assert length(tmp_path, b"RIFF" + struct.pack("<I", len(chunks)) + chunks) == 20_000


@pytest.mark.parametrize(
    ("kind", "subtype", "block"),
    [
        *(("WAV", "ULAW", 1), ("WAV", "ALAW", 1), ("WAV", "MS_ADPCM", 1), ("WAV", "GSM610", 1)),
        # these do not say how many samples of their last block are filling
        *(("WAV", "IMA_ADPCM", 505), ("AIFF", "GSM610", 160), ("AIFF", "IMA_ADPCM", 64)),
        *(("WAV", "G721_32", 120), ("AU", "G723_24", 120)),
    ],
)
def test_telephone_codecs_are_read(tmp_path: Path, kind: str, subtype: str, block: int) -> None:
    num_samples = length(tmp_path, encoded(A, kind, subtype=subtype))
    assert 20_000 <= num_samples < 20_000 + block


def test_gsm_with_a_placeholder_is_read_to_its_end(tmp_path: Path) -> None:
    content = encoded(A, "WAV", subtype="GSM610")
    assert length(tmp_path, put(content, content.index(b"data") + 4, "<I", 10**9)) == 20_000
    unknown = put(content, content.index(b"fact") + 8, "<I", 0)
    assert length(tmp_path, unknown) == 20_480  # 64 blocks of 320


def test_a_format_whose_length_nobody_can_check_is_refused_by_name(tmp_path: Path) -> None:
    assert "a VOC file, whose length cannot be checked" in refusal(tmp_path, encoded(A, "VOC"))


def test_a_sample_rate_of_no_speech_is_refused(tmp_path: Path) -> None:
    assert "its header says 3 Hz" in refusal(tmp_path, put(WAV, 24, "<I", 3))


@pytest.mark.parametrize(
    "start", [b"\x1aE\xdf\xa3", b"\0\0\0\x20ftypM4A ", b"#!AMR\n", b"\xff\xfb"]
)
def test_what_is_not_read_at_all_is_refused_by_name(tmp_path: Path, start: bytes) -> None:
    refusal(tmp_path, start + np.random.default_rng(0).bytes(3_000))


def test_a_survey_by_headers_finds_the_same_lengths_as_one_that_listens(tmp_path: Path) -> None:
    contents = {"wav": put(WAV, SIZE, "<I", 0), "flac": flac_of(0), "ogg": OGG + OGG, "mp3": MP3}
    paths = {name: tmp_path / f"a.{name}" for name in contents}
    for name, content in contents.items():
        paths[name].write_bytes(content)
    headers, heard = (survey_audio(paths, listen=listen).infos for listen in (False, True))
    assert headers == heard
    assert [info.num_samples for info in heard.values()] == [20_000, 20_000, 40_000, 20_000]
