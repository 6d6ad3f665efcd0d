"""Sufficient statistics: what each utterance adds to every metric, as numbers that add up."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slue_ner.core.types import EntitySpan, Prediction, Utterance
from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.joining import LabelChoice, relabel
from slue_ner.evaluation.nel import NelScore, measure_nel, why_not_localized
from slue_ner.evaluation.ner import (
    EntityScore,
    LabelCounts,
    count_entities,
    count_labels,
    num_in_place,
    num_matches,
    num_tolerant_matches,
    partition,
)
from slue_ner.evaluation.wer import Edits, character_edits, rejoin_apostrophes, word_edits

Pair = tuple[Utterance, Prediction]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Rows of counts, one an utterance, under the names that metrics have in the score object.

    Another metric joins as one more entry of either mapping.

    Attributes:
        edits: ``(N, 2)`` each: edits and length of the reference.
        counts: ``(N, 3)`` each: true positives, false positives, false negatives.
        entities: ``ner`` and ``ner_label`` by label, summed over the utterances.
        nel: scores of the times, summed; the ``headline`` ones among them have rows in
            ``counts``. ``None`` when the references do not allow any.
    """

    edits: Mapping[str, IntArray]
    counts: Mapping[str, IntArray]
    entities: Mapping[str, EntityScore]
    nel: NelScore | None

    def matrix(self) -> FloatArray:
        """All rows side by side, ``(N, C)``; what a bootstrap resamples."""
        return np.concatenate([*self.edits.values(), *self.counts.values()], axis=1, dtype=float)

    def rates(self, sums: FloatArray) -> dict[str, FloatArray]:
        """Turn sums of ``matrix`` rows into rates.

        Args:
            sums: ``(..., C)``, any number of sums at once.

        Returns:
            Fractions ``(...)`` by path; NaN where a sum leaves a rate undefined (0/0).
        """
        rates: dict[str, FloatArray] = {}
        column = 0
        for name in self.edits:
            edits, length = np.moveaxis(sums[..., column : column + 2], -1, 0)
            rates[name] = _divide(edits, length)
            column += 2
        for name in self.counts:
            tp, fp, fn = np.moveaxis(sums[..., column : column + 3], -1, 0)
            if name == "ner":
                rates["ner.micro.precision"] = _divide(tp, tp + fp)
                rates["ner.micro.recall"] = _divide(tp, tp + fn)
            path = f"{name}.f1" if name.startswith("nel.") else f"{name}.micro.f1"
            rates[path] = _divide(2 * tp, 2 * tp + fp + fn)
            column += 3
        return rates

    def total(self, name: str) -> Counts:
        """The counts called ``name``, summed over the utterances."""
        tp, fp, fn = self.counts[name].sum(axis=0).tolist()
        return Counts(tp, fp, fn)

    def error_rates(self) -> dict[str, float]:
        """Edits over reference length by name, where there is a reference to divide by."""
        sums = {name: edits.sum(axis=0).tolist() for name, edits in self.edits.items()}
        return {name: edits / length for name, (edits, length) in sums.items() if length}


def measure(
    pairs: Sequence[Pair],
    *,
    labels: LabelChoice,
    seen_phrases: Collection[str] | None,
) -> Statistics:
    """Count everything there is to count in each pair of reference and prediction.

    ``wer_asr`` is left out when a reference has no ``asr_text``, the seen and unseen entities
    when ``seen_phrases`` is ``None``, NEL when ``why_not_localized`` finds one.

    Raises:
        ValueError: naming the utterance whose labels or word ranges do not fit.
    """
    names = ["ner", "ner_label", "ner_position", "ner_tolerant"]
    if seen_phrases is not None:
        names += ["ner_seen", "ner_unseen"]
    by_label: dict[str, LabelCounts] = {"ner": {}, "ner_label": {}}
    counts = np.zeros((len(pairs), len(names), 3), dtype=np.int64)
    for row, (reference, prediction) in zip(counts, pairs, strict=True):
        gold = relabel(reference.entities, labels=labels, where=f"utterance {reference.id}")
        found = prediction.entities or ()
        predicted = relabel(found, labels=labels, where=f"prediction {prediction.id}")
        if gold or predicted:
            in_place = num_in_place(reference, prediction, gold=gold, predicted=predicted)
            row[:] = _entity_rows(gold, predicted, in_place, seen_phrases, by_label)
    rows = {name: counts[:, index] for index, name in enumerate(names)}
    nel = None
    if why_not_localized([reference for reference, _ in pairs]) is None:
        nel, nel_rows = measure_nel(pairs, labels=labels)
        rows.update(nel_rows)
    return Statistics(
        edits=_edits(pairs),
        counts=rows,
        entities={name: EntityScore.from_labels(total) for name, total in by_label.items()},
        nel=nel,
    )


def _edits(pairs: Sequence[Pair]) -> dict[str, IntArray]:
    edits = {
        "wer": _edit_rows(word_edits(p.text, reference=r.text) for r, p in pairs),
        "cer": _edit_rows(character_edits(p.text, reference=r.text) for r, p in pairs),
    }
    if all(reference.asr_text is not None for reference, _ in pairs):
        edits["wer_asr"] = _edit_rows(
            word_edits(rejoin_apostrophes(p.text), reference=r.asr_text or "") for r, p in pairs
        )
    return edits


def _edit_rows(found: Iterable[Edits]) -> IntArray:
    numbers = (number for row in found for number in (row.edits, row.length))
    return np.fromiter(numbers, dtype=np.int64).reshape(-1, 2)  # (N, 2)


def _entity_rows(
    gold: Sequence[EntitySpan],
    predicted: Sequence[EntitySpan],
    in_place: int,
    seen_phrases: Collection[str] | None,
    by_label: dict[str, LabelCounts],
) -> list[tuple[int, int, int]]:
    """One utterance's tp, fp, fn of every entity metric; ``by_label`` grows by them."""
    rows = [
        _add(by_label["ner"], count_entities(gold, predicted=predicted)),
        _add(by_label["ner_label"], count_labels(gold, predicted=predicted)),
        _row(in_place, gold, predicted),
        _row(num_tolerant_matches(gold, predicted=predicted), gold, predicted),
    ]
    if seen_phrases is not None:
        parts = (partition(side, seen_phrases=seen_phrases) for side in (gold, predicted))
        for gold_part, predicted_part in zip(*parts, strict=True):
            tp = num_matches(gold_part, predicted=predicted_part)
            rows.append(_row(tp, gold_part, predicted_part))
    return rows


def _add(total: LabelCounts, counts: LabelCounts) -> tuple[int, int, int]:
    tp = fp = fn = 0
    for label, count in counts.items():
        total[label] = total[label] + count if label in total else count
        tp, fp, fn = tp + count.tp, fp + count.fp, fn + count.fn
    return tp, fp, fn


def _row(
    tp: int, gold: Sequence[EntitySpan], predicted: Sequence[EntitySpan]
) -> tuple[int, int, int]:
    return tp, len(predicted) - tp, len(gold) - tp


def _divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    rates: FloatArray = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=rates, where=denominator > 0)
    return rates
