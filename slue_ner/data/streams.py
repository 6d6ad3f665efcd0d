"""A file as streams that libsndfile reads from their first sample to their last.

Lengths are what decodes, not what a header claims; see ``containers`` and ``mpeg`` for what
libsndfile would believe. Of flac it believes the number of samples at the start, where 0 stands
for "not known"; of chained ogg and of flac behind flac it reads the first stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slue_ner.data.containers import find_samples, truncated
from slue_ner.data.mpeg import is_mpeg, mpeg_streams, skip_tags

_FLAC = b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22"
"""What flac begins with: its name, and the head of STREAMINFO, the last block or not."""

_BEGINS, _NUM_PAGE_HEAD = 2, 27  # of an ogg page


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of a file.

    Attributes:
        content: what libsndfile reads, bytes or a file.
        promised: frames that the file says are in it; ``None`` where libsndfile knows better.
    """

    content: bytes | Path
    promised: int | None = None


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
                streams += _mpeg(content[found.start : found.start + found.size])
            else:
                streams.append(Stream(found.stream(content)))
        return streams
    if content[:4] == b"OggS":
        return [Stream(link) for link in _links(content)]
    audio = content[skip_tags(content) :] if content[:3] == b"ID3" else content
    if audio.startswith(_FLAC):
        return _flac(audio)
    if is_mpeg(audio) or content[:3] == b"ID3":
        return _mpeg(audio)
    return [Stream(content)]


def _mpeg(content: bytes) -> list[Stream]:
    return [Stream(stream) for stream in mpeg_streams(content)]


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
    promised = int.from_bytes(flac[21:26], "big") & (2**36 - 1)
    content = flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]
    return Stream(content, promised)


def _links(content: bytes) -> list[bytes]:
    """The links of a chained ogg file: a new one begins where a stream begins behind pages."""
    starts, position, begins = [0], 0, True
    while content.startswith(b"OggS", position):
        head = content[position : position + _NUM_PAGE_HEAD]
        if len(head) < _NUM_PAGE_HEAD:
            raise ValueError(truncated(_NUM_PAGE_HEAD - len(head)))
        if head[5] & _BEGINS and not begins:
            starts.append(position)
        begins = bool(head[5] & _BEGINS)
        lengths = content[position + _NUM_PAGE_HEAD : position + _NUM_PAGE_HEAD + head[26]]
        position += _NUM_PAGE_HEAD + head[26] + sum(lengths)
        if position > len(content) or len(lengths) < head[26]:
            raise ValueError(truncated(max(1, position - len(content))))
    if content.find(b"OggS", position) >= 0:
        raise ValueError(f"damaged, no ogg page where one should begin (byte {position})")
    return [
        content[first:stop]
        for first, stop in zip(starts, [*starts[1:], len(content)], strict=True)
    ]
