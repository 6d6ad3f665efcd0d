"""What a row of SLUE-2's NEL data becomes: an utterance whose entities have words and times.

Which words of an alignment are an entity's is found as the published scores do, by string, or by
the entity's position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from slue_ner.core.types import Utterance
from slue_ner.data.corpora.slue_nel_rows import NelRow
from slue_ner.text.normalize import asr_form, ner_form

MATCHES = ("official", "position")
"""How an entity's words are found: as the published scores do, or where it was annotated."""

WordRange = tuple[int, int]
"""``[first, last)`` in the words of an alignment, silences included."""


@dataclass(frozen=True, slots=True)
class NelUtterance:
    """What a row became.

    Attributes:
        not_found: the first phrase that the official search did not find. It and the entities
            listed after it have the words at their annotated positions.
        without_words: phrases that have no words at all.
    """

    utterance: Utterance
    not_found: str | None = None
    without_words: tuple[str, ...] = ()


def nel_utterance(row: NelRow, *, match: str = "official") -> NelUtterance:
    """Turn a row into an utterance: text in the NER form, entities with words and times.

    Words stay as the data set has them, so they may be spelled otherwise than in the text.

    Args:
        row: as published.
        match: ``official`` (the search of ``official_word_ranges``; from where it finds nothing on,
            the annotated positions) or ``position``.

    Raises:
        ValueError: for spans that overlap, leave the text, hold no word or have unknown labels.
    """
    text, entities = ner_form(
        row.text, [(e.label, e.start_char, e.num_chars) for e in row.entities]
    )
    ranges, not_found = _word_ranges(row, match)
    found = sorted(zip(row.entities, ranges, strict=True), key=lambda item: item[0].start_char)
    timed = tuple(
        replace(entity, words=word_range, start=published.start, end=published.end)
        for entity, (published, word_range) in zip(entities, found, strict=True)
    )
    utterance = Utterance(
        id=row.id,
        split=row.split,
        audio=row.audio,
        num_samples=None,
        sample_rate=16_000,
        text=text,
        speaker=row.speaker,
        asr_text=asr_form(row.text),
        raw_text=row.text,
        words=row.words,
        entities=timed,
    )
    without_words = tuple(str(e.phrase) for e in timed if e.words is None and row.words)
    return NelUtterance(utterance, not_found, without_words)


def _word_ranges(row: NelRow, match: str) -> tuple[Sequence[WordRange | None], str | None]:
    if match not in MATCHES:
        raise ValueError(f"match should be one of {', '.join(MATCHES)}, got {match!r}")
    nothing: list[WordRange | None] = [None] * len(row.entities)
    if not row.words:
        return nothing, None
    words = [word.text for word in row.words]
    spans = [(e.start_char, e.start_char + e.num_chars) for e in row.entities]
    positions = position_word_ranges(words, row.text, spans) or nothing
    if match == "position":
        return positions, None
    phrases = [row.text[start:end] for start, end in spans]
    ranges = official_word_ranges(words, phrases)
    if None not in ranges:
        return ranges, None
    last = ranges.index(None)
    rest = [place or found for place, found in zip(positions, ranges, strict=True)][last:]
    return [*ranges[:last], *rest], phrases[last]


def official_word_ranges(words: Sequence[str], phrases: Sequence[str]) -> list[WordRange | None]:
    """Search the phrases in the words as SLUE-2's published scores do.

    Phrases are searched by string from left to right, each after the one before, and the first
    occurrence is taken, whatever position was annotated. Silences (``""``) inside an occurrence
    belong to it. Source: slue-toolkit ``prepare/prepare_voxpopuli_nel.py``,
    ``update_alignment_dct``, which ends the program at a phrase that it does not find; here
    its range is ``None`` and the search goes on.

    Args:
        words: of the alignment, in order of time.
        phrases: as annotated in the transcript, in the order of the data set.
    """
    ranges: list[WordRange | None] = []
    first = 0
    for phrase in phrases:
        wanted = _cleaned(phrase).split(" ")
        found = next(
            (
                (start, last)
                for start in range(first, len(words))
                if (last := _end_of_match(words, start, wanted)) is not None
            ),
            None,
        )
        ranges.append(found)
        first = first if found is None else found[1]
    return ranges


def position_word_ranges(
    words: Sequence[str], text: str, spans: Sequence[tuple[int, int]]
) -> list[WordRange | None] | None:
    """Find the words that hold the characters ``[start, end)`` of the text.

    Letters and digits of the words, run together, must be those of the text; then it does not
    matter how either of them writes punctuation and apostrophes. A word that an entity covers
    in part (``eu`` in ``eu's``) belongs to it whole.

    Returns:
        A range for each span (``None`` for one without a letter or digit); ``None`` when the
        letters differ, so that no position can be mapped.
    """
    word_of = [index for index, word in enumerate(words) for _ in _letters(word)]
    if "".join(map(_letters, words)) != _letters(text):
        return None
    ranges: list[WordRange | None] = []
    for start, end in spans:
        before, inside = len(_letters(text[:start])), len(_letters(text[start:end]))
        found = word_of[before : before + inside]
        ranges.append((found[0], found[-1] + 1) if found else None)
    return ranges


def _end_of_match(words: Sequence[str], start: int, wanted: Sequence[str]) -> int | None:
    if words[start] != wanted[0]:
        return None
    position = start + 1
    for word in wanted[1:]:
        while position < len(words) and words[position] == "":
            position += 1
        if position == len(words) or words[position] != word:
            return None
        position += 1
    return position


def _cleaned(phrase: str) -> str:
    """``depunctuate`` of the official code, in its order."""
    for old, new in ((".", ""), ("' ", " "), ("'s", " 's"), ("  ", " ")):
        phrase = phrase.replace(old, new)
    return phrase


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
