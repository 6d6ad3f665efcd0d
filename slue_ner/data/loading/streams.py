"""A file as streams that libsndfile reads from their first sample to their last.

Lengths are what decodes, not what a header claims; see ``containers`` and ``mpeg`` for what
libsndfile would believe. Of flac it believes the number of samples at the start, where 0 stands
for "not known"; of chained ogg and of flac behind flac it reads the first stream.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from slue_ner.data.loading.containers import find_samples, truncated
from slue_ner.data.loading.mpeg import is_mpeg, mpeg_streams, skip_tags

_FLAC = b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22"
"""What flac begins with: its name, and the head of STREAMINFO, the last block or not."""

_ID3 = b"ID3\4\0\0\0\0\0\x76" + bytes(118)
"""A tag that says nothing: libsndfile 1.2.2 opens mp3 by a descriptor only behind one."""

_BEGINS, _ENDS, _NUM_PAGE_HEAD = 2, 4, 27  # of an ogg page

_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of a file.

    Attributes:
        content: what libsndfile reads, bytes or a file.
        expected: frames that the file says are in it; ``None`` where libsndfile knows better.
        frames: as in ``Samples``.
    """

    content: bytes | Path
    expected: int | None = None
    frames: tuple[int, int] | None = None


def find_streams(content: bytes) -> list[Stream]:
    """The streams of a file, in order.

    Raises:
        ValueError: saying what is damaged, without the name of the file.
    """
    samples = find_samples(content)
    if samples is not None:
        streams: list[Stream] = []
        for found in samples:
            if found.mpeg:
                streams += _mpeg(content[found.start : found.start + found.size], content)
            else:
                streams.append(Stream(found.stream(content), frames=found.frames))
        return streams
    if content[:4] == b"OggS":
        return [Stream(link) for link in _links(content)]
    audio = content[skip_tags(content) :] if content[:3] == b"ID3" else content
    if audio.startswith(_FLAC):
        return _flac(audio)
    if is_mpeg(audio) or content[:3] == b"ID3":
        return _mpeg(audio, content)
    return [Stream(content)]


def _mpeg(content: bytes, whole: bytes) -> list[Stream]:
    """The streams of the mp3 ``content`` of a file, which is ``whole``."""
    found = mpeg_streams(content)
    return [Stream(whole)] if found == [whole] else [Stream(_ID3 + stream) for stream in found]


def _flac(content: bytes) -> list[Stream]:
    if content[-128:-125] == b"TAG":
        content = content[:-128]
    starts = sorted({place for start in _FLAC for place in _places(content, start)})
    return [
        _unmeasured(content[first:stop])
        for first, stop in zip(starts, [*starts[1:], len(content)], strict=True)
    ]


def _places(content: bytes, start: bytes) -> list[int]:
    places, place = [], content.find(start)
    while place >= 0:
        places.append(place)
        place = content.find(start, place + 1)
    return places


def _unmeasured(flac: bytes) -> Stream:
    """The stream with the number of samples (36 bits at byte 21) put to "not known"."""
    if len(flac) < 42:
        raise ValueError(truncated(42 - len(flac)))
    expected = int.from_bytes(flac[21:26], "big") & (2**36 - 1)
    content = flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]
    return Stream(content, expected)


def _links(content: bytes) -> list[bytes]:
    """The links of a chained ogg file: a new one begins where a stream begins behind pages."""
    starts, position, begins, flags = [0], 0, True, 0
    last: tuple[bytes, int] | None = None  # serial number and place in it of a page of audio
    while content.startswith(b"OggS", position):
        head = content[position : position + _NUM_PAGE_HEAD]
        if len(head) < _NUM_PAGE_HEAD:
            raise ValueError(truncated(_NUM_PAGE_HEAD - len(head)))
        flags = head[5]
        if flags & _BEGINS and not begins:
            starts.append(position)
        begins = bool(flags & _BEGINS)
        lengths = content[position + _NUM_PAGE_HEAD : position + _NUM_PAGE_HEAD + head[26]]
        first, position = position, position + _NUM_PAGE_HEAD + head[26] + sum(lengths)
        if position > len(content) or len(lengths) < head[26]:
            raise ValueError(truncated(max(1, position - len(content))))
        serial, (number, checksum) = head[14:18], struct.unpack("<II", head[18:26])
        if _checksum(content[first:position]) != checksum:
            raise ValueError(f"damaged, its ogg page at byte {first} is not sound; fetch it again")
        if last is not None and last[0] == serial and number > last[1] + 1:
            raise ValueError(
                f"damaged, {number - last[1] - 1} ogg pages are missing before byte {first}; "
                "fetch it again"
            )
        if head[6:14].strip(b"\0"):
            last = serial, number
    if not flags & _ENDS:  # RFC 3533, which all encoders obey: the last page says that it is
        raise ValueError("truncated, its last ogg page is not marked as such; fetch it again")
    if content.find(b"OggS", position) >= 0:
        raise ValueError(
            f"damaged, no ogg page where one should begin (byte {position}); fetch it again"
        )
    return [
        content[first:stop] for first, stop in zip(starts, [*starts[1:], len(content)], strict=True)
    ]


def _checksum(page: bytes) -> int:
    """CRC-32 of an ogg page, most significant bit first; zlib has it the other way round."""
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_MIRRORED)
    crc = zlib.crc32(mirrored, 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int.from_bytes(crc.to_bytes(4, "little").translate(_MIRRORED), "big")
