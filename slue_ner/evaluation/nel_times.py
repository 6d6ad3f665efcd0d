"""When entities are spoken, which words of an alignment are theirs, and sets of such times.

A set of numbers is written as spans ``[start, end)`` that are sorted and do not touch one another;
that is what ``merge`` returns and the other functions expect. Numbers are whole (bins of 10 ms) or
not (seconds).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import TypeVar

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


Number = TypeVar("Number", int, float)

_END = itemgetter(1)


def merge(spans: Iterable[tuple[Number, Number]]) -> list[tuple[Number, Number]]:
    """The union of spans in any order; those that touch become one, empty ones are nothing."""
    merged: list[tuple[Number, Number]] = []
    for start, end in sorted(spans):
        if end <= start:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def size(spans: Iterable[tuple[Number, Number]]) -> Number:
    """How much a set of spans holds; 0 for none."""
    total: Number = 0
    for start, end in spans:
        total += end - start
    return total


def shared(one: Iterable[tuple[Number, Number]], other: Sequence[tuple[Number, Number]]) -> Number:
    """How much two sets of spans have in common."""
    total: Number = 0
    for start, end in one:
        for index in range(bisect_right(other, start, key=_END), len(other)):
            other_start, other_end = other[index]
            if other_start >= end:
                break
            total += min(end, other_end) - max(start, other_start)
    return total


def holds(spans: Sequence[tuple[Number, Number]], number: Number) -> bool:
    """Whether a number is in a set of spans, which have their start and not their end."""
    index = bisect_right(spans, number, key=_END)
    return index < len(spans) and spans[index][0] <= number
