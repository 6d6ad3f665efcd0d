"""Long sentences in overlapping windows, so that a model of limited length sees every word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Window:
    """Words ``[first, last)`` of a sentence, read at once.

    Attributes:
        owned: the words whose answer is taken from this window.
    """

    first: int
    last: int
    owned: tuple[int, ...]


def windows(lengths: Sequence[int], *, limit: int) -> list[Window]:
    """Cover a sentence with windows of at most ``limit`` tokens; one when it fits.

    Neighbours overlap by about a quarter. A word belongs to the window where the shorter side
    of its context is longest, the sentence's own ends counting as endless; ties to the earlier.

    Args:
        lengths: tokens of each word, at least 1 and at most ``limit``.
        limit: tokens a window.

    Raises:
        ValueError: for a word that is longer than a window, or ``limit`` below 1.
    """
    if limit < 1 or any(not 1 <= length <= limit for length in lengths):
        raise ValueError(f"words must have 1 to {limit} tokens, got {list(lengths)}")
    before = [0, *accumulate(lengths)]  # tokens before each word
    ranges: list[tuple[int, int]] = []
    first = last = 0
    while last < len(lengths):
        last = first + 1
        while last < len(lengths) and before[last + 1] - before[first] <= limit:
            last += 1
        ranges.append((first, last))
        if last < len(lengths):  # the next window must reach at least one word further
            first = last
            room = min(limit // 4, limit - lengths[last])
            while before[last] - before[first - 1] <= room:
                first -= 1
    owned: list[list[int]] = [[] for _ in ranges]
    for word in range(len(lengths)):
        contexts = {
            index: _context(word, window, before)
            for index, window in enumerate(ranges)
            if window[0] <= word < window[1]
        }
        owned[max(contexts, key=lambda index: (contexts[index], -index))].append(word)
    return [
        Window(first, last, tuple(words))
        for (first, last), words in zip(ranges, owned, strict=True)
    ]


def _context(word: int, window: tuple[int, int], before: Sequence[int]) -> float:
    """Tokens on the shorter side of a word within a window."""
    first, last = window
    left = before[word] - before[first] if first else float("inf")
    right = before[last] - before[word + 1] if last < len(before) - 1 else float("inf")
    return min(left, right)
