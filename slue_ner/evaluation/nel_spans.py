"""Sets of numbers written as spans ``[start, end)``: union, size and intersection.

Numbers are whole (bins of 10 ms) or not (seconds). A set is a list of spans that are sorted and
do not touch one another; that is what ``merge`` returns and the other functions expect.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import TypeVar

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
