"""Times of words from the marks of a synthesiser that runs some of them together.

Positions are characters of the spoken text, times are samples of the synthesiser.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise

LONGEST_CLOSURE = 1_300
"""A word mark comes this many samples (59 ms) or less before the first phone is heard: the
closure of a stop. A longer wait is a pause."""

_STRESS = "',%="
_VOWELS = frozenset("aeiouAEIOUVQ03@")
_VOICING = frozenset(("sz", "td", "fv", "TD", "kg", "pb"))
_INSERTED = 1.0
_MOST_COST_PER_PHONE = 0.55


@dataclass(frozen=True, slots=True)
class Mark:
    """The synthesiser begins a word here."""

    position: int
    sample: int


@dataclass(frozen=True, slots=True)
class TimedPhone:
    """A phone that fills samples ``[start, end)``."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class WordSamples:
    """A word that fills samples ``[start, end)``; ``estimated`` when its borders are a guess."""

    start: float
    end: float
    estimated: bool = False


def time_phones(
    phones: Sequence[TimedPhone], marks: Sequence[Mark], *, last: int
) -> list[TimedPhone]:
    """Give phones an end and leave pauses out.

    A phone lasts until the next phone, pause or word begins. Phones that begin at one instant
    share the time up to the next one equally.

    Args:
        phones: in order; ends are ignored, a name that starts with ``_`` is a pause.
        marks: beginnings of words, in order.
        last: number of samples.
    """
    starts = [phone.start for phone in phones]
    for mark in marks:
        index = bisect_right(starts, mark.sample - 1)
        if index < len(starts) and starts[index] - mark.sample <= LONGEST_CLOSURE:
            starts[index] = mark.sample
    borders = sorted({*starts, *(mark.sample for mark in marks), last})
    timed: list[TimedPhone] = []
    first = 0
    while first < len(phones):
        group = [i for i in range(first, len(phones)) if starts[i] == starts[first]]
        first += len(group)
        start = starts[group[0]]
        end = borders[min(bisect_right(borders, start), len(borders) - 1)]
        sounding = [i for i in group if phones[i].name and not phones[i].name.startswith("_")]
        shares = _shares(start, end, [1] * len(sounding))
        for i, (phone_start, phone_end) in zip(sounding, shares, strict=True):
            name = phones[i].name.lstrip(_STRESS) or phones[i].name
            timed.append(TimedPhone(name, phone_start, phone_end))
    return [phone for phone in timed if phone.end > phone.start]


def time_words(
    starts: Sequence[int],
    marks: Sequence[Mark],
    phones: Sequence[TimedPhone],
    own_phones: Sequence[Sequence[str]],
) -> list[WordSamples]:
    """Give every word its own positive stretch of time.

    Words between two marks are a unit. A unit of several words is divided where its phones,
    aligned with what each word sounds like alone, pass from one word to the next. If they do
    not resemble each other, the words are marked as estimated; if a word has no phone left,
    the unit is divided in proportion and all its words are estimated.

    Args:
        starts: where each word begins in the spoken text.
        marks: beginnings of words according to the synthesiser.
        phones: timed phones, at least one.
        own_phones: phones of each word spoken alone.
    """
    spans: list[WordSamples] = []
    for (first, last), unit in _units(starts, marks, phones):
        if last - first == 1:
            spans.append(WordSamples(unit[0].start, unit[-1].end))
        else:
            spans += _divide(unit, own_phones[first:last])
    return spans


def _units(
    starts: Sequence[int], marks: Sequence[Mark], phones: Sequence[TimedPhone]
) -> list[tuple[tuple[int, int], list[TimedPhone]]]:
    """Word ranges ``[first, last)`` that cover all words, each with at least one phone."""
    firsts: list[tuple[int, float]] = []
    for mark in marks:
        word = max(0, bisect_right(starts, mark.position) - 1)
        if not firsts or word > firsts[-1][0]:
            firsts.append((word, mark.sample))
    edges = [edge for _, edge in firsts[1:]]
    members: list[list[TimedPhone]] = [[] for _ in firsts] or [[]]
    for phone in phones:
        members[bisect_right(edges, phone.start)].append(phone)
    kept = [(word, unit) for (word, _), unit in zip(firsts, members, strict=False) if unit]
    words = [0, *(word for word, _ in kept[1:]), len(starts)]
    units = [unit for _, unit in kept] or [list(phones)]
    return list(zip(pairwise(words), units, strict=True))


def _divide(unit: Sequence[TimedPhone], own_phones: Sequence[Sequence[str]]) -> list[WordSamples]:
    own = tuple(tuple(phone.lstrip(_STRESS) for phone in word) for word in own_phones)
    borders, costs = _align(own, tuple(phone.name for phone in unit))
    if all(first < last for first, last in pairwise(borders)):
        return [
            WordSamples(unit[a].start, unit[b - 1].end, cost > _MOST_COST_PER_PHONE * (b - a))
            for (a, b), cost in zip(pairwise(borders), costs, strict=True)
        ]
    weights = [max(1, len(word)) for word in own]
    return [
        WordSamples(start, end, estimated=True)
        for start, end in _shares(unit[0].start, unit[-1].end, weights)
    ]


def _shares(start: float, end: float, weights: Sequence[int]) -> list[tuple[float, float]]:
    """Adjoining parts of ``[start, end)`` in proportion to the weights."""
    total = max(1, sum(weights))
    borders = [start + (end - start) * done / total for done in accumulate(weights, initial=0)]
    return list(pairwise(borders))


@lru_cache(maxsize=4_096)
def _align(
    own: tuple[tuple[str, ...], ...], heard: tuple[str, ...]
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Cheapest alignment of the words' own phones with the phones heard.

    Returns:
        Borders ``(b0, ..., bk)``, word ``j`` owning ``heard[bj:bj+1]``, and each word's cost.
    """
    said = [phone for word in own for phone in word]
    word_of = [index for index, word in enumerate(own) for _ in word]
    table = [[_INSERTED * j for j in range(len(heard) + 1)]]
    for i, phone in enumerate(said, start=1):
        row = [_INSERTED * i]
        for j, other in enumerate(heard, start=1):
            substituted = table[i - 1][j - 1] + _distance(phone, other)
            row.append(min(substituted, table[i - 1][j] + _INSERTED, row[-1] + _INSERTED))
        table.append(row)
    owners = [0] * len(heard)
    costs = [0.0] * len(own)
    i, j = len(said), len(heard)
    while i or j:
        word = word_of[max(0, i - 1)] if said else 0
        if i and j and table[i][j] == table[i - 1][j - 1] + _distance(said[i - 1], heard[j - 1]):
            costs[word] += _distance(said[i - 1], heard[j - 1])
            owners[j - 1] = word
            i, j = i - 1, j - 1
        elif i and table[i][j] == table[i - 1][j] + _INSERTED:
            costs[word] += _INSERTED
            i -= 1
        else:
            costs[word] += _INSERTED
            owners[j - 1] = word
            j -= 1
    borders = [sum(owner < word for owner in owners) for word in range(len(own))]
    return (*borders, len(heard)), tuple(costs)


def _distance(phone: str, other: str) -> float:
    """0 for the same sound, up to 1.6 for a vowel against a consonant."""
    if phone == other:
        return 0.0
    vowels = (phone[:1] in _VOWELS) + (other[:1] in _VOWELS)
    if vowels == 1:
        return 1.6
    if phone.rstrip("0123456789#:") == other.rstrip("0123456789#:"):
        return 0.1
    if vowels == 2:
        return 0.4
    return 0.25 if "".join(sorted((phone, other))) in _VOICING else 0.9
