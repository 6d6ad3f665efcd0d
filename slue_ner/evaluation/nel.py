"""Named entity localization: the ``nel`` part of the score object, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slue_ner.core.time import Seconds
from slue_ner.core.types import EntitySpan, Prediction, Utterance, Word
from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.joining import LabelChoice, relabel
from slue_ner.evaluation.nel_corrected import (
    BoundaryError,
    CoveredWord,
    Exposure,
    boundary_distances,
    cover_words,
    expose,
    frame_counts_corrected,
    word_counts_corrected,
)
from slue_ner.evaluation.nel_official import RHOS, IntArray, frame_rows_official, word_rows_official
from slue_ner.evaluation.nel_times import listed_times


def why_not_localized(references: Sequence[Utterance]) -> str | None:
    """Why these references allow no NEL score; ``None`` when they do."""
    aligned = [reference for reference in references if reference.words is not None]
    if not aligned:
        return f"none of the {len(references)} references has word times"
    num_entities = sum(len(reference.entities) for reference in aligned)
    if num_entities and _num_unplaced(aligned) == num_entities:
        return f"none of the {num_entities} entities of the references has a range of words"
    return None


def _num_unplaced(references: Sequence[Utterance]) -> int:
    aligned = (reference for reference in references if reference.words is not None)
    return sum(entity.words is None for reference in aligned for entity in reference.entities)


def measure_nel(
    pairs: Sequence[tuple[Utterance, Prediction]], *, labels: LabelChoice
) -> tuple[NelScore, dict[str, IntArray]]:
    """Score the times of predicted entities.

    Args:
        pairs: references, for which ``why_not_localized`` is ``None``, with their predictions.
        labels: acts on everything but the official figures.

    Returns:
        The score, and the rows ``(N, 3)`` of tp, fp and fn behind every ``headline`` path.

    Raises:
        ValueError: naming the utterance whose labels do not fit the choice.
    """
    frame_official, word_official = frame_rows_official(pairs), word_rows_official(pairs)
    tallies = [_tally(reference, prediction, labels) for reference, prediction in pairs]
    frame_corrected = _rows([tally.frames for tally in tallies])
    word_corrected = {
        rho: _rows([word_counts_corrected(tally.words, rho=rho) for tally in tallies])
        for rho in RHOS
    }
    distances = [pair for tally in tallies for pair in tally.distances]
    flat = [distance for pair in distances for distance in pair]
    references = [reference for reference, _ in pairs]
    score = NelScore(
        frame_official=_total(frame_official),
        frame_corrected=_total(frame_corrected),
        frame_per_label=_per_label(tallies),
        word_official={rho: _total(rows) for rho, rows in word_official.items()},
        word_corrected={rho: _total(rows) for rho, rows in word_corrected.items()},
        exposure=expose(word for tally in tallies for word in tally.words),
        boundary=BoundaryError.from_seconds(flat, num_matched=len(distances)) if flat else None,
        num_untimed=sum(
            len(prediction.entities or ()) - len(listed_times(prediction.entities or ()))
            for _, prediction in pairs
        ),
        num_unaligned=sum(reference.words is None for reference in references),
        num_unplaced=_num_unplaced(references),
    )
    rows = (
        frame_official,
        frame_corrected,
        word_official[PRINTED_RHO],
        word_corrected[PRINTED_RHO],
    )
    return score, dict(zip(score.headline, rows, strict=True))


@dataclass(frozen=True, slots=True)
class _Tally:
    """What the corrected metrics find in one utterance; nothing without an alignment."""

    frames: Counts
    per_label: Mapping[str | None, Counts]
    words: Sequence[CoveredWord]
    distances: Sequence[Sequence[Seconds]]


def _tally(reference: Utterance, prediction: Prediction, labels: LabelChoice) -> _Tally:
    words = reference.words
    if words is None:
        return _Tally(Counts(), {}, (), ())
    gold = relabel(reference.entities, labels=labels, where=f"utterance {reference.id}")
    predicted = relabel(
        prediction.entities or (), labels=labels, where=f"prediction {prediction.id}"
    )
    return _Tally(
        frames=frame_counts_corrected(words, gold, predicted),
        per_label=_frames_by_label(words, gold, predicted),
        words=cover_words(words, gold, predicted),
        distances=boundary_distances(words, gold, predicted),
    )


def _frames_by_label(
    words: Sequence[Word], gold: Sequence[EntitySpan], predicted: Sequence[EntitySpan]
) -> dict[str | None, Counts]:
    """Counts of every label, and of predictions without one that have times."""
    timed = [entity for entity in predicted if entity.start is not None]
    return {
        label: frame_counts_corrected(
            words,
            [entity for entity in gold if entity.label == label],
            [entity for entity in timed if entity.label == label],
        )
        for label in dict.fromkeys(entity.label for entity in (*gold, *timed))
    }


def _per_label(tallies: Sequence[_Tally]) -> dict[str, Counts] | None:
    total: dict[str | None, Counts] = {}
    for tally in tallies:
        for label, counts in tally.per_label.items():
            total[label] = total.get(label, Counts()) + counts
    if None in total:
        return None
    return {label: total[label] for label in sorted(filter(None, total))}


def _rows(counts: Sequence[Counts]) -> IntArray:
    rows = [(count.tp, count.fp, count.fn) for count in counts]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)  # (N, 3)


def _total(rows: IntArray) -> Counts:
    tp, fp, fn = rows.sum(axis=0).tolist()
    return Counts(tp, fp, fn)


PRINTED_RHO = 0.8
"""The tolerance that tables show and that intervals are made for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NelScore:
    """Counts of 10 ms bins and of words, and what they mean for redaction.

    ``official`` figures are slue-toolkit's, quirks included, and ignore labels. All others are
    about the entities that the choice of labels leaves, over the references with an alignment.

    Attributes:
        frame_per_label: corrected, each label by itself; ``None`` when a timed prediction has
            no label.
        word_official, word_corrected: by rho, the share of a word that must be covered.
        exposure: leakage and over-redaction.
        boundary: ``None`` when no predicted entity overlaps a gold one.
        num_untimed: predicted entities without times, left out of everything here.
        num_unaligned: references without word times. Official: their predictions are spurious
            frames. Corrected: left out.
        num_unplaced: gold entities without a range of words in an aligned reference; they count
            as if they were not there (their times still serve official frames and boundaries).
    """

    frame_official: Counts
    frame_corrected: Counts
    frame_per_label: Mapping[str, Counts] | None
    word_official: Mapping[float, Counts]
    word_corrected: Mapping[float, Counts]
    exposure: Exposure
    boundary: BoundaryError | None
    num_untimed: int
    num_unaligned: int
    num_unplaced: int

    @property
    def headline(self) -> dict[str, Counts]:
        """The counts that tables show and intervals are made for, by path."""
        return {
            "nel.frame_official": self.frame_official,
            "nel.frame_corrected": self.frame_corrected,
            f"nel.word_official.{PRINTED_RHO}": self.word_official[PRINTED_RHO],
            f"nel.word_corrected.{PRINTED_RHO}": self.word_corrected[PRINTED_RHO],
        }

    @property
    def not_computed(self) -> dict[str, str]:
        """Why a figure is absent, by path."""
        reasons: dict[str, str] = {}
        if self.frame_per_label is None:
            reasons["nel.frame_per_label"] = "a predicted entity has times but no label"
        if self.boundary is None:
            reasons["nel.boundary_ms"] = "no predicted entity overlaps a gold one"
        if self.exposure.leakage is None:
            reasons["nel.leakage"] = "the references have no entity with word times"
        if self.exposure.over_redaction is None:
            reasons["nel.over_redaction"] = "the references have no word outside entities"
        return reasons

    def to_json(self) -> dict[str, Any]:
        """Fractions, counts, milliseconds; what could not be computed is absent."""
        labels, boundary, exposure = self.frame_per_label, self.boundary, self.exposure
        leakage, over_redaction = exposure.leakage, exposure.over_redaction
        return {
            "frame_official": _to_json(self.frame_official),
            "frame_corrected": _to_json(self.frame_corrected),
            **({} if labels is None else {"frame_per_label": _by_name(labels)}),
            "word_official": _by_name(self.word_official),
            "word_corrected": _by_name(self.word_corrected),
            **({} if boundary is None else {"boundary_ms": boundary.to_json()}),
            **({} if leakage is None else {"leakage": leakage}),
            **({} if over_redaction is None else {"over_redaction": over_redaction}),
            "num_untimed": self.num_untimed,
            "num_unaligned": self.num_unaligned,
            "num_unplaced": self.num_unplaced,
        }


def _to_json(counts: Counts) -> dict[str, float | int]:
    return {**counts.to_json(), "fp": counts.fp, "fn": counts.fn}


def _by_name(counts: Mapping[Any, Counts]) -> dict[str, dict[str, float | int]]:
    return {str(name): _to_json(count) for name, count in counts.items()}
