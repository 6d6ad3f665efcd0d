"""The best thresholds and lengths for frame probabilities, searched without the model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from slue_ner.core.time import FrameGrid, Seconds
from slue_ner.core.types import EntitySpan, Prediction, Utterance
from slue_ner.decoding.frames import (
    FloatArray,
    FrameDecoding,
    columns_to_decode,
    segments,
    smooth,
)
from slue_ner.evaluation.nel_official import frame_counts_official

THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
OFF_SHARES = (1.0, 0.75, 0.5)
"""``threshold_off`` as a share of ``threshold_on``."""

MEDIANS = (1, 5, 9, 15)
MIN_GAPS = (0.0, 0.06, 0.12, 0.24)
MIN_DURATIONS = (0.0, 0.06, 0.12, 0.24)


@dataclass(frozen=True, slots=True)
class TunedDecoding:
    """The winner of a search.

    Attributes:
        decoding: the values.
        frame_f1: official frame F1 that they reach on what they were tuned on.
    """

    decoding: FrameDecoding
    frame_f1: float

    def __str__(self) -> str:
        """All values in one line for the terminal."""
        listed = ", ".join(f"{name} {value:g}" for name, value in asdict(self.decoding).items())
        return f"frame decoding: {listed}; frame F1 {100 * self.frame_f1:.1f}"


def tune_frames(
    references: Sequence[Utterance],
    probabilities: Mapping[str, FloatArray],
    grid: FrameGrid,
    labels: Sequence[str],
) -> TunedDecoding:
    """Search one value after the other, and the thresholds once more at the end.

    Each step keeps what the steps before it found, and the earlier of two values that are equally
    good; the defaults of ``FrameDecoding`` come first.

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
    best_f1 = search.frame_f1(best)
    for step in (*_STEPS, *_STEPS[:2]):
        for decoding in step(best):
            frame_f1 = search.frame_f1(decoding)
            if frame_f1 > best_f1:
                best, best_f1 = decoding, frame_f1
    return TunedDecoding(best, best_f1)


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


_STEPS = (_on, _off, _median, _gap, _duration)


class _Search:
    """Scores settings, all utterances at once; labels play no role in the official F1.

    The columns of all utterances stand in one row, with more zeros between them than the longest
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
        self._heard = [reference.id for reference in references if reference.id in probabilities]
        self._columns = [columns_to_decode(probabilities[id], labels) for id in self._heard]
        self._pause = math.ceil(max(MIN_GAPS) / grid.frame_seconds) + 1
        # where each column begins in the row, and whose it is
        lengths = [len(columns) for columns in self._columns for _ in columns.T]
        self._begins = np.cumsum([0, *(length + self._pause for length in lengths)])[:-1]
        self._owners = np.repeat(np.arange(len(self._heard)), [c.shape[1] for c in self._columns])
        self._rows: dict[int, FloatArray] = {}

    def frame_f1(self, decoding: FrameDecoding) -> float:
        """Official frame F1 of a setting."""
        found: dict[str, list[EntitySpan]] = {}
        for owner, start, end in self._times(decoding):
            entity = EntitySpan(None, None, start=start, end=end)
            found.setdefault(self._heard[owner], []).append(entity)
        predictions = [
            Prediction(id=reference.id, text="", entities=tuple(found.get(reference.id, ())))
            for reference in self.references
        ]
        return frame_counts_official(self.references, predictions).f1

    def _times(self, decoding: FrameDecoding) -> Iterator[tuple[int, Seconds, Seconds]]:
        """Whose, start and end of every entity, in the order in which ``spans`` lists them."""
        firsts, lasts = segments(self._row(decoding.median), decoding, self.grid.frame_seconds)
        columns = np.searchsorted(self._begins, firsts, side="right") - 1
        frames = np.stack([firsts, lasts]) - self._begins[columns]
        owners = self._owners[columns]
        order = np.lexsort([frames[1], frames[0], owners])
        starts, ends = frames[:, order] * self.grid.hop / self.grid.sample_rate
        return zip(owners[order].tolist(), starts.tolist(), ends.tolist(), strict=True)

    def _row(self, median: int) -> FloatArray:
        if median not in self._rows:
            pause = np.zeros(self._pause, dtype=np.float32)
            parts = [
                part
                for columns in self._columns
                for column in smooth(columns, median).T
                for part in (column, pause)
            ]
            self._rows[median] = np.concatenate(parts) if parts else pause
        return self._rows[median]
