"""Entity F1 that forgives small misspellings of a phrase."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from slue_ner.core.types import EntitySpan

CHARACTERS_PER_EDIT = 5
"""One edit is forgiven for every 5 characters of the gold phrase: a CER of at most 0.2."""


def num_tolerant_matches(gold: Sequence[EntitySpan], *, predicted: Sequence[EntitySpan]) -> int:
    """The most pairs of one utterance's entities that agree in label and nearly in phrase.

    A pair may be formed when the labels are equal and the character error rate of the predicted
    phrase (edits / characters of the gold phrase, spaces included) is at most 0.2. Each entity
    is used once, and the pairing is chosen to be as large as possible, so the order of entities
    does not matter.
    """
    gold_phrases, predicted_phrases = _phrases(gold), _phrases(predicted)
    return sum(
        _num_pairs(gold_phrases[label], phrases)
        for label, phrases in predicted_phrases.items()
        if label in gold_phrases
    )


def _phrases(entities: Sequence[EntitySpan]) -> dict[str, list[str]]:
    by_label: dict[str, list[str]] = defaultdict(list)
    for entity in entities:
        if entity.label is not None and entity.phrase is not None:
            by_label[entity.label].append(entity.phrase)
    return by_label


def _num_pairs(gold: list[str], predicted: list[str]) -> int:
    if gold == predicted:
        return len(gold)
    candidates = [
        [index for index, target in enumerate(gold) if _is_near(phrase, target)]
        for phrase in predicted
    ]
    return _largest_matching(candidates)


def _is_near(phrase: str, target: str) -> bool:
    allowed = len(target) // CHARACTERS_PER_EDIT
    if not allowed:
        return phrase == target
    return Levenshtein.distance(phrase, target, score_cutoff=allowed) <= allowed


def _largest_matching(candidates: list[list[int]]) -> int:
    """Size of a largest one-to-one choice of one candidate per row (breadth-first augmenting)."""
    row_of: dict[int, int] = {}
    for first in range(len(candidates)):
        came_from: dict[int, int] = {}  # candidate -> the row that reached it
        choice: dict[int, int] = {row: column for column, row in row_of.items()}
        queue, free = [first], None
        for row in queue:
            for column in candidates[row]:
                if column in came_from:
                    continue
                came_from[column] = row
                if column not in row_of:
                    free = column
                    break
                queue.append(row_of[column])
            if free is not None:
                break
        while free is not None:
            row = came_from[free]
            row_of[free] = row
            free = choice.get(row)
    return len(row_of)
