"""CTM, NIST's format for time-marked words (sclite manual, "ctm")."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from pathlib import Path

from slue_ner.core.lines import numbered_lines
from slue_ner.core.types import Word

_COLUMNS = re.compile(r"[ \t]+")
_MOST_COLUMNS = 8  # NIST later added a type and a speaker after the confidence


def read_ctm(path: Path) -> dict[str, list[Word]]:
    """Read ``id channel start duration word [confidence]``, one word a line.

    Ends are added up as decimal numbers, so 0.1 and 0.2 make 0.3. Lines that start with ``;;``
    are comments. A confidence becomes the word's score; ``NA`` is none.

    Returns:
        Words by id, both in the order of the file; there are no silences.

    Raises:
        ValueError: as ``file:line: what`` for a line of another form, or an id with words on two
            channels.
    """
    path = Path(path)
    words: dict[str, list[Word]] = {}
    channel_of: dict[str, str] = {}
    for number, line in numbered_lines(path):
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
            raise ValueError(f"{path}:{number}: {error}") from error
        words.setdefault(id_, []).append(word)
    return words


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
