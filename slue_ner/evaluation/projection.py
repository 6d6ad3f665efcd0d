"""Carry the entities of a reference onto what a recogniser wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from slue_ner.core.types import EntitySpan


def project(
    entities: Sequence[EntitySpan], *, reference: Sequence[str], hypothesis: Sequence[str]
) -> tuple[EntitySpan, ...]:
    """The entities of ``reference`` as word ranges of ``hypothesis``.

    Words are aligned at the least cost: 1 for a word left out or put in, and for a word
    replaced the share of its letters that were changed, so ``brussel`` answers to ``brussels``
    rather than its neighbour. An entity covers the hypothesis from the first to the last word
    that answers to one of its own; when all of them were left out, it is lost.

    Args:
        entities: with ``words`` as ranges of ``reference``, none overlapping another.
        reference: what was said.
        hypothesis: what was recognised.
    """
    if list(reference) == list(hypothesis):
        return tuple(entities)
    partners = word_partners(reference, hypothesis)
    projected: list[EntitySpan] = []
    for entity in entities:
        assert entity.words is not None
        found = [p for p in partners[slice(*entity.words)] if p is not None]
        if found:
            first, last = found[0], found[-1] + 1
            phrase = " ".join(hypothesis[first:last])
            projected.append(replace(entity, words=(first, last), phrase=phrase))
    return tuple(projected)


def word_partners(reference: Sequence[str], hypothesis: Sequence[str]) -> list[int | None]:
    """For each word of ``reference``, the word of ``hypothesis`` that answers to it.

    Partners are in ascending order; ``None`` for a word that was left out.
    """
    num_words, num_found = len(reference), len(hypothesis)
    if not num_words or not num_found:
        return [None] * num_words
    changed = cdist(reference, hypothesis, scorer=Levenshtein.normalized_distance).tolist()
    cost = np.zeros((num_words + 1, num_found + 1)).tolist()
    cost[0] = list(range(num_found + 1))
    for i in range(1, num_words + 1):
        row, above, change = cost[i], cost[i - 1], changed[i - 1]
        row[0] = float(i)
        for j in range(1, num_found + 1):
            row[j] = min(above[j - 1] + change[j - 1], above[j] + 1.0, row[j - 1] + 1.0)
    partners: list[int | None] = [None] * num_words
    i, j = num_words, num_found
    while i and j:
        if cost[i][j] == cost[i - 1][j - 1] + changed[i - 1][j - 1]:
            i, j = i - 1, j - 1
            partners[i] = j
        elif cost[i][j] == cost[i - 1][j] + 1.0:
            i -= 1
        else:
            j -= 1
    return partners
