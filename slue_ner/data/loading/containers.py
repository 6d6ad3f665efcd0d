"""Where the samples of a wav, aiff, w64, caf, au or sphere file are, by its bytes, not its claims.

libsndfile trusts the size in the header: it opens a file that is cut short as a shorter one, a
file whose writer could not seek back (and left a placeholder) as an empty one, and of two files
in one it reads the first.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

_STREAMED = 0x7FFF_0000
"""Sizes from here on are placeholders: writers that cannot seek back leave about 2 or 4 GiB."""

_ROUND = 1_000_000
"""Multiples of it are placeholders too, if large: 10^9, 2 * 10^9, with or without a header; and
so are powers of two."""

_MPEG_TAGS = (0x50, 0x55)
"""Formats of wav whose samples are an mp3 stream."""

_BLOCK_TAGS = (0x02, 0x11, 0x31)
"""MS ADPCM, IMA ADPCM and GSM 06.10, which say how many samples are in a block."""

_NUM_TAG = 128
"""Bytes of an ID3 tag at the end of a file, which begins with TAG."""

_PADDING = 4096
"""So many zeros may follow everything else."""

_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")

_SAMPLES = (b"data", b"SSND", _W64_DATA)
"""Names of chunks with samples; a stream has one of them."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of one stream in a file.

    Attributes:
        start, size: where they are, in bytes.
        first, stop: bytes of their stream, header included.
        place, told: where the header says their size, and the bytes that say it truly.
        mpeg: whether they are an mp3 stream.
        frames: how many of them there are, and how many more may fill the last block; of codecs
            of wav that write in blocks.
    """

    start: int
    size: int
    first: int
    stop: int
    place: int
    told: bytes
    mpeg: bool
    frames: tuple[int, int] | None

    def stream(self, content: bytes) -> bytes:
        """The stream alone, with a header that is true; the file's own bytes if they are that."""
        after = self.place + len(self.told)
        whole = (self.first, self.stop) == (0, len(content))
        if whole and content[self.place : after] == self.told:
            return content
        return content[self.first : self.place] + self.told + content[after : self.stop]


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a header says: bytes of samples from ``start`` on, in the field at ``place``, if any."""

    start: int
    size: int
    place: int
    field: str
    beside: int = 0  # bytes that the field counts beside the samples
    mpeg: bool = False
    frames: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class _Chunks:
    """How a container names its chunks: ``field`` is the size, ``own`` if it counts the head."""

    num_name: int
    field: str
    align: int = 1
    own: bool = False

    @property
    def num_head(self) -> int:
        return self.num_name + struct.calcsize(self.field)

    def read(self, content: bytes, position: int) -> tuple[bytes, int]:
        """Name and size of the body of the chunk at ``position``.

        Raises:
            ValueError: when the file ends there.
        """
        name = content[position : position + self.num_name]
        field = content[position + self.num_name : position + self.num_head]
        if len(name) + len(field) < self.num_head:
            raise ValueError(truncated(position + self.num_head - len(content)))
        (size,) = struct.unpack(self.field, field)
        return name, size - (self.num_head if self.own else 0)

    def after(self, position: int, size: int, first: int) -> int:
        """Where the chunk behind the one at ``position`` begins, in a stream from ``first`` on."""
        end = position + self.num_head + size - first
        return first + end + -end % self.align


_RIFF = _Chunks(4, "<I", align=2)
_RIFX = _Chunks(4, ">I", align=2)
_W64 = _Chunks(16, "<Q", align=8, own=True)
_CAF = _Chunks(4, ">q")


def find_samples(content: bytes) -> list[Samples] | None:
    """The streams of a file, in order; ``None`` for a container of another kind.

    Raises:
        ValueError: when the file is shorter than it promises, or something follows its samples
            that is neither a chunk nor another stream.
    """
    streams: list[Samples] = []
    first = 0
    while first < len(content):
        found = _reader(content, first)
        if found is None:
            break
        chunks, read = found
        streams.append(_settled(content, first, read(content, first), chunks))
        first = streams[-1].stop
    return streams or None


_Reader = Callable[[bytes, int], _Claim]


def _reader(content: bytes, first: int) -> tuple[_Chunks | None, _Reader] | None:
    start, kind = content[first : first + 4], content[first + 8 : first + 12]
    if start in (b"RIFF", b"RF64", b"BW64") and kind == b"WAVE":
        return _RIFF, lambda content, first: _wav(content, first, _RIFF)
    if start == b"RIFX" and kind == b"WAVE":
        return _RIFX, lambda content, first: _wav(content, first, _RIFX)
    if start == b"FORM" and kind in (b"AIFF", b"AIFC"):
        return _RIFX, _aiff
    if content[first : first + 16] == _W64_RIFF:
        return _W64, _w64
    if start == b"caff":
        return _CAF, _caf
    if start in (b".snd", b"dns."):
        return None, _au
    if start == b"NIST" and b"shorten" not in content[first : first + 1024]:
        return None, _sphere
    return None


def _wav(content: bytes, first: int, chunks: _Chunks) -> _Claim:
    position, long_size = first + 12, None
    codec = block = frames = 0
    while True:
        name, size = chunks.read(content, position)
        body = position + chunks.num_head
        if name == b"data":
            break
        if name == b"ds64":
            long_size = int.from_bytes(content[body + 8 : body + 16], "little")
        if name == b"fmt " and chunks is _RIFF:
            codec = int.from_bytes(content[body : body + 2], "little")
            block = int.from_bytes(content[body + 18 : body + 20], "little")
        if name == b"fact" and codec in _BLOCK_TAGS:
            frames = int.from_bytes(content[body : body + 4], "little")
        position = chunks.after(position, size, first)
    if long_size is not None and size == 0xFFFF_FFFF:
        place = content.index(b"ds64", first) + 16
        return _Claim(body, long_size, place, "<Q")
    # libsndfile counts one block more than there is where their bytes are odd in number
    known = (frames, 2 * block) if frames else None
    mpeg = codec in _MPEG_TAGS
    return _Claim(body, size, position + 4, chunks.field, mpeg=mpeg, frames=known)


def _aiff(content: bytes, first: int) -> _Claim:
    position, size = _found(content, first, 12, b"SSND", _RIFX)
    # offset and block size stand before the samples
    return _Claim(position + 16, size - 8, position + 4, ">I", beside=8)


def _w64(content: bytes, first: int) -> _Claim:
    position, size = _found(content, first, 40, _W64_DATA, _W64)
    return _Claim(position + 24, size, position + 16, "<Q", beside=24)


def _caf(content: bytes, first: int) -> _Claim:
    position, size = _found(content, first, 8, b"data", _CAF)
    # an edit count stands before the samples; a size of -1 is "to the end of the file"
    return _Claim(position + 16, size - 4 if size >= 0 else 2**63, position + 4, ">q", beside=4)


def _au(content: bytes, first: int) -> _Claim:
    order = ">" if content[first : first + 4] == b".snd" else "<"
    if len(content) < first + 24:
        raise ValueError(truncated(first + 24 - len(content)))
    start, size = struct.unpack(f"{order}II", content[first + 4 : first + 12])
    return _Claim(first + start, size, first + 8, f"{order}I")


def _sphere(content: bytes, first: int) -> _Claim:
    """NIST SPHERE: lines of text, of which libsndfile does not read the number of samples."""
    lines = content[first : first + 1024].split(b"\n")
    fields = {line.split()[0]: line.split()[-1] for line in lines[2:] if len(line.split()) == 3}
    numbers = [int(lines[1])] + [
        int(fields.get(name, default))
        for name, default in ((b"sample_count", 0), (b"channel_count", 1), (b"sample_n_bytes", 2))
    ]
    return _Claim(first + numbers[0], numbers[1] * numbers[2] * numbers[3], first, "")


def _found(content: bytes, first: int, head: int, name: bytes, chunks: _Chunks) -> tuple[int, int]:
    """Place and size of the chunk called ``name`` in the stream from ``first`` on."""
    position = first + head
    while True:
        found, size = chunks.read(content, position)
        if found == name:
            return position, size
        position = chunks.after(position, size, first)


def _settled(content: bytes, first: int, claim: _Claim, chunks: _Chunks | None) -> Samples:
    there = len(content) - claim.start
    size, stop = claim.size, None
    if 0 <= size <= there:
        stop = _end(content, claim.start + size, first, chunks)
    if stop is None:
        if not _is_placeholder(size, claim.beside):
            if size > there:
                raise ValueError(truncated(size - there))
            raise ValueError(
                f"its header promises {size} bytes of samples, but {there - size} more follow that "
                "are no part of the format; export it again"
            )
        size, stop = max(0, there), len(content)
    told = b""
    if claim.field:
        told = struct.pack(claim.field, min(size + claim.beside, _largest(claim.field)))
    return Samples(claim.start, size, first, stop, claim.place, told, claim.mpeg, claim.frames)


def _end(content: bytes, position: int, first: int, chunks: _Chunks | None) -> int | None:
    """Where the stream ends whose samples end at ``position``; ``None`` if other bytes follow."""
    if chunks is None:
        return _end_of_chunks(content, position, first, chunks)
    padding = -(position - first) % chunks.align
    for filled in (padding, 0, 1):  # some writers forget it, others fill where they need not
        if (stop := _end_of_chunks(content, position + filled, first, chunks)) is not None:
            return stop
    return None


def _end_of_chunks(content: bytes, position: int, first: int, chunks: _Chunks | None) -> int | None:
    while position < len(content):
        if _reader(content, position) is not None:
            return position
        rest = len(content) - position
        if content.startswith(b"TAG", position) and rest == _NUM_TAG:
            return position
        if rest <= _PADDING and not content[position:].strip(b"\0"):
            return position
        if chunks is None or rest < chunks.num_head:
            return None
        name, size = chunks.read(content, position)
        if not _is_name(name) or name in _SAMPLES or not 0 <= size <= rest - chunks.num_head:
            return None
        position = chunks.after(position, size, first)
    return len(content)


def _is_name(name: bytes) -> bool:
    return len(name) > 4 or (name.isascii() and name.decode().isprintable())


def _is_placeholder(size: int, beside: int) -> bool:
    if size <= 0 or size >= _STREAMED:
        return True
    near = [size + beside + head for head in (0, 8, 36, 44, -8, -36, -44)]
    return size >= 100 * _ROUND and any(x % _ROUND == 0 or x & (x - 1) == 0 for x in near)


def _largest(field: str) -> int:
    return int(2 ** (8 * struct.calcsize(field) - (field[1] == "q"))) - 1


def truncated(missing: int) -> str:
    """What is said of a file that is shorter than it promises, by ``missing`` bytes."""
    return f"truncated, {missing} bytes are missing at its end; fetch it again"
