"""Praat's TextGrid files, which the Montreal Forced Aligner writes too.

Format: praat.org, manual page "TextGrid file formats". A reader looks only at what stands free:
numbers, strings in double quotes (a quote inside is doubled) and flags in ``<>``. Everything
else (``xmin =``, ``intervals [1]:``) is for people, so the long and the short format are one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from slue_ner.core.types import Word
from slue_ner.data.encodings import decoded

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(")|(![^\r\n]*)|([^\s"]+)')
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_FLAGS = ("<exists>", "<absent>")

Value = TypeVar("Value", str, float)


class Tier(NamedTuple):
    """An interval tier.

    Attributes:
        words: its intervals in the order of the file, up to the first that is none.
        problem: ``file:line: what`` is wrong with that one.
    """

    name: str
    words: list[Word]
    problem: str | None = None


class _Token(NamedTuple):
    value: str | float
    position: int


def read_textgrid(path: Path) -> list[Tier]:
    """Read the interval tiers of a TextGrid, long or short.

    It may be in UTF-8, in UTF-16, or, as Praat reads what is neither, in Windows' Latin-1.

    Returns:
        Tiers in the order of the file, with times in seconds as written; several may have one
        name. Texts lose white space at their ends; ``""`` is a silence. Tiers of points are left
        out.

    Raises:
        ValueError: as ``file:line: what`` for a file of another format, or one that ends too
            soon.
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
        return []
    tiers: list[Tier] = []
    for _ in range(reader.count("the number of tiers")):
        kind = reader.next(str, "the class of a tier")
        if kind not in ("IntervalTier", "TextTier"):
            raise reader.error(f"a tier of class {kind!r}; known: IntervalTier, TextTier")
        name = reader.next(str, "the name of a tier")
        reader.next(float, f"the start of tier {name!r}")
        reader.next(float, f"the end of tier {name!r}")
        count = reader.count(f"the size of tier {name!r}")
        if kind == "TextTier":
            for _ in range(count):
                reader.next(float, f"a time in tier {name!r}")
                reader.next(str, f"a mark in tier {name!r}")
        else:
            tiers.append(_tier(reader, name, count))
    return tiers


def _tier(reader: _Reader, name: str, count: int) -> Tier:
    words: list[Word] = []
    problem = None
    for _ in range(count):
        start = reader.next(float, f"the start of an interval in tier {name!r}")
        end = reader.next(float, f"the end of an interval in tier {name!r}")
        text = reader.next(str, f"the text of an interval in tier {name!r}")
        if problem is None:
            try:
                words.append(Word(text.strip(), start, end))
            except ValueError as error:
                problem = str(reader.error(f"interval {text!r} in tier {name!r}: {error}"))
    return Tier(name, words, problem)


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
    try:
        return decoded(content)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-16 text ({error.reason})") from error
