"""NEL scores without the quirks of the official ones.

Predictions are sorted and merged first, so their order and overlaps play no role. Every word
counts, also after the last prediction. Bins of 10 ms are found by rounding. A word whose times
are a guess (``estimated``) is left out: its time is neither right, nor spurious, nor missed.
All functions are about one utterance that has an alignment; one without is left out of every
corrected figure, since nothing says whether what was predicted in it is right.
Beside them, how far predicted boundaries are from where they should be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from slue_ner.core.time import Seconds
from slue_ner.core.types import EntitySpan, Word
from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.nel_times import (
    TimeRange,
    gold_times,
    holds,
    listed_times,
    mark_words,
    merge,
    shared,
    size,
)

RHO_SLACK = 1e-9
"""A word whose parts add up to all of it in exact arithmetic may fall short of 1 in floats."""


def frame_counts_corrected(
    words: Sequence[Word], gold: Sequence[EntitySpan], predicted: Sequence[EntitySpan]
) -> Counts:
    """Bins of 10 ms that are right, spurious and missed.

    Gold bins are those of the entities' words and of silences inside an entity. Everything a
    prediction covers counts, however far beyond the last word.

    Args:
        words: the alignment.
        gold: entities whose ``words`` are ranges in it.
        predicted: entities with or without times; those without are left out.
    """
    marked = mark_words(words, gold)
    exact = _bins((w.start, w.end) for w, m in zip(words, marked, strict=True) if _counts(w, m))
    guessed = _bins((word.start, word.end) for word in words if word.estimated)
    covered = _bins(merge(listed_times(predicted)))
    tp = shared(exact, covered)
    return Counts(
        tp=tp,
        fp=size(covered) - shared(covered, merge([*exact, *guessed])),
        fn=size(exact) - tp,
    )


def _counts(word: Word, marked: bool) -> bool:
    return marked and not word.estimated


def _bins(times: Iterable[TimeRange]) -> list[tuple[int, int]]:
    return merge((round(100 * start), round(100 * end)) for start, end in times)


@dataclass(frozen=True, slots=True)
class CoveredWord:
    """How much of a word (or silence) predictions cover.

    Attributes:
        seconds: its length.
        covered: seconds of it that are covered, at most ``seconds``.
        share: ``covered / seconds``; for a word without length 1 when a prediction
            ``[start, end)`` has its instant, else 0.
    """

    is_entity: bool
    is_silence: bool
    seconds: Seconds
    covered: Seconds
    share: float

    def is_hidden(self, rho: float) -> bool:
        """Whether at least ``rho`` of the word is covered."""
        return self.share >= rho - RHO_SLACK


def cover_words(
    words: Sequence[Word], gold: Sequence[EntitySpan], predicted: Sequence[EntitySpan]
) -> list[CoveredWord]:
    """All words and silences but the estimated ones; arguments as ``frame_counts_corrected``."""
    spans = merge(listed_times(predicted))
    return [
        _cover(word, is_entity, spans)
        for word, is_entity in zip(words, mark_words(words, gold), strict=True)
        if not word.estimated
    ]


def _cover(word: Word, is_entity: bool, spans: Sequence[TimeRange]) -> CoveredWord:
    seconds = word.end - word.start
    covered = min(seconds, shared([(word.start, word.end)], spans))
    share = covered / seconds if seconds else float(holds(spans, word.start))
    return CoveredWord(is_entity, word.text == "", seconds, covered, share)


def word_counts_corrected(words: Iterable[CoveredWord], *, rho: float) -> Counts:
    """Words, silences aside: entity words hidden, other words hidden, entity words not hidden."""
    tp = fp = fn = 0
    for word in words:
        if word.is_silence:
            continue
        hidden = word.is_hidden(rho)
        tp += word.is_entity and hidden
        fp += hidden and not word.is_entity
        fn += word.is_entity and not hidden
    return Counts(tp, fp, fn)


@dataclass(frozen=True, slots=True)
class Exposure:
    """What redaction by the predictions would leave audible and what it would take too much.

    Attributes:
        entity_seconds: of the entities' words and of silences inside an entity.
        leaked_seconds: those of them that no prediction covers.
        other_seconds: of the words outside entities, silences not among them.
        hidden_seconds: those of them that a prediction covers.
    """

    entity_seconds: Seconds = 0.0
    leaked_seconds: Seconds = 0.0
    other_seconds: Seconds = 0.0
    hidden_seconds: Seconds = 0.0

    @property
    def leakage(self) -> float | None:
        """Share of the entities' time that is not covered; ``None`` without any."""
        return self.leaked_seconds / self.entity_seconds if self.entity_seconds else None

    @property
    def over_redaction(self) -> float | None:
        """Share of the other words' time that is covered; ``None`` without any."""
        return self.hidden_seconds / self.other_seconds if self.other_seconds else None


