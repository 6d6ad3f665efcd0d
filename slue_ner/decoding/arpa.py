"""ARPA files, the text format in which n-gram models are exchanged."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from slue_ner.core.files import atomic_path
from slue_ner.decoding.ngram import (
    END_WORD,
    START_WORD,
    UNKNOWN_WORD,
    NgramModel,
    build,
)

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
    with open_text(path, "rt", encoding="utf-8") as file:
        lines = _Lines(path, file)
        try:
            return _read(lines)
        except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
            raise lines.error(f"not a text file in UTF-8, or damaged ({error})") from error


class _Lines:
    """Lines of a file with their numbers; blank ones are passed over."""

    def __init__(self, path: Path, file: IO[str]) -> None:
        self._path, self._file, self.number = path, file, 0

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.number += 1
            if stripped := line.strip():
                yield stripped

    def error(self, what: str, number: int | None = None) -> ValueError:
        return ValueError(f"{self._path}:{number or self.number}: {what}")


def _read(lines: _Lines) -> NgramModel:
    counts = _read_counts(lines)
    words = [UNKNOWN_WORD, START_WORD, END_WORD]
    ids = {word: id for id, word in enumerate(words)}
    levels: list[_Level] = []
    first_lines: list[int] = []
    text = iter(lines)
    for length, count in enumerate(counts, start=1):
        if length > 1 and next(text, None) != f"\\{length}-grams:":
            raise lines.error(f"expected \\{length}-grams:")
        first_lines.append(lines.number + 1)
        levels.append(_read_level(lines, text, length, count, words, ids))
    if next(text, None) != "\\end\\":
        raise lines.error("expected \\end\\; the file is cut off, or has more than it announces")
    try:
        return build(words, levels)
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
    lines: _Lines,
    text: Iterator[str],
    length: int,
    count: int,
    words: list[str],
    ids: dict[str, int],
) -> _Level:
    """The n-grams of one length; those of length 1 fill ``words`` and ``ids``."""
    grams = np.empty((count, length), np.int32)
    values = np.zeros((2, count), np.float32)
    for index in range(count):
        line = next(text, None)
        if line is None or line.startswith("\\"):
            raise lines.error(
                f"expected {count} {length}-grams, found {index}; the file is cut off"
            )
        log_prob, *gram = line.split()
        weight = gram.pop() if len(gram) == length + 1 else "0"
        if len(gram) != length:
            raise lines.error(f"expected LOG_PROB, {length} words and perhaps BACK_OFF: {line!r}")
        if length == 1:
            (word,) = gram = [UNKNOWN_WORD if gram[0] == "<UNK>" else gram[0]]
            if word not in ids:
                ids[word] = len(words)
                words.append(word)
        try:
            values[:, index] = float(log_prob), float(weight)
            grams[index] = [ids[word] for word in gram]
        except ValueError:
            raise lines.error(f"{log_prob} and {weight} should be numbers") from None
        except KeyError as error:
            raise lines.error(f"{error.args[0]!r} is not among the 1-grams") from None
        if not np.isfinite(values[:, index]).all():
            raise lines.error(f"{log_prob} and {weight} should be finite numbers")
    if length > 1:
        return grams, values[0], values[1]
    there = set(grams[:, 0].tolist())
    for word in (START_WORD, END_WORD):
        if ids[word] not in there:
            raise lines.error(f"{word} is not among the 1-grams; was the text marked with it?")
    if ids[UNKNOWN_WORD] in there:
        return grams, values[0], values[1]
    return np.append(grams, [[0]], axis=0), np.append(values[0], _UNSEEN), np.append(values[1], 0)


def write_arpa(model: NgramModel, path: Path) -> None:
    """Write a model; what ``read_arpa`` reads back is equal to it."""
    parents = np.repeat(np.arange(len(model.word)), np.diff(model.first_child))
    parents = np.concatenate([[0], parents])  # of each node; the root has none
    open_text = gzip.open if path.suffix == ".gz" else open
    with atomic_path(path) as unfinished, open_text(unfinished, "wt", encoding="utf-8") as file:
        file.write("\\data\\\n")
        for length, count in enumerate(model.counts, start=1):
            file.write(f"ngram {length}={count}\n")
        phrases: dict[int, str] = {}
        for length, (first, last) in enumerate(model.levels, start=1):
            file.write(f"\n\\{length}-grams:\n")
            above, phrases = phrases, {}
            for node in range(first, last):
                word = model.words[model.word[node]]
                phrase = word if length == 1 else f"{above[int(parents[node])]} {word}"
                phrases[node] = phrase
                line = f"{model.log_prob[node]:.9g}\t{phrase}"
                if length < model.order:
                    line += f"\t{model.back_off[node]:.9g}"
                file.write(line + "\n")
        file.write("\n\\end\\\n")
