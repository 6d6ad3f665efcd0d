"""Entities as BIO tags over words, and back."""

from __future__ import annotations

from collections.abc import Sequence

from slue_ner.core.types import EntitySpan

OUTSIDE = "O"


def to_bio(num_words: int, entities: Sequence[EntitySpan]) -> list[str]:
    """One tag a word; entities must carry ``words`` and must not overlap.

    Raises:
        ValueError: for an entity without a label or word range, out of range, or overlapping.
    """
    tags = [OUTSIDE] * num_words
    for entity in entities:
        if entity.words is None or entity.label is None:
            raise ValueError(f"entity {entity.phrase!r} needs a label and a word range for BIO")
        first, last = entity.words
        if not 0 <= first < last <= num_words:
            raise ValueError(
                f"entity {entity.phrase!r} covers words [{first}, {last}) but there are {num_words}"
            )
        if any(tag != OUTSIDE for tag in tags[first:last]):
            raise ValueError(f"entity {entity.phrase!r} overlaps another one; BIO cannot say that")
        tags[first:last] = [f"B-{entity.label}", *[f"I-{entity.label}"] * (last - first - 1)]
    return tags


def from_bio(words: Sequence[str], tags: Sequence[str]) -> tuple[EntitySpan, ...]:
    """Entities of a tag sequence.

    An ``I-`` tag that continues nothing, or another type, opens an entity (as the official
    scorer and seqeval's default do).

    Raises:
        ValueError: when the numbers of words and tags differ.
    """
    if len(words) != len(tags):
        raise ValueError(f"{len(words)} words but {len(tags)} tags")
    entities: list[EntitySpan] = []
    first, label = 0, ""
    for index, tag in enumerate([*tags, OUTSIDE]):
        kind, _, name = tag.partition("-")
        if label and (kind != "I" or name != label):
            phrase = " ".join(words[first:index])
            entities.append(EntitySpan(label, phrase, words=(first, index)))
            label = ""
        if name and not label:
            first, label = index, name
    return tuple(entities)
