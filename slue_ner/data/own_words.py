"""Word times that come with one's own data reach the entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from slue_ner.core.listing import list_reasons
from slue_ner.core.types import Utterance
from slue_ner.data.word_fit import with_word_times
from slue_ner.data.word_order import TimeChanges


def with_own_words(
    splits: Mapping[str, Sequence[Utterance]],
) -> tuple[dict[str, list[Utterance]], list[str]]:
    """Put the words of every utterance to its text, and give its entities their words and times.

    Times that an entity has of its own stay. An utterance whose words are not those of its text
    goes without word times (``null``, not known).

    Args:
        splits: utterances whose audio has been measured.

    Returns:
        The utterances, and notes about what was changed and which words could not be used.
    """
    timed: dict[str, list[Utterance]] = {}
    every = TimeChanges()
    misfits: dict[str, str] = {}
    for split, utterances in splits.items():
        timed[split] = []
        for utterance in utterances:
            if utterance.words is not None:
                try:
                    utterance, changes = with_entity_times(utterance)
                    every += changes
                except ValueError as error:
                    misfits[utterance.id] = str(error)
                    utterance = replace(utterance, words=None)
            timed[split].append(utterance)
    notes = every.notes()
    if misfits:
        notes.append(
            f"the words of {len(misfits)} utterances could not be used, so that these have no "
            f"word times:{list_reasons(misfits)}"
        )
    return timed, notes


def with_entity_times(utterance: Utterance) -> tuple[Utterance, TimeChanges]:
    """One utterance; errors as ``with_word_times``."""
    timed, changes = with_word_times(utterance, utterance.words or ())
    entities = tuple(
        new if old.start is None else replace(new, start=old.start, end=old.end)
        for old, new in zip(utterance.entities, timed.entities, strict=True)
    )
    return replace(timed, entities=entities), changes
