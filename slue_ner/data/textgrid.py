"""Praat's TextGrid files, which the Montreal Forced Aligner writes too.

Format: praat.org, manual page "TextGrid file formats". A reader looks only at what stands free:
numbers, strings in double quotes (a quote inside is doubled) and flags in ``<>``. Everything
else (``xmin =``, ``intervals [1]:``) is for people, so the long and the short format are one.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from slue_ner.core.types import Word

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(")|(![^\r\n]*)|([^\s"]+)')
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_FLAGS = ("<exists>", "<absent>")

Value = TypeVar("Value", str, float)


class _Token(NamedTuple):
    value: str | float
    position: int


def read_textgrid(path: Path) -> dict[str, list[Word]]:
    """Read the interval tiers of a TextGrid, long or short, in UTF-8 or UTF-16.

    Returns:
        Intervals by name of their tier, in the order of the file, with times in seconds as
        written. Texts lose white space at their ends; ``""`` is a silence. Tiers of points are
        left out.

    Raises:
        ValueError: as ``file:line: what`` for a file of another format, one that ends too soon,
            an interval that ends before it starts, or two tiers of one name.
    """
    path = Path(path)
    text = _decoded(path)
    reader = _Reader(path, text)
    kind = reader.next(str, "the file type")
    if not kind.startswith("ooTextFile"):
        raise reader.error(f"the file type is {kind!r}, expected 'ooTextFile'")
    if (name := reader.next(str, "the object class")) != "TextGrid":
        raise reader.error(f"the object class is {name!r}, expected 'TextGrid'")
    reader.next(float, "the start of the grid")
    reader.next(float, "the end of the grid")
    if reader.next(str, "the flag <exists>") == "<absent>":
        return {}
    tiers: dict[str, list[Word]] = {}
    for _ in range(reader.count("the number of tiers")):
        kind = reader.next(str, "the class of a tier")
        if kind not in ("IntervalTier", "TextTier"):
            raise reader.error(f"a tier of class {kind!r}; known: IntervalTier, TextTier")
        name = reader.next(str, "the name of a tier")
        if kind == "IntervalTier" and name in tiers:
            raise reader.error(f"two tiers are named {name!r}; rename one")
        reader.next(float, f"the start of tier {name!r}")
        reader.next(float, f"the end of tier {name!r}")
        count = reader.count(f"the size of tier {name!r}")
        if kind == "TextTier":
            for _ in range(count):
                reader.next(float, f"a time in tier {name!r}")
                reader.next(str, f"a mark in tier {name!r}")
        else:
            tiers[name] = [_interval(reader, name) for _ in range(count)]
    return tiers


def _interval(reader: _Reader, tier: str) -> Word:
    start = reader.next(float, f"the start of an interval in tier {tier!r}")
    end = reader.next(float, f"the end of an interval in tier {tier!r}")
    text = reader.next(str, f"the text of an interval in tier {tier!r}")
    try:
        return Word(text.strip(), start, end)
    except ValueError as error:
        raise reader.error(f"interval {text!r} in tier {tier!r}: {error}") from error


class _Reader:
    """Hands out the free-standing values of a text, and knows the line it is on."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        self._position = 0
        self._tokens = self._tokenized()

    def next(self, kind: type[Value], what: str) -> Value:
        """The next value, which should be of this kind."""
        token = next(self._tokens, None)
        if token is None:
            self._position = len(self._text.rstrip())
            raise self.error(f"the file ends where {what} should be; it may be cut off")
        self._position = token.position
        if isinstance(token.value, kind):
            return token.value
        expected = "a string" if kind is str else "a number"
        raise self.error(f"{what} should be {expected}, got {token.value!r}")

    def count(self, what: str) -> int:
        number = self.next(float, what)
        if not number.is_integer() or number < 0:
            raise self.error(f"{what} should be a whole number, got {number:g}")
        return int(number)

    def error(self, what: str) -> ValueError:
        line = len(re.findall(r"\r\n|\r|\n", self._text[: self._position])) + 1
        return ValueError(f"{self._path}:{line}: {what}")

    def _tokenized(self) -> Iterator[_Token]:
        for match in _TOKEN.finditer(self._text):
            quoted, open_quote, _, bare = match.groups()
            if open_quote is not None:
                self._position = match.start()
                raise self.error("a text in double quotes is not closed")
            if quoted is not None:
                yield _Token(quoted.replace('""', '"'), match.start())
            elif bare in _FLAGS:
                yield _Token(bare, match.start())
            elif bare is not None and _NUMBER.fullmatch(bare):
                yield _Token(float(bare), match.start())


def _decoded(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    content = path.read_bytes()
    if content.startswith(b"ooBinaryFile"):
        raise ValueError(f"{path}: a binary TextGrid; save it as a text file in Praat")
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: neither UTF-8 nor UTF-16 text ({error.reason})") from error
