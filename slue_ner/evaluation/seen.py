"""Entities that training has shown, and those it has not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from slue_ner.core.types import EntitySpan, Utterance


def training_phrases(utterances: Iterable[Utterance]) -> frozenset[str]:
    """Every phrase annotated as an entity, of any type, in the training manifest."""
    return frozenset(
        entity.phrase
        for utterance in utterances
        for entity in utterance.entities
        if entity.phrase is not None
    )


def partition(
    entities: Sequence[EntitySpan], *, seen_phrases: Collection[str]
) -> tuple[list[EntitySpan], list[EntitySpan]]:
    """Split entities into those whose phrase was seen and the rest.

    References and predictions are split by the same rule, so that the true positives of the two
    parts add up to those of the whole. A phrase that is not known was not seen.
    """
    seen: list[EntitySpan] = []
    unseen: list[EntitySpan] = []
    for entity in entities:
        (seen if entity.phrase in seen_phrases else unseen).append(entity)
    return seen, unseen
