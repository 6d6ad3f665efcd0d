"""The best thresholds and lengths for frame probabilities, searched without the model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np

from slue_ner.core.labels import COMBINED, LABEL_SETS
from slue_ner.core.time import FrameGrid
from slue_ner.core.types import EntitySpan, Prediction, Utterance
from slue_ner.decoding.frame_spans import (
    ANY_ENTITY,
    OUTSIDE,
    FloatArray,
    FrameDecoding,
    Thresholds,
    columns_to_decode,
    segments,
    smooth,
    typed_parts,
)
from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.joining import relabel
from slue_ner.evaluation.nel_corrected import frame_counts_corrected
from slue_ner.evaluation.nel_official import frame_counts_official

THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
OFF_SHARES = (1.0, 0.75, 0.5)
"""``threshold_off`` as a share of ``threshold_on``."""

MEDIANS = (1, 5, 9, 15)
MIN_GAPS = (0.0, 0.06, 0.12, 0.24)
MIN_DURATIONS = (0.0, 0.06, 0.12, 0.24)

MIN_ENTITIES = 20
"""Entities of a type that the references must have for the type to get thresholds of its own."""


@dataclass(frozen=True, slots=True)
class TunedDecoding:
    """The winner of a search.

    Attributes:
        decoding: the values.
        frame_f1: official frame F1 that they reach on what they were tuned on.
        label_frame_f1: the same of counts summed over labels; ``None`` of a binary head.
    """

    decoding: FrameDecoding
    frame_f1: float
    label_frame_f1: float | None = None

    def __str__(self) -> str:
        """All values in one line for the terminal."""
        values = asdict(self.decoding)
        own = values.pop("per_label")
        listed = [f"{name} {value:g}" for name, value in values.items()]
        listed += [
            f"{label} {of['threshold_on']:g} to {of['threshold_off']:g}"
            for label, of in own.items()
        ]
        by_label = self.label_frame_f1
        typed = "" if by_label is None else f", summed over labels {100 * by_label:.1f}"
        return f"frame decoding: {', '.join(listed)}; frame F1 {100 * self.frame_f1:.1f}{typed}"


def tune_frames(
    references: Sequence[Utterance],
    probabilities: Mapping[str, FloatArray],
    grid: FrameGrid,
    labels: Sequence[str],
) -> TunedDecoding:
    """Search one value after the other, and the thresholds once more at the end.

    Each step keeps what the steps before it found, and the earlier of two values that are equally
    good; the defaults of ``FrameDecoding`` come first. What is good:

    - a head that knows types, by the F1 of corrected frame counts (``nel.frame_per_label``)
      summed over labels, ties by official frame F1. Where columns are types, those of which the
      references have at least ``MIN_ENTITIES`` then get thresholds of their own, one type after
      the other; the others keep the common ones. Under BIO one probability decides for all.
    - a binary head, by official frame F1.

    Args:
        references: utterances with word times.
        probabilities: by id, ``(T, C)``; one that is not there has no entity.
        grid: frames to seconds.
        labels: names of the columns, as ``spans``.

    Raises:
        ValueError: when no reference has word times.
    """
    aligned = [reference for reference in references if reference.words is not None]
    if not aligned:
        raise ValueError(
            "no utterance to tune on has word times; run `slue-ner align` on the manifest first"
        )
    search = _Search(aligned, probabilities, grid, labels)
    best = FrameDecoding()
    for step in (*_STEPS, *_STEPS[:2]):
        best = search.best(best, step(best))
    if not search.exclusive and len(search.types) > 1:
        for label in search.types:
            if search.num_gold(label) >= MIN_ENTITIES:
                best = search.best(best, _own(best, label))
    by_label = search.label_counts(best).f1 if search.types else None
    return TunedDecoding(best, search.frame_f1(best), by_label)


def _on(start: FrameDecoding) -> list[FrameDecoding]:
    share = start.threshold_off / start.threshold_on
    return [replace(start, threshold_on=on, threshold_off=share * on) for on in THRESHOLDS]


def _off(start: FrameDecoding) -> list[FrameDecoding]:
    return [replace(start, threshold_off=share * start.threshold_on) for share in OFF_SHARES]


def _median(start: FrameDecoding) -> list[FrameDecoding]:
    return [replace(start, median=median) for median in MEDIANS]


def _gap(start: FrameDecoding) -> list[FrameDecoding]:
    return [replace(start, min_gap=gap) for gap in MIN_GAPS]


def _duration(start: FrameDecoding) -> list[FrameDecoding]:
    return [replace(start, min_duration=duration) for duration in MIN_DURATIONS]


def _own(start: FrameDecoding, label: str) -> list[FrameDecoding]:
    tried = product(THRESHOLDS, OFF_SHARES)
    own = [Thresholds(threshold_on=on, threshold_off=share * on) for on, share in tried]
    return [replace(start, per_label={**start.per_label, label: values}) for values in own]


_STEPS = (_on, _off, _median, _gap, _duration)


class _Segment(NamedTuple):
    """Frames ``[first, last)`` of an utterance that one column says are an entity."""

    utterance: int
    first: int
    last: int


class _Search:
    """Scores settings, all utterances at once.

    A column of all utterances stands in one row, with more zeros between them than the longest
    gap that is closed.
    """

    def __init__(
        self,
        references: Sequence[Utterance],
        probabilities: Mapping[str, FloatArray],
        grid: FrameGrid,
        labels: Sequence[str],
    ) -> None:
        self.references = references
        self.grid = grid
        self.exclusive = labels[0] == OUTSIDE
        self._columns = ["any"] if self.exclusive else list(labels)
        self.types = _types(labels)
        self._heard = [reference.id for reference in references if reference.id in probabilities]
        self._probabilities = [probabilities[id] for id in self._heard]
        self._pause = math.ceil(max(MIN_GAPS) / grid.frame_seconds) + 1
        lengths = [len(values) + self._pause for values in self._probabilities]
        self._begins = np.cumsum([0, *lengths])[:-1]  # where each utterance begins in a row
        self._rows: dict[int, list[FloatArray]] = {}
        self._gold = _by_label(references, self.types)
        self._label_counts: dict[tuple[str, FrameDecoding], Counts] = {}
        self._frame_f1: dict[str, float] = {}

    def best(self, start: FrameDecoding, others: Iterable[FrameDecoding]) -> FrameDecoding:
        """The first of the best, ``start`` before the others."""
        for other in others:
            if self.types:
                gain = self.label_counts(other).f1 - self.label_counts(start).f1
                if gain > 0 or (gain == 0 and self.frame_f1(other) > self.frame_f1(start)):
                    start = other
            elif self.frame_f1(other) > self.frame_f1(start):
                start = other
        return start

    def num_gold(self, label: str) -> int:
        """Entities of a type that the references have."""
        return sum(map(len, self._gold[label].values()))

    def frame_f1(self, decoding: FrameDecoding) -> float:
        """Official frame F1 of a setting; labels play no role in it."""
        key = repr(decoding)
        if key not in self._frame_f1:
            found = self._entities(self._columns, decoding)
            predictions = [
                Prediction(id=reference.id, text="", entities=tuple(found.get(reference.id, ())))
                for reference in self.references
            ]
            self._frame_f1[key] = frame_counts_official(self.references, predictions).f1
        return self._frame_f1[key]

    def label_counts(self, decoding: FrameDecoding) -> Counts:
        """Corrected frame counts of a setting, summed over labels."""
        total = Counts()
        for label in self.types:
            key = (label, decoding.of(label))
            if key not in self._label_counts:
                columns = self._columns if self.exclusive else [label]
                found = self._entities(columns, decoding)
                for of in self.types if self.exclusive else [label]:
                    self._label_counts[of, decoding.of(of)] = self._count(of, found)
            total += self._label_counts[key]
        return total

    def _count(self, label: str, found: Mapping[str, Sequence[EntitySpan]]) -> Counts:
        total = Counts()
        for reference in self.references:
            gold = self._gold[label].get(reference.id, [])
            ours = [entity for entity in found.get(reference.id, ()) if entity.label == label]
            if gold or ours:
                total += frame_counts_corrected(reference.words or (), gold, ours)
        return total

    def _entities(
        self, columns: Iterable[str], decoding: FrameDecoding
    ) -> dict[str, list[EntitySpan]]:
        """What ``spans`` gives, but for scores, of some columns; by id."""
        found: dict[str, list[EntitySpan]] = {}
        seconds = self.grid.frame_seconds
        for column in columns:
            for owner, first, last in self._segments(column, decoding):
                of_id = found.setdefault(self._heard[owner], [])
                if self.exclusive:
                    tags = self._probabilities[owner][first:last]
                    for start, stop, k, _ in typed_parts(tags, decoding, seconds):
                        of_id.append(self._entity(self.types[k], first + start, first + stop))
                else:
                    of_id.append(self._entity(column, first, last))
        for entities in found.values():
            entities.sort(key=lambda entity: (entity.start, entity.end))
        return found

    def _entity(self, label: str, first: int, last: int) -> EntitySpan:
        span = self.grid.span(first, last)
        known = label if self.types else None
        return EntitySpan(known, None, start=span.start, end=span.end)

    def _segments(self, column: str, decoding: FrameDecoding) -> list[_Segment]:
        row = self._row(decoding.median)[self._columns.index(column)]
        firsts, lasts = segments(row, decoding.of(column), self.grid.frame_seconds)
        owners = np.searchsorted(self._begins, firsts, side="right") - 1
        begins = self._begins[owners]
        found = zip(
            owners.tolist(), (firsts - begins).tolist(), (lasts - begins).tolist(), strict=True
        )
        return [_Segment(*values) for values in found]

    def _row(self, median: int) -> list[FloatArray]:
        """The row of every column, smoothed."""
        if median not in self._rows:
            labels = [OUTSIDE] if self.exclusive else self._columns
            pause = np.zeros((self._pause, len(self._columns)), dtype=np.float32)
            parts = [
                part
                for values in self._probabilities
                for part in (smooth(columns_to_decode(values, labels), median), pause)
            ]
            self._rows[median] = list(np.concatenate(parts or [pause]).T.copy())
        return self._rows[median]


def _types(labels: Sequence[str]) -> list[str]:
    """The types that columns tell apart; none of a binary head."""
    if labels[0] == OUTSIDE:
        return [label.removeprefix("B-") for label in labels[1::2]]
    return [] if labels[0] == ANY_ENTITY else list(labels)


def _by_label(
    references: Sequence[Utterance], types: Sequence[str]
) -> dict[str, dict[str, list[EntitySpan]]]:
    """The entities of references by type, in the terms of the types' label set, and by id."""
    gold: dict[str, dict[str, list[EntitySpan]]] = {label: {} for label in types}
    sets = (COMBINED, *LABEL_SETS.values())
    choice = next(known.name for known in sets if set(types) <= set(known.labels))
    for reference in references if types else ():
        where = f"utterance {reference.id}"
        for entity in relabel(reference.entities, labels=choice, where=where):
            if entity.label in gold:
                gold[entity.label].setdefault(reference.id, []).append(entity)
    return gold
