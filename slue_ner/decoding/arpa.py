"""Reading ARPA files, the text format in which n-gram models are exchanged."""

from __future__ import annotations

import gzip
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from slue_ner.decoding.ngram import (
    END_WORD,
    START_WORD,
    UNKNOWN_ID,
    UNKNOWN_WORD,
    NgramModel,
    build,
)
from slue_ner.decoding.ngram_counts import MARKS, SPACES, split

_UNSEEN = -100.0
"""Log10 probability of ``<unk>`` where a file has none."""

_Level = tuple[np.ndarray, np.ndarray, np.ndarray]


def read_arpa(path: Path) -> NgramModel:
    """Read an ARPA file, gzipped or not, of this program, KenLM, SRILM or another.

    ``<unk>`` may be missing or be written ``<UNK>``; ``<s>`` and ``</s>`` must be there.

    Raises:
        ValueError: as ``file:line: what`` for a file that is cut off, malformed or inconsistent.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    open_text = gzip.open if path.suffix == ".gz" else open
    with open_text(path, "rt", encoding="utf-8", newline="\n") as file:
        lines = _Lines(path, file)
        try:
            return _read(lines)
        except (UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise lines.error(f"not a text file in UTF-8, or damaged ({error})") from error


class _Lines:
    """Lines of a file with their numbers; blank ones are passed over."""

    def __init__(self, path: Path, file: IO[str]) -> None:
        self._path, self._file, self.number = path, file, 0

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.number += 1
            if stripped := line.strip(SPACES):
                yield stripped

    def error(self, what: str, number: int | None = None) -> ValueError:
        return ValueError(f"{self._path}:{number or self.number}: {what}")


def _read(lines: _Lines) -> NgramModel:
    counts = _read_counts(lines)
    ids = dict(MARKS)
    levels: list[_Level] = []
    first_lines: list[int] = []
    text = iter(lines)
    for length, count in enumerate(counts, start=1):
        if length > 1 and next(text, None) != f"\\{length}-grams:":
            raise lines.error(f"expected \\{length}-grams:")
        first_lines.append(lines.number + 1)
        levels.append(_read_level(lines, text, length, count, ids))
    if next(text, None) != "\\end\\":
        raise lines.error("expected \\end\\; the file is cut off, or has more than it announces")
    try:
        return build(list(ids), levels)
    except ValueError as error:
        length, index = error.args[0]
        number = first_lines[length - 1] + index
        raise lines.error(
            "this n-gram is there twice, or the n-gram of its first words is missing", number
        ) from error


def _read_counts(lines: _Lines) -> list[int]:
    counts: list[int] = []
    for line in lines:
        if line == "\\1-grams:":
            break
        if line.startswith("ngram "):
            length, _, count = line.removeprefix("ngram ").partition("=")
            if length.strip() != str(len(counts) + 1) or not count.strip().isdigit():
                raise lines.error(f"expected ngram {len(counts) + 1}=COUNT, got {line!r}")
            counts.append(int(count))
    if not counts:
        raise lines.error("no \\data\\ with counts before \\1-grams:; this is no ARPA file")
    return counts


def _read_level(
    lines: _Lines, text: Iterator[str], length: int, count: int, ids: dict[str, int]
) -> _Level:
    """The n-grams of one length; words of those of length 1 are added to ``ids``."""
    grams, log_probs, weights = array("i"), array("f"), array("f")
    first_line = lines.number + 1
    for index in range(count):
        line = next(text, "\\")
        if line[0] == "\\":
            raise lines.error(
                f"expected {count} {length}-grams, found {index}; the file is cut off"
            )
        fields = line.replace("\t", " ").split(" ")
        if "" in fields:
            fields = split(line)
        weight = fields.pop() if len(fields) == length + 2 else "0"
        if len(fields) != length + 1:
            raise lines.error(f"expected LOG_PROB, {length} words and perhaps BACK_OFF: {line!r}")
        log_prob, *gram = fields
        if length == 1:
            gram = [UNKNOWN_WORD if gram == ["<UNK>"] else gram[0]]
            ids.setdefault(gram[0], len(ids))
        try:
            log_probs.append(float(log_prob))
            weights.append(float(weight))
            grams.extend([ids[word] for word in gram])
        except ValueError:
            raise lines.error(f"{log_prob} and {weight} should be numbers") from None
        except KeyError as error:
            raise lines.error(f"{error.args[0]!r} is not among the 1-grams") from None
    values = np.stack([np.array(part, np.float32) for part in (log_probs, weights)])
    if not np.isfinite(values).all():
        index = int(np.argmin(np.isfinite(values).all(axis=0)))
        raise lines.error(
            f"{log_probs[index]:g} and {weights[index]:g} should be finite numbers",
            first_line + index,
        )
    level = np.array(grams, np.int32).reshape(count, length), values[0], values[1]
    return _checked_words(lines, level) if length == 1 else level


def _checked_words(lines: _Lines, level: _Level) -> _Level:
    """The level of the words, with the unknown one."""
    grams, log_probs, weights = level
    there = set(grams[:, 0].tolist())
    for word in (START_WORD, END_WORD):
        if MARKS[word] not in there:
            raise lines.error(f"{word} is not among the 1-grams; was the text marked with it?")
    if UNKNOWN_ID in there:
        return level
    return (
        np.append(grams, [[UNKNOWN_ID]], axis=0),
        np.append(log_probs, _UNSEEN),
        np.append(weights, 0),
    )
