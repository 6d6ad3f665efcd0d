"""Named entity localization: the ``nel`` part of the score object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slue_ner.core.time import Seconds
from slue_ner.core.types import EntitySpan, Prediction, Utterance, Word
from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.nel_boundaries import BoundaryError, boundary_distances
from slue_ner.evaluation.nel_corrected import (
    CoveredWord,
    cover_words,
    expose,
    frame_counts_corrected,
    word_counts_corrected,
)
from slue_ner.evaluation.nel_official import RHOS, IntArray, frame_rows_official, word_rows_official
from slue_ner.evaluation.nel_score import PRINTED_RHO, NelScore
from slue_ner.evaluation.nel_times import listed_times
from slue_ner.evaluation.relabel import LabelChoice, relabel


def nel_obstacle(references: Sequence[Utterance]) -> str | None:
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
        pairs: references, for which ``nel_obstacle`` is ``None``, with their predictions.
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
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def _total(rows: IntArray) -> Counts:
    tp, fp, fn = rows.sum(axis=0).tolist()
    return Counts(tp, fp, fn)
