"""CTM, NIST's format for time-marked words (sclite manual, "ctm")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from slue_ner.core.lines import lines_of
from slue_ner.core.types import Word
from slue_ner.data.encodings import decoded, is_latin

_COLUMNS = re.compile(r"[ \t]+")
_MOST_COLUMNS = 8  # NIST later added a type and a speaker after the confidence


@dataclass(frozen=True, slots=True)
class Ctm:
    """What a CTM file holds.

    Attributes:
        words: by id, both in the order of the file; there are no silences.
        problems: the first ``file:line: what`` that is wrong, by id; these have no words.
        is_latin: the file is not UTF-8; Windows' Latin-1 is a guess.
    """

    words: dict[str, list[Word]]
    problems: dict[str, str]
    is_latin: bool = False


def read_ctm(path: Path) -> dict[str, list[Word]]:
    """The words of a CTM file in UTF-8 in which every line is right; see ``scan_ctm``.

    Raises:
        ValueError: as ``file:line: what``.
    """
    found = scan_ctm(path)
    if found.is_latin:
        raise ValueError(f"{path}: not UTF-8 text; save it as UTF-8")
    for problem in found.problems.values():
        raise ValueError(problem)
    return found.words


def scan_ctm(path: Path) -> Ctm:
    """Read ``id channel start duration word [confidence]``, one word a line.

    Ends are added up as decimal numbers, so 0.1 and 0.2 make 0.3. Lines that start with ``;;``
    are comments. A confidence becomes the word's score; ``NA`` is none. What is not UTF-8 is
    read as Windows' Latin-1.

    Returns:
        The words of every id whose lines are all right and on one channel.

    Raises:
        ValueError: for a file that is not there.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    content = path.read_bytes()
    words: dict[str, list[Word]] = {}
    problems: dict[str, str] = {}
    channel_of: dict[str, str] = {}
    for number, line in lines_of(decoded(content)):
        fields = _COLUMNS.split(line.strip(" \t"))  # other white space may be inside a word
        if fields == [""] or fields[0].startswith(";;"):
            continue
        try:
            word = _word(fields)
            id_, channel = fields[:2]
            if channel_of.setdefault(id_, channel) != channel:
                raise ValueError(
                    f"{id_} has words on channels {channel_of[id_]} and {channel}; "
                    "keep one, or give each an id of its own"
                )
        except ValueError as error:
            problems.setdefault(fields[0], f"{path}:{number}: {error}")
            continue
        words.setdefault(id_, []).append(word)
    right = {id_: said for id_, said in words.items() if id_ not in problems}
    return Ctm(right, problems, is_latin(content))


def _word(fields: list[str]) -> Word:
    if not 5 <= len(fields) <= _MOST_COLUMNS:
        raise ValueError(
            f"{len(fields)} columns; expected id, channel, start, duration, word and, if known, "
            "confidence"
        )
    start, duration = _seconds(fields[2], "start"), _seconds(fields[3], "duration")
    score = None
    if len(fields) > 5 and fields[5] != "NA":
        score = float(_seconds(fields[5], "confidence"))
        if score > 1:
            raise ValueError(f"the confidence should be in [0, 1], got {fields[5]}")
    return Word(fields[4], float(start), float(start + duration), score=score)


def _seconds(field: str, what: str) -> Decimal:
    try:
        value = Decimal(field)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value < 0:
        raise ValueError(f"the {what} should be a number from 0 up, got {field!r}")
    return value
