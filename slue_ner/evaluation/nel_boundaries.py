"""How far predicted boundaries of entities are from where they should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slue_ner.core.time import Seconds
from slue_ner.core.types import EntitySpan, Word
from slue_ner.evaluation.nel_times import TimeRange, gold_times, listed_times


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
