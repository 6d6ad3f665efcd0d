"""When entities are spoken, and which words of an alignment belong to one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slue_ner.core.time import Seconds
from slue_ner.core.types import EntitySpan, Word

TimeRange = tuple[Seconds, Seconds]
"""Seconds ``[start, end)``."""


def listed_times(entities: Iterable[EntitySpan]) -> list[TimeRange]:
    """Times of the entities that have any, in the order in which they are listed."""
    return [
        (entity.start, entity.end)
        for entity in entities
        if entity.start is not None and entity.end is not None
    ]


def gold_times(entity: EntitySpan, words: Sequence[Word] | None) -> TimeRange | None:
    """Times of a reference's entity: its own, else those of its words; ``None`` without either."""
    if entity.start is not None and entity.end is not None:
        return entity.start, entity.end
    if entity.words is None or words is None:
        return None
    first, last = entity.words
    return words[first].start, words[last - 1].end


def mark_words(words: Sequence[Word], entities: Iterable[EntitySpan]) -> list[bool]:
    """For each word whether an entity's range has it, silences inside an entity included."""
    marked = [False] * len(words)
    for entity in entities:
        if entity.words is not None:
            first, last = entity.words
            marked[first:last] = [True] * (last - first)
    return marked


def marked_times(words: Sequence[Word], entities: Iterable[EntitySpan]) -> list[TimeRange]:
    """Times of the words that the entities have; gaps between words belong to no one."""
    return [
        (word.start, word.end)
        for entity in entities
        if entity.words is not None
        for word in words[entity.words[0] : entity.words[1]]
    ]
