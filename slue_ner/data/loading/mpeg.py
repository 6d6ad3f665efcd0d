"""The frames of an mp3 file, counted: what its index says may be wrong, or missing.

mpg123, which libsndfile reads mp3 with, takes the number of samples from the index in the first
frame (Xing, Info or VBRI), guesses it from the first bit rate where there is none, and reads the
first stream of two. So every stream gets an index that is true.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from slue_ner.data.loading.containers import truncated

_KBPS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates by version (2 for 2.5 as well) and layer, ISO/IEC 11172-3 and 13818-3."""

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
"""Sample rates by the two bits of the version."""

_LONGEST = 2_881
"""Bytes of the longest frame; a file cut out of a stream begins with less than one."""

_ENDS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")
"""What tags begin with that may stand behind the frames."""


@dataclass(frozen=True, slots=True)
class _Header:
    """The four bytes that every frame begins with."""

    version: int
    layer: int
    rate: int
    num_bytes: int
    mono: bool

    @property
    def index_at(self) -> int:
        """Where a Xing index stands in the frame: behind the side information."""
        if self.version == 1:
            return 4 + (17 if self.mono else 32)
        return 4 + (9 if self.mono else 17)


def is_mpeg(content: bytes, position: int = 0) -> bool:
    """Whether an MPEG audio frame begins there that another one or the end follows."""
    header = _header(content, position)
    if header is None:
        return False
    after = position + header.num_bytes
    return len(content) <= after or _header(content, after) is not None


def skip_tags(content: bytes) -> int:
    """Where the audio begins: behind the ID3v2 tags at the start."""
    first = 0
    while content.startswith(b"ID3", first) and len(content) >= first + 10:
        size = 0
        for byte in content[first + 6 : first + 10]:
            size = size << 7 | byte & 0x7F
        first += 10 + size + (10 if content[first + 5] & 0x10 else 0)
    return first


def mpeg_streams(content: bytes) -> list[bytes]:
    """The streams of an mp3 file, in order, each behind an index that counts its frames.

    Raises:
        ValueError: when the last frame is cut short, frames are missing that an index counts, or
            something between the frames is none.
    """
    starts: list[list[tuple[int, _Header]]] = []  # the frames of every stream
    position = _first_frame(content)
    kind = None
    while position < len(content):
        header = _header(content, position)
        if header is None:
            if content.startswith(b"ID3", position):
                position += skip_tags(content[position:])
                kind = None
                continue
            rest = content[position:]
            if rest.startswith(_ENDS) or not rest.strip(b"\0"):
                break
            raise ValueError(
                f"damaged, no mp3 frame where one should begin (byte {position}); fetch it again"
            )
        if position + header.num_bytes > len(content):
            raise ValueError(truncated(position + header.num_bytes - len(content)))
        if kind != _kind(header) or _index(content, position, header):
            starts.append([])
        kind = _kind(header)
        starts[-1].append((position, header))
        position += header.num_bytes
    return [stream for frames in starts if (stream := _stream(content, frames))]


def _header(content: bytes, position: int) -> _Header | None:
    return _parsed(content[position : position + 4])


@lru_cache(maxsize=4096)
def _parsed(four: bytes) -> _Header | None:
    if len(four) < 4 or four[0] != 0xFF or four[1] & 0xE0 != 0xE0:
        return None
    bits, layer = four[1] >> 3 & 3, 4 - (four[1] >> 1 & 3)
    kbps, rate = four[2] >> 4, four[2] >> 2 & 3
    if bits == 1 or layer == 4 or kbps in (0, 15) or rate == 3:
        return None
    version = 1 if bits == 3 else 2
    hertz = _RATES[bits][rate]
    bits_per_second = 1000 * _KBPS[version, layer][kbps - 1]
    padding = four[2] >> 1 & 1
    if layer == 1:
        num_bytes = (12 * bits_per_second // hertz + padding) * 4
    else:
        num_samples = 576 if (version, layer) == (2, 3) else 1152
        num_bytes = num_samples // 8 * bits_per_second // hertz + padding
    return _Header(version, layer, hertz, num_bytes, mono=four[3] >> 6 == 3)


def _kind(header: _Header) -> tuple[int, int, int]:
    return header.version, header.layer, header.rate


def _first_frame(content: bytes) -> int:
    """Where frames begin; what precedes the first one is no more than a part of a frame."""
    tags = skip_tags(content)
    for position in range(tags, min(tags + _LONGEST, len(content))):
        if content[position] == 0xFF and is_mpeg(content, position):
            return position
    raise ValueError("damaged, no mp3 frame in it; fetch it again")


def _index(content: bytes, position: int, header: _Header) -> bytes | None:
    """What the index in a frame begins with; ``None`` for a frame of audio."""
    if header.layer != 3 or not any(
        content.find(name, position, position + 48) >= 0 for name in (b"Xing", b"Info", b"VBRI")
    ):
        return None
    for name, place in ((b"Xing", header.index_at), (b"Info", header.index_at), (b"VBRI", 36)):
        for crc in (0, 2):
            if content.startswith(name, position + place + crc):
                return name
    return None


def _stream(content: bytes, frames: list[tuple[int, _Header]]) -> bytes:
    (first, header), stop = frames[0], frames[-1][0] + frames[-1][1].num_bytes
    name = _index(content, first, header)
    if name is None:
        return _with_index(content[first:stop], header, len(frames))
    num_frames = len(frames) - 1
    place = first + 36 + 14 if name == b"VBRI" else content.index(name, first) + 8
    flags = 0 if name == b"VBRI" else content[place - 1]
    if name == b"VBRI" or flags & 1:
        promised = int.from_bytes(content[place : place + 4], "big")
        if promised > num_frames + 1:  # some writers count the index itself
            raise ValueError(
                f"truncated, its index counts {promised} mp3 frames but {num_frames} are there; "
                "fetch it again"
            )
    if num_frames == 0:
        return b""
    if not flags & 1:
        return _with_index(content[frames[1][0] : stop], frames[1][1], num_frames)
    told = struct.pack(">I", num_frames)
    if flags & 2:
        told += struct.pack(">I", stop - first)
    return content[first:place] + told + content[place + len(told) : stop]


def _with_index(audio: bytes, header: _Header, num_frames: int) -> bytes:
    """Frames of layer 3 behind an index made for them; others as they are."""
    if header.layer != 3:
        return audio
    kbps = 8 << 4  # 112 or 64, room enough for the index
    four = bytes([0xFF, audio[1] | 1, kbps | audio[2] & 0x0D, audio[3]])
    made = _header(four, 0)
    assert made is not None
    index = b"Info" + struct.pack(">III", 3, num_frames, len(audio) + made.num_bytes)
    frame = four + bytes(made.index_at - 4) + index
    return frame + bytes(made.num_bytes - len(frame)) + audio
