"""Files that may be packed, which their first bytes tell and not their names."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

DAMAGED = (EOFError, zlib.error, lzma.LZMAError, OSError)
"""What reading a file may raise that is cut off, or not what its first bytes say."""

_OPENERS: tuple[tuple[re.Pattern[bytes], Callable[[Path], Any]], ...] = (
    (re.compile(rb"\x1f\x8b"), gzip.open),
    (re.compile(rb"BZh[1-9]1AY&SY"), bz2.open),
    (re.compile(rb"\xfd7zXZ\x00"), lzma.open),
)
_CLOSED = {
    b"PK\x03\x04": "a zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x28\xb5\x2f\xfd": "packed with zstd",
}


def packing(path: Path) -> str | None:
    """How a file is packed, or that it is UTF-16, as its first bytes say; ``None`` for others."""
    with path.open("rb") as file:
        start = file.read(16)
    for magic, what in _CLOSED.items():
        if start.startswith(magic):
            return what
    packed = any(pattern.match(start) for pattern, _ in _OPENERS)
    if packed:
        return "packed"
    return "UTF-16 text" if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else None


def open_unpacked(path: Path) -> Any:
    """A file opened for reading bytes, unpacked if it is packed with gzip, bzip2 or xz.

    One whose name ends in ``.gz`` is taken for gzip whatever it holds, so that a damaged one is
    not read as text.

    Returns:
        A binary file with ``peek``.

    Raises:
        ValueError: naming a file that is not there, or packed in another way.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    with path.open("rb") as file:
        start = file.read(16)
    for magic, what in _CLOSED.items():
        if start.startswith(magic):
            raise ValueError(f"{path} is {what}; unpack it, or pack the text with gzip")
    for pattern, opener in _OPENERS:
        if pattern.match(start):
            return opener(path)
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")
