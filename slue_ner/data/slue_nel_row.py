"""One row of SLUE-2's NEL data, and the utterance it makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from slue_ner.core.time import Seconds
from slue_ner.core.types import Utterance, Word
from slue_ner.data.entity_words import WordRange, official_word_ranges, position_word_ranges
from slue_ner.text.normalize import asr_form, ner_form

MATCHES = ("official", "position")
"""How an entity's words are found: as the published scores do, or where it was annotated."""


@dataclass(frozen=True, slots=True)
class NelEntity:
    """An entity as published: ``num_chars`` (``char_offset`` in the data) is a length."""

    label: str
    start_char: int
    num_chars: int
    start: Seconds
    end: Seconds


@dataclass(frozen=True, slots=True)
class NelRow:
    """One utterance as published.

    Attributes:
        text: the transcript that the positions of ``entities`` index.
        words: with times, silences included; ``None`` without an alignment.
        entities: in the order of the data set.
        audio: absolute; ``None`` when another data set gives it.
    """

    id: str
    split: str
    text: str
    words: tuple[Word, ...] | None
    entities: tuple[NelEntity, ...]
    speaker: str | None = None
    audio: Path | None = None


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
