"""References and predictions brought together: by id, nothing skipped, and under one label set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from slue_ner.core.labels import LABEL_SETS, label_set, label_set_for
from slue_ner.core.listing import shown
from slue_ner.core.suggest import nearest
from slue_ner.core.types import EntitySpan, Prediction, Utterance

NUM_NAMED = 3
"""How many ids an error message spells out."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Every reference with its prediction, in the order of the references.

    Attributes:
        num_missing: references without a prediction, scored as if nothing had been predicted.
        num_errors: predictions that failed, scored the same way.
        num_repairs: malformed tags repaired over all predictions.
    """

    pairs: tuple[tuple[Utterance, Prediction], ...]
    num_missing: int
    num_errors: int
    num_repairs: int


def join(
    references: Sequence[Utterance],
    predictions: Sequence[Prediction],
    *,
    missing_as_empty: bool = False,
) -> Joined:
    """Give each reference its prediction.

    A prediction that carries an error loses whatever text and entities it has.

    Raises:
        ValueError: naming ids that occur twice, that have no reference or, unless
            ``missing_as_empty``, no prediction.
    """
    by_id = {prediction.id: prediction for prediction in predictions}
    known = {reference.id for reference in references}
    for name, records in (("references", references), ("predictions", predictions)):
        repeated = [id for id, times in Counter(r.id for r in records).items() if times > 1]
        _refuse(repeated, f"occur more than once in the {name}; each utterance is scored once")
    _refuse(
        [id for id in by_id if id not in known],
        "have a prediction but no reference; score against the manifest that was predicted",
    )
    missing = [reference.id for reference in references if reference.id not in by_id]
    if not missing_as_empty:
        _refuse(
            missing,
            "have a reference but no prediction; predict them, or count them as missed with "
            "missing_as_empty (--missing-as-empty)",
        )
    pairs = tuple(
        (reference, _scorable(by_id.get(reference.id), reference.id)) for reference in references
    )
    return Joined(
        pairs=pairs,
        num_missing=len(missing),
        num_errors=sum(prediction.error is not None for prediction in predictions),
        num_repairs=sum(prediction.num_repairs for prediction in predictions),
    )


def _refuse(ids: Sequence[str], what: str) -> None:
    if ids:
        raise ValueError(f"{len(ids)} ids ({shown(ids, NUM_NAMED)}) {what}")


def _scorable(prediction: Prediction | None, id: str) -> Prediction:
    if prediction is None or prediction.error is not None:
        return Prediction(id=id, text="")
    return prediction


LabelChoice = str
"""The name of a label set, or ``as-is``."""


def check_choice(labels: str) -> None:
    """Raise ``ValueError`` for a choice other than ``as-is`` and the known label sets."""
    known = (*LABEL_SETS, "as-is")
    if labels not in known:
        raise ValueError(f"unknown choice of labels {labels!r}; {nearest(labels, known)}")


def usual_choice(references: Iterable[Utterance], predictions: Iterable[Prediction]) -> LabelChoice:
    """``combined``, as SLUE reports, or the set of one's own that the entities are labelled in."""
    records: list[Utterance | Prediction] = [*references, *predictions]
    return label_set_for(e.label for r in records for e in r.entities or () if e.label).name


def relabel(
    entities: Iterable[EntitySpan], *, labels: LabelChoice, where: str
) -> tuple[EntitySpan, ...]:
    """Entities in the terms of one label set.

    Args:
        entities: of a reference or a prediction; one without a label is kept as it is.
        labels: ``combined`` maps raw labels and drops the five types SLUE drops; ``raw`` and
            sets of one's own accept their own labels only; ``as-is`` changes nothing.
        where: whose entities these are, for the error.

    Raises:
        ValueError: naming ``where`` and a combined label when raw ones are asked for.
    """
    if labels == "as-is":
        return tuple(entities)
    kept: list[EntitySpan] = []
    for entity in entities:
        if entity.label is None:
            kept.append(entity)
            continue
        try:
            label = _convert(labels, entity.label)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        if label == entity.label:
            kept.append(entity)
        elif label is not None:
            kept.append(replace(entity, label=label))
    return tuple(kept)


@cache
def _convert(labels: str, label: str) -> str | None:
    return label_set(labels).convert(label)
