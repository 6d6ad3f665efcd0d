"""Word times that come with one's own data reach the entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from slue_ner.core.listing import list_reasons
from slue_ner.core.types import Utterance
from slue_ner.core.validation import TIME_SLACK
from slue_ner.data.word_fit import with_word_times
from slue_ner.data.word_order import MOST_OVERRUN, TimeChanges


def with_own_words(
    splits: Mapping[str, Sequence[Utterance]],
) -> tuple[dict[str, list[Utterance]], list[str]]:
    """Put the words of every utterance to its text, and give its entities their words and times.

    Times that an entity has of its own stay, cut as words are where they end a little after the
    audio. An utterance whose words are not those of its text goes without word times (``null``, not
    known).

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
            utterance, is_cut = _cut(utterance)
            changes = TimeChanges()
            if utterance.words is not None:
                try:
                    utterance, changes = with_entity_times(utterance)
                except ValueError as error:
                    misfits[utterance.id] = str(error)
                    utterance = replace(utterance, words=None)
            every += replace(changes, num_cut=int(is_cut or changes.num_cut > 0))
            timed[split].append(utterance)
    notes = every.notes()
    if misfits:
        notes.append(
            f"the words of {len(misfits)} utterances could not be used, so that these have no "
            f"word times:{list_reasons(misfits)}"
        )
    return timed, notes


def _cut(utterance: Utterance) -> tuple[Utterance, bool]:
    """Entities that end a little after the audio end with it, as words do; whether one did."""
    duration = utterance.duration
    late = [
        entity.end is not None and TIME_SLACK < entity.end - duration <= MOST_OVERRUN
        for entity in utterance.entities
    ]
    if utterance.num_samples is None or not any(late):
        return utterance, False
    entities = tuple(
        replace(entity, start=min(entity.start or 0.0, duration), end=duration)
        if is_late
        else entity
        for entity, is_late in zip(utterance.entities, late, strict=True)
    )
    return replace(utterance, entities=entities), True


def with_entity_times(utterance: Utterance) -> tuple[Utterance, TimeChanges]:
    """One utterance; errors as ``with_word_times``."""
    timed, changes = with_word_times(utterance, utterance.words or ())
    entities = tuple(
        new if old.start is None else replace(new, start=old.start, end=old.end)
        for old, new in zip(utterance.entities, timed.entities, strict=True)
    )
    return replace(timed, entities=entities), changes
