"""Which set of labels a score speaks of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Literal, get_args

from slue_ner.core.labels import label_set
from slue_ner.core.suggest import nearest
from slue_ner.core.types import EntitySpan

LabelChoice = Literal["combined", "raw", "as-is"]


def check_choice(labels: str) -> None:
    """Raise ``ValueError`` for a choice other than ``combined``, ``raw`` and ``as-is``."""
    if labels not in get_args(LabelChoice):
        hint = nearest(labels, get_args(LabelChoice))
        raise ValueError(f"unknown choice of labels {labels!r}; {hint}")


def relabel(
    entities: Iterable[EntitySpan], *, labels: LabelChoice, where: str
) -> tuple[EntitySpan, ...]:
    """Entities in the terms of one label set.

    Args:
        entities: of a reference or a prediction; one without a label is kept as it is.
        labels: ``combined`` maps raw labels and drops the five types SLUE drops; ``raw`` accepts
            raw labels only; ``as-is`` changes nothing.
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
