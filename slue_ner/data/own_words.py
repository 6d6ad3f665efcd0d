"""Word times that come with one's own data reach the entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from slue_ner.core.listing import listed
from slue_ner.core.types import Utterance
from slue_ner.core.validation import TIME_SLACK
from slue_ner.data.word_fit import with_word_times
from slue_ner.data.word_order import MOST_OVERRUN, TimeChanges


def with_own_words(
    splits: Mapping[str, Sequence[Utterance]],
) -> tuple[dict[str, list[Utterance]], list[str]]:
    """Put the words of every utterance to its text, and give its entities their words and times.

    Times that an entity has of its own stay; like words, they are cut where they end a little after
    the audio, and are left out where they end later. An utterance whose words are not those of its
    text goes without word times (``null``, not known).

    Args:
        splits: utterances whose audio has been measured.

    Returns:
        The utterances, and notes about what was changed and which words could not be used.
    """
    timed: dict[str, list[Utterance]] = {}
    every = TimeChanges()
    misfits: list[str] = []
    beyond: list[str] = []
    for split, utterances in splits.items():
        timed[split] = []
        for utterance in utterances:
            utterance, num_cut, outside = _inside(utterance)
            every += TimeChanges(num_cut=num_cut)
            beyond += outside
            if utterance.words is not None:
                try:
                    utterance, changes = with_entity_times(utterance)
                    every += changes
                except ValueError as error:
                    misfits.append(f"{utterance.id}: {error}")
                    utterance = replace(utterance, words=None)
            timed[split].append(utterance)
    notes = every.notes()
    if misfits:
        notes.append(
            f"the words of {len(misfits)} utterances could not be used, so that these have no "
            f"word times:{listed(misfits)}"
        )
    if beyond:
        notes.append(
            f"the times of {len(beyond)} entities are not in their audio and are left out:"
            f"{listed(beyond)}"
        )
    return timed, notes


def _inside(utterance: Utterance) -> tuple[Utterance, int, list[str]]:
    """The utterance with entity times that are in its audio, whether one was cut, and the rest."""
    if utterance.num_samples is None:
        return utterance, 0, []
    duration, num_cut, outside = utterance.duration, 0, []
    entities = []
    for entity in utterance.entities:
        if entity.start is not None and entity.end is not None and entity.end > duration:
            if entity.start < duration and entity.end <= duration + MOST_OVERRUN:
                num_cut = num_cut or int(entity.end > duration + TIME_SLACK)
                entity = replace(entity, end=duration)
            else:
                outside.append(
                    f"{utterance.id}: entity {entity.label} {entity.phrase!r} is at "
                    f"{entity.start:.2f} to {entity.end:.2f}s but the audio lasts {duration:.2f}s"
                )
                entity = replace(entity, start=None, end=None)
        entities.append(entity)
    return replace(utterance, entities=tuple(entities)), num_cut, outside


def with_entity_times(utterance: Utterance) -> tuple[Utterance, TimeChanges]:
    """One utterance; errors as ``with_word_times``."""
    timed, changes = with_word_times(utterance, utterance.words or ())
    entities = tuple(
        new if old.start is None else replace(new, start=old.start, end=old.end)
        for old, new in zip(utterance.entities, timed.entities, strict=True)
    )
    return replace(timed, entities=entities), changes
