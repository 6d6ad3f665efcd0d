"""Probabilities of frames to entities with times: smoothing, two thresholds, shortest lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from slue_ner.core.time import FrameGrid, Seconds
from slue_ner.core.types import EntitySpan, Word

ANY_ENTITY = "entity"
"""Name of the one class of a binary frame head."""

OUTSIDE = "O"
"""Name of the first class of a BIO frame head; ``B-PERSON``, ``I-PERSON`` and so on follow."""

FloatArray = NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Where the entities of one type start and end.

    Attributes:
        threshold_on: an entity starts where its probability reaches this, in (0, 1].
        threshold_off: it lasts until the probability falls below this, in (0, threshold_on].
    """

    threshold_on: float = 0.5
    threshold_off: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold_off <= self.threshold_on <= 1.0:
            raise ValueError(
                "frame decoding needs 0 < threshold_off <= threshold_on <= 1, got "
                f"threshold_off={self.threshold_off} and threshold_on={self.threshold_on}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameDecoding:
    """How probabilities become entities.

    Attributes:
        threshold_on, threshold_off: as ``Thresholds``, of every type that has none of its own.
        median: frames of the median filter that comes first, odd; 1 for none.
        min_duration: entities shorter than this are dropped, after gaps are closed.
        min_gap: two entities (of one type) less than this apart are one.
        per_label: a type's own thresholds; none under BIO, where one probability decides.
    """

    threshold_on: float = 0.5
    threshold_off: float = 0.5
    median: int = 1
    min_duration: Seconds = 0.0
    min_gap: Seconds = 0.0
    per_label: dict[str, Thresholds] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        Thresholds(threshold_on=self.threshold_on, threshold_off=self.threshold_off)
        if self.median < 1 or self.median % 2 == 0:
            raise ValueError(f"frame decoding needs an odd median of at least 1, got {self.median}")
        if self.min_duration < 0 or self.min_gap < 0:
            raise ValueError(
                "frame decoding needs min_duration and min_gap of at least 0, got "
                f"{self.min_duration} and {self.min_gap}"
            )

    def of(self, label: str) -> FrameDecoding:
        """How one type is decoded: with its own thresholds, if it has any."""
        own = self.per_label.get(label, self)
        return replace(
            self, threshold_on=own.threshold_on, threshold_off=own.threshold_off, per_label={}
        )


def spans(
    probabilities: FloatArray, grid: FrameGrid, options: FrameDecoding, labels: Sequence[str]
) -> list[EntitySpan]:
    """The entities of one utterance.

    Columns that are binary questions are decoded one by one, so their entities may overlap.
    Under BIO the probability of any entity, one minus that of ``O``, is decoded; a span found is
    cut into ``typed_parts``.

    Args:
        probabilities: in [0, 1], ``(T, C)``.
        grid: frames to seconds.
        options: thresholds and lengths.
        labels: names of the ``C`` columns: types, ``ANY_ENTITY`` alone, or BIO tags.

    Returns:
        Entities by start, without phrase; the label is ``None`` where only ``ANY_ENTITY`` is
        known. The score is the mean probability, before the median filter.

    Raises:
        ValueError: when the number of columns is not that of the labels, or a threshold is of
            none of them.
    """
    check_labels(options, labels)
    if probabilities.ndim != 2 or probabilities.shape[1] != len(labels):
        raise ValueError(
            f"frame probabilities of shape {probabilities.shape} do not fit the {len(labels)} "
            f"classes {', '.join(labels)}; they belong to different models"
        )
    smoothed = smooth(columns_to_decode(probabilities, labels), options.median)
    found: list[EntitySpan] = []
    for column, values in enumerate(smoothed.T):
        firsts, lasts = segments(values, options.of(labels[column]), grid.frame_seconds)
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
            if labels[0] == OUTSIDE:
                parts = typed_parts(probabilities[first:last], options, grid.frame_seconds)
                for start, stop, k, mean in parts:
                    name = labels[1 + 2 * k].removeprefix("B-")
                    found.append(_entity(name, first + start, first + stop, mean, grid))
            else:
                label = None if labels[column] == ANY_ENTITY else labels[column]
                score = probabilities[first:last, column].mean()
                found.append(_entity(label, first, last, float(score), grid))
    return sorted(found, key=lambda entity: (entity.start, entity.end))


def check_labels(options: FrameDecoding, labels: Sequence[str]) -> None:
    """Raise ``ValueError`` for thresholds of a type that is no column."""
    if foreign := [label for label in options.per_label if label not in labels]:
        raise ValueError(
            f"the frame decoding has thresholds of its own for {foreign[0]}, which is none of the "
            f"classes {', '.join(labels)}; tune it for this model with `slue-ner tune frames`"
        )


def columns_to_decode(probabilities: FloatArray, labels: Sequence[str]) -> FloatArray:
    """What thresholds act on: the columns themselves, or under BIO any entity, ``(T, 1)``."""
    return 1.0 - probabilities[:, :1] if labels[0] == OUTSIDE else probabilities


def smooth(columns: FloatArray, median: int) -> FloatArray:
    """A running median over ``median`` frames, ``(T, C)``; the ends are repeated outwards."""
    if median == 1 or not len(columns):
        return columns
    padded = np.pad(columns, ((median // 2, median // 2), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, median, axis=0)  # (T, C, median)
    middle: FloatArray = np.partition(windows, median // 2, axis=-1)[..., median // 2]
    return middle


def segments(
    values: FloatArray, options: FrameDecoding, frame_seconds: Seconds
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last frames of the runs ``[first, last)`` that are entities.

    Args:
        values: probabilities of one class, ``(T,)``.
        options: thresholds and lengths.
        frame_seconds: duration of a frame.
    """
    edges = np.diff(values >= options.threshold_off, prepend=False, append=False)
    runs = np.flatnonzero(edges).reshape(-1, 2)
    starts = np.flatnonzero(values >= options.threshold_on)
    places = np.searchsorted(starts, runs[:, 0])
    firsts = np.append(starts, len(values))[places]  # the first frame high enough from there on
    lasts = runs[:, 1]
    firsts, lasts = firsts[firsts < lasts], lasts[firsts < lasts]
    apart = (firsts[1:] - lasts[:-1]) * frame_seconds >= options.min_gap - 1e-9
    firsts = firsts[np.append(True, apart)[: len(firsts)]]
    lasts = lasts[np.append(apart, True)[: len(lasts)]]
    long = (lasts - firsts) * frame_seconds >= options.min_duration - 1e-9
    return firsts[long], lasts[long]


def typed_parts(
    tags: FloatArray, options: FrameDecoding, frame_seconds: Seconds
) -> list[tuple[int, int, int, float]]:
    """Cut a span that BIO says is in entities into entities of one type each.

    It is cut where the ``B-`` of a type beats all other tags, ``O`` among them, unless the frame
    before says the same. A part must stand on both sides: at least ``min_duration`` long, and
    before the cut a frame whose best tag is not ``O``. What is too short for a part stays with
    its neighbour.

    Args:
        tags: probabilities of ``O`` and of B and I of every type, ``(T, 1 + 2K)``, of the span.
        options: for ``min_duration``.
        frame_seconds: duration of a frame.

    Returns:
        Frames ``[first, last)`` within the span, the type with the highest mean probability, and
        that mean.
    """
    best = tags.argmax(axis=1)
    alone = (tags == tags.max(axis=1, keepdims=True)).sum(axis=1) == 1
    begins = (best % 2 == 1) & alone
    cuts = np.flatnonzero(begins[1:] & (best[1:] != best[:-1])) + 1
    shortest = options.min_duration - 1e-9
    borders = [0]
    for cut in cuts.tolist():
        before, after = cut - borders[-1], len(tags) - cut
        if best[borders[-1] : cut].any() and min(before, after) * frame_seconds >= shortest:
            borders.append(cut)
    types = tags[:, 1:].reshape(len(tags), -1, 2).sum(axis=2)  # (T, K)
    parts = []
    for first, last in pairwise([*borders, len(tags)]):
        means = types[first:last].mean(axis=0)
        parts.append((first, last, int(means.argmax()), float(means.max())))
    return parts


def give_words(entities: Sequence[EntitySpan], words: Sequence[Word]) -> tuple[EntitySpan, ...]:
    """Entities with the phrase and word range that their times say.

    A word is of an entity when more than half of its time is inside (an instant: when it is
    inside). An entity without any word, or without times, stays as it is.

    Args:
        entities: with times.
        words: in order, with times; silences do not count.
    """
    starts = np.array([word.start for word in words])
    ends = np.array([word.end for word in words])
    spoken = np.array([bool(word.text) for word in words], dtype=bool)
    given: list[EntitySpan] = []
    for entity in entities:
        if entity.start is not None and entity.end is not None and len(words):
            shared = np.minimum(ends, entity.end) - np.maximum(starts, entity.start)
            instant = (starts == ends) & (entity.start <= starts) & (starts < entity.end)
            inside = np.flatnonzero(((2 * shared > ends - starts) | instant) & spoken)
            if len(inside):
                first, last = int(inside[0]), int(inside[-1]) + 1
                phrase = " ".join(word.text for word in words[first:last] if word.text)
                entity = replace(entity, phrase=phrase, words=(first, last))
        given.append(entity)
    return tuple(given)


def _entity(label: str | None, first: int, last: int, score: float, grid: FrameGrid) -> EntitySpan:
    span = grid.span(first, last)
    return EntitySpan(label, None, start=span.start, end=span.end, score=min(1.0, max(0.0, score)))
