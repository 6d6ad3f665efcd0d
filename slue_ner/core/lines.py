"""Lines of text files, packed or not, the same for every reader: UTF-8, numbered, without marks."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from slue_ner.core.listing import shown

BYTE_ORDER_MARK = "\ufeff"

ENDS_OF_LINES = re.compile(rb"\r\n|\r|\n")
"""Nothing else ends a line: U+2028, U+0085 and form feeds are characters of it."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def numbered_lines(path: Path, *, hint: str = "") -> Iterator[tuple[int, str]]:
    """Number and text of every line, without its end; numbers start at 1.

    A line ends as ``ENDS_OF_LINES`` says. A byte order mark before a line is dropped, also in the
    middle of files that were put together.

    Args:
        path: the file.
        hint: what to give instead when there is no such file.

    Raises:
        ValueError: naming the file that is not there, or the line that is not UTF-8.
    """
    check_file(path, hint=hint)
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                yield number, line.removesuffix("\n").lstrip(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        if (what := packing(path)) is not None:
            raise ValueError(f"{path} is {what}; give a file of plain UTF-8 text") from error
        number = _line_of_bad_bytes(path)
        raise ValueError(f"{path}: not UTF-8 text on line {number} ({error.reason})") from error


def check_file(path: Path, *, hint: str = "") -> None:
    """Refuse what is not there, and a folder, by the files in it.

    Raises:
        ValueError: naming the path and, where nothing is there, what to give instead.
    """
    if path.is_dir():
        inside = sorted(str(file) for file in path.iterdir() if file.is_file())
        more = sorted(map(str, path.glob("*/*.jsonl")))
        files = [file for file in inside if file.endswith(".jsonl")] or inside or more
        raise ValueError(
            f"{path} is a folder; name a file{f' in it: {shown(files)}' if files else ''}"
        )
    if not path.exists():
        raise ValueError(f"{path}: no such file{hint and '; '}{hint}")


def lines_or_errors(path: Path, *, hint: str = "") -> Iterator[tuple[int, str | ValueError]]:
    """As ``numbered_lines``, but a line that is not UTF-8 is an error in its place.

    For readers that report, or pass over, every line that cannot be used.

    Raises:
        ValueError: naming the file that is not there.
    """
    check_file(path, hint=hint)
    for number, line in enumerate(ENDS_OF_LINES.split(path.read_bytes()), start=1):
        try:
            yield number, line.decode("utf-8").lstrip(BYTE_ORDER_MARK)
        except UnicodeDecodeError as error:
            yield number, ValueError(f"not UTF-8 text ({error.reason})")


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of every line of a file that has been read and decoded, as above."""
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        yield number, line.removesuffix("\n").lstrip(BYTE_ORDER_MARK)


def json_line(line: str) -> Any:
    """The JSON value of one line.

    Raises:
        ValueError: for what is no JSON, and for half of a surrogate pair, which no file in UTF-8
            could hold again, naming the field.
    """
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        # a line is one of many, so Python's own "line 1" would mislead
        raise ValueError(f"not JSON: {error.msg} (character {error.pos + 1})") from error
    except RecursionError as error:
        raise ValueError("not JSON: too many brackets") from error
    except ValueError as error:  # Python's limit of 4,300 digits
        raise ValueError("not JSON: a number with too many digits") from error
    if "\\ud" in line or "\\uD" in line:  # nothing else makes one
        _check_whole_characters(value, "")
    return value


def json_object(line: str) -> dict[str, Any]:
    """The JSON object of one line; errors as ``json_line``, and for any other value."""
    value = json_line(line)
    if not isinstance(value, dict):
        raise ValueError(f"expected one JSON object a line, got {type(value).__name__}")
    return value


def _check_whole_characters(value: Any, field: str) -> None:
    if isinstance(value, str):
        if (half := _SURROGATE.search(value)) is not None:
            start = max(0, half.start() - 20)
            raise ValueError(
                f"{f'field {field!r}' if field else 'a text'} holds half of a character, "
                f"{ascii(half[0])[1:-1]} at {half.start()} ({value[start : half.end() + 20]!r}); "
                "write the whole character or leave it out"
            )
    elif isinstance(value, list):
        for item in value:
            _check_whole_characters(item, field)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_whole_characters(key, field)
            _check_whole_characters(item, f"{field}.{key}" if field else key)


def _line_of_bad_bytes(path: Path) -> int:
    content = path.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        content = content[: error.start]
    return len(ENDS_OF_LINES.findall(content)) + 1


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
    check_file(path)
    if not path.is_file():  # the bytes that are looked at first would be lost
        raise ValueError(f"{path} is a pipe or a device; give a file")
    with path.open("rb") as file:
        start = file.read(16)
    for magic, what in _CLOSED.items():
        if start.startswith(magic):
            raise ValueError(f"{path} is {what}; unpack it, or pack the text with gzip")
    for pattern, opener in _OPENERS:
        if pattern.match(start):
            return opener(path)
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")
