"""ARPA files, the text format in which n-gram models are exchanged: read and written."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from gzip import GzipFile
from io import TextIOWrapper
from itertools import chain, repeat
from pathlib import Path
from typing import IO, cast

import numpy as np

from slue_ner.core.canonical import Changes, canonical
from slue_ner.core.files import atomic_path
from slue_ner.core.labels import label_set
from slue_ner.core.lines import DAMAGED, open_unpacked
from slue_ner.decoding.lm.ngram import (
    END_WORD,
    START_WORD,
    UNKNOWN_ID,
    UNKNOWN_WORD,
    NgramModel,
    build,
)
from slue_ner.decoding.lm.ngram_counts import MARKS, SPACES, split

_UNSEEN = -100.0
"""Log10 probability of ``<unk>`` where a file has none."""

_MOST = 3e38  # of a float32

_COUNT = re.compile(r"ngram (\d+) *= *(\d+)", re.ASCII)
_LABELS = re.compile(r"# *labels: *(\S+)")

_BINARY = {
    b"mmap lm http://kheafield.com/code": "a binary file of KenLM",
    b"SRILM_BINARY_NGRAM": "a binary file of SRILM",
    b"blmt": "a binary file of IRSTLM",
    b"Qblmt": "a binary file of IRSTLM",
    b"slue-ner n-gram\n": "packed, which a .ngram file cannot be",
}

_Level = tuple[np.ndarray, np.ndarray, np.ndarray]
Note = Callable[[str], None]


def read_arpa(path: Path, *, note: Note | None = None) -> NgramModel:
    r"""Read an ARPA file, packed or not, of this program, KenLM, SRILM or another.

    ``<unk>`` may be missing or be written ``<UNK>``; ``<s>`` and ``</s>`` must be there. Back-off
    weights of the longest n-grams, which nothing could use, are left out with a note. Words are
    brought to canonical form, as all texts are that they are looked up for. A comment above
    ``\data\`` may say the label set of the entity marks: ``# labels: combined``.

    Args:
        path: of the file.
        note: called with a sentence about whatever of it is not used.

    Raises:
        ValueError: as ``file:line: what`` for a file that is cut off, malformed or inconsistent.
    """
    with open_unpacked(path) as file:
        lines = _Lines(path, TextIOWrapper(file, "utf-8", newline="\n"))
        try:
            start = file.peek(64)
            for magic, what in _BINARY.items():
                if start.startswith(magic):
                    raise ValueError(
                        f"{path} is {what}; give the ARPA file that it was made from, packed with "
                        "gzip or not"
                    )
            return _read(lines, note)
        except (UnicodeDecodeError, *DAMAGED) as error:
            raise lines.error(f"not a text file in UTF-8, or damaged ({error})") from error


class _Lines:
    """Lines of a file with their numbers; blank ones are passed over."""

    def __init__(self, path: Path, file: IO[str]) -> None:
        self._path, self._file, self.number = path, file, 0
        self._blank: list[int] = []

    @property
    def name(self) -> str:
        """Of the file."""
        return str(self._path)

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.number += 1
            if stripped := line.strip(SPACES):
                yield stripped
            else:
                self._blank.append(self.number)

    def after(self, first: int, index: int) -> int:
        """Number of the line that is ``index`` lines that are not blank after line ``first``."""
        number = first + index
        for blank in self._blank:
            number += first <= blank <= number
        return number

    def error(self, what: str, number: int | None = None) -> ValueError:
        return ValueError(f"{self._path}:{number or max(1, self.number)}: {what}")

    def noted(self, what: str, number: int) -> str:
        return f"{self._path}:{number}: {what}"


class _Ids(dict[str, int]):
    """Id of each word; ``<UNK>`` is ``<unk>``."""

    def __missing__(self, word: str) -> int:
        if word.lower() != UNKNOWN_WORD:
            raise KeyError(word)
        return self[UNKNOWN_WORD]


def _read(lines: _Lines, note: Note | None) -> NgramModel:
    text = iter(lines)
    labels, counts = _read_head(lines, text)
    ids = _Ids(MARKS)
    levels: list[_Level] = []
    first_lines: list[int] = []
    for length, count in enumerate(counts, start=1):
        if length > 1 and (line := next(text, None)) != f"\\{length}-grams:":
            raise lines.error(f"expected \\{length}-grams:, {_found(line)}")
        first_lines.append(lines.number + 1)
        levels.append(_read_level(lines, text, length, count, ids))
    if next(text, None) != "\\end\\":
        raise lines.error("expected \\end\\; the file is cut off, or has more than it announces")
    grams, log_probs, weights = levels[-1]
    if weights.any():
        (places,) = np.nonzero(weights)
        if note is not None:
            what = (
                f"{len(places)} of the longest n-grams have back-off weights, which nothing can "
                "use (KenLM refuses such files); they are left out"
            )
            note(lines.noted(what, lines.after(first_lines[-1], int(places[0]))))
        levels[-1] = grams, log_probs, np.zeros_like(weights)
    try:
        model = build(_canonical_words(list(ids), lines, note), levels)
    except ValueError as error:
        length, index = error.args[0]
        number = lines.after(first_lines[length - 1], index)
        raise lines.error(
            "this n-gram is there twice, or the n-gram of its first words is missing", number
        ) from error
    return model if labels is None else replace(model, labels=labels)


def _canonical_words(words: list[str], lines: _Lines, note: Note | None) -> list[str]:
    """The words as readers of texts spell them; one that would be another, or none, stays."""
    taken = set(words)
    changes = Changes()
    spelled, unread = [], []
    for number, word in enumerate(words):
        found = canonical(word).text
        if found != word and (not found or " " in found or found in taken):
            unread.append(word)
        elif found != word:
            taken.add(found)
            word = changes.of(f"word {number}", word).text
        spelled.append(word)
    if note is not None:
        changes.tell(lines.name, note)
        if unread:
            note(
                f"{lines.name}: {len(unread)} words are in no text once it is read, as they hold "
                "white space, nothing that can be seen, or are spelled as another word of the "
                f"model then, first: {unread[0]!a}"
            )
    return spelled


def _read_head(lines: _Lines, text: Iterator[str]) -> tuple[str | None, list[int]]:
    """The label set, if the file says it, and how many n-grams of each length it has."""
    labels: str | None = None
    counts: list[int] = []
    has_data = False
    for line in text:
        if line == "\\1-grams:":
            break
        if line.removeprefix("\ufeff") == "\\data\\":
            has_data = True
        elif has_data:
            found = _COUNT.fullmatch(line)
            if line.startswith("\\"):
                raise lines.error(f"expected \\1-grams:, {_found(line)}")
            if found is None or int(found[1]) != len(counts) + 1:
                raise lines.error(f"expected ngram {len(counts) + 1}=COUNT, got {line!r}")
            counts.append(int(found[2]))
        elif said := _LABELS.fullmatch(line):
            try:
                labels = label_set(said[1]).name
            except ValueError as error:
                raise lines.error(str(error)) from error
    else:
        if counts:
            raise lines.error("expected \\1-grams:; the file is cut off")
    if not counts:
        raise lines.error("no \\data\\ with counts before \\1-grams:; this is no ARPA file")
    return labels, counts


def _found(line: str | None) -> str:
    return "and the file ends; it is cut off" if line is None else f"got {line!r}"


def _read_level(lines: _Lines, text: Iterator[str], length: int, count: int, ids: _Ids) -> _Level:
    """The n-grams of one length; words of those of length 1 are added to ``ids``."""
    grams, log_probs, weights = array("i"), array("f"), array("f")
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
            gram = [UNKNOWN_WORD if gram[0].lower() == UNKNOWN_WORD else gram[0]]
            ids.setdefault(gram[0], len(ids))
        try:
            values = float(log_prob), float(weight)
            grams.extend([ids[word] for word in gram])
        except ValueError:
            raise lines.error(f"{log_prob} and {weight} should be numbers") from None
        except KeyError as error:
            raise lines.error(f"{error.args[0]!r} is not among the 1-grams") from None
        if not (abs(values[0]) < _MOST and abs(values[1]) < _MOST):
            raise lines.error(f"{log_prob} and {weight} should be finite numbers")
        if values[0] > 0:
            raise lines.error(
                f"the log10 probability {log_prob} is above 0, that is a probability above 1; "
                "make the model anew"
            )
        log_probs.append(values[0])
        weights.append(values[1])
    parts = [np.array(part, np.float32) for part in (log_probs, weights)]
    level = np.array(grams, np.int32).reshape(count, length), parts[0], parts[1]
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


def write_arpa(model: NgramModel, path: Path) -> None:
    """Write a model; what ``read_arpa`` reads back is equal to it.

    The label set stands in a comment, which KenLM and others pass over.
    """
    with atomic_path(path) as unfinished, unfinished.open("wb") as raw, ExitStack() as stack:
        packed: IO[bytes] = raw
        if path.suffix == ".gz":  # without name and time, so that equal models are equal files
            packed = cast(IO[bytes], stack.enter_context(GzipFile("", "wb", 6, raw, mtime=0)))
        file = stack.enter_context(TextIOWrapper(packed, "utf-8", newline="\n"))
        if model.labels is not None:
            file.write(f"# labels: {model.labels}\n\n")
        file.write("\\data\\\n")
        for length, count in enumerate(model.counts, start=1):
            file.write(f"ngram {length}={count}\n")
        phrases = [""]
        for length in range(1, model.order + 1):
            file.write(f"\n\\{length}-grams:\n")
            phrases = _phrases(model, length, phrases)
            file.writelines(_rows(model, length, phrases))
        file.write("\n\\end\\\n")


def _phrases(model: NgramModel, length: int, above: list[str]) -> list[str]:
    """The n-grams of a length as text, from those one shorter."""
    first, last = model.levels[length - 1]
    words = [model.words[word] for word in model.word[first:last].tolist()]
    if length == 1:
        return words
    nodes = slice(*model.levels[length - 2])
    num_children = np.diff(model.first_child)[nodes].tolist()
    parents = chain.from_iterable(map(repeat, above, num_children))
    return [f"{parent} {word}" for parent, word in zip(parents, words, strict=True)]


def _rows(model: NgramModel, length: int, phrases: list[str]) -> Iterator[str]:
    nodes = slice(*model.levels[length - 1])
    log_probs = model.log_prob[nodes].tolist()
    if length == model.order:
        return (f"{p:.9g}\t{phrase}\n" for p, phrase in zip(log_probs, phrases, strict=True))
    rows = zip(log_probs, phrases, model.back_off[nodes].tolist(), strict=True)
    return (f"{p:.9g}\t{phrase}\t{weight:.9g}\n" for p, phrase, weight in rows)