def expose(words: Iterable[CoveredWord]) -> Exposure:
    """Add up the seconds of any number of utterances' words, unrounded."""
    entity = leaked = other = hidden = 0.0
    for word in words:
        if word.is_entity:
            entity += word.seconds
            leaked += word.seconds - word.covered
        elif not word.is_silence:
            other += word.seconds
            hidden += word.covered
    return Exposure(entity, leaked, other, hidden)


@dataclass(frozen=True, slots=True)
class BoundaryError:
    """Distances in milliseconds between gold and predicted boundaries, starts and ends together.

    They say nothing about entities that were missed: read them beside the recall.

    Attributes:
        median, p90: half, and nine tenths, of the distances are at most this.
        num_matched: pairs of entities they come from.
    """

    median: float
    p90: float
    num_matched: int

    @classmethod
    def from_seconds(cls, distances: Sequence[Seconds], *, num_matched: int) -> BoundaryError:
        """Summarise distances, of which there must be at least one."""
        median, p90 = (1000 * np.quantile(distances, [0.5, 0.9])).tolist()
        return cls(median, p90, num_matched)

    def to_json(self) -> dict[str, float | int]:
        """The fields by name."""
        return {"median": self.median, "p90": self.p90, "num_matched": self.num_matched}


def boundary_distances(
    words: Sequence[Word], gold: Sequence[EntitySpan], predicted: Sequence[EntitySpan]
) -> list[list[Seconds]]:
    """Distances of starts and of ends, one list for each matched pair of entities.

    A gold entity has the times of its own, else those of its words. A boundary at a word whose
    times are a guess (``estimated``) is left out, so a list has two, one or no distances.
    Entities without times are left out. Labels and phrases play no role.
    """
    timed = [(entity, gold_times(entity, words)) for entity in gold]
    known = [(entity, times) for entity, times in timed if times is not None]
    ours = listed_times(predicted)
    matched = match_times([times for _, times in known], ours)
    return [_distances(words, *known[mine], ours[yours]) for mine, yours in matched]


def match_times(gold: Sequence[TimeRange], predicted: Sequence[TimeRange]) -> list[tuple[int, int]]:
    """Pair gold and predicted spans that overlap, each used once: ``(gold, predicted)`` indices.

    The pair that overlaps for the longest time is taken first, then the longest of what is left,
    and so on. Among pairs that overlap equally long the one whose boundaries are nearest is
    taken, then the earliest, so the order in which spans are listed does not matter.
    """
    candidates = []
    for i, (gold_start, gold_end) in enumerate(gold):
        for j, (start, end) in enumerate(predicted):
            overlap = min(gold_end, end) - max(gold_start, start)
            if overlap > 0:
                distance = abs(gold_start - start) + abs(gold_end - end)
                candidates.append((-overlap, distance, gold[i], predicted[j], i, j))
    pairs: list[tuple[int, int]] = []
    used_gold: set[int] = set()
    used_predicted: set[int] = set()
    for *_, i, j in sorted(candidates):
        if i not in used_gold and j not in used_predicted:
            used_gold.add(i)
            used_predicted.add(j)
            pairs.append((i, j))
    return pairs


def _distances(
    words: Sequence[Word], entity: EntitySpan, gold: TimeRange, predicted: TimeRange
) -> list[Seconds]:
    first, last = (None, None) if entity.words is None else entity.words
    guessed = (
        first is not None and words[first].estimated,
        last is not None and words[last - 1].estimated,
    )
    return [
        abs(theirs - ours)
        for theirs, ours, guess in zip(gold, predicted, guessed, strict=True)
        if not guess
    ]
