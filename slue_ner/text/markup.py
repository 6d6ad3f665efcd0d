"""Tagged transcripts: a transcript and its entities written as one sequence of words, and back.

An entity is written as its type symbol, its words and ``]``, each a word of its own:
``the % eu 's ] budget``. Source: slue-toolkit ``prepare/data_utils.py`` (writing) and
``eval/eval_utils_ner.py`` (reading).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slue_ner.core.labels import END_SYMBOL, LabelSet
from slue_ner.core.types import EntitySpan, Utterance

DELIMITER = "|"
"""Stands for the space between words in a sequence of CTC symbols."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a tagged word sequence says.

    Attributes:
        words: spoken words, without type symbols and ``]``.
        entities: label, phrase and the range of ``words`` each covers.
        sources: index in the tagged sequence of each of ``words``.
        entity_sources: per entity, the indices of its type symbol and of its ``]``.
        num_repairs: marks that had to be ignored (see ``read_tagged``).
    """

    words: tuple[str, ...]
    entities: tuple[EntitySpan, ...]
    sources: tuple[int, ...]
    entity_sources: tuple[tuple[int, int], ...]
    num_repairs: int


def target_words(utterance: Utterance, labels: LabelSet | None) -> list[str]:
    """What a recogniser learns to write: tagged words when there are ``labels``, else plain."""
    return utterance.text.split() if labels is None else write_tagged(utterance, labels)


def write_tagged(utterance: Utterance, labels: LabelSet) -> list[str]:
    """The words of an utterance with its entities marked in the symbols of ``labels``.

    Entities whose label the set drops (FAC, EVENT, ... in the combined set) stay plain words.

    Raises:
        ValueError: when the text itself holds a mark of the set as a word, since it could not
            be read back.
    """
    for word in utterance.text.split(" "):
        if word in labels.marks:
            raise ValueError(
                f"utterance {utterance.id}: the word {word!r} is an entity mark of the "
                f"{labels.name} label set; remove it from the text or use the other set"
            )
    return tagged_words(utterance, labels)


def tagged_words(utterance: Utterance, labels: LabelSet) -> list[str]:
    """As ``write_tagged``, whatever the text holds; ``text.marks`` says what can be read back."""
    starts: dict[int, str] = {}
    ends: set[int] = set()
    for entity in utterance.entities:
        label = None if entity.label is None else labels.convert(entity.label)
        if label is None or entity.start_char is None or entity.end_char is None:
            continue
        starts[entity.start_char] = labels.symbols[label]
        ends.add(entity.end_char)
    tagged: list[str] = []
    position = 0
    for word in utterance.text.split(" "):
        if position in starts:
            tagged.append(starts[position])
        tagged.append(word)
        position += len(word)
        if position in ends:
            tagged.append(END_SYMBOL)
        position += 1
    return [word for word in tagged if word]


def read_tagged(tagged: Sequence[str], labels: LabelSet) -> Transcript:
    """Read a tagged word sequence as the official scorer does; anything goes, nothing raises.

    A type symbol opens an entity and throws away one still open; ``]`` closes it; an entity
    without words, or still open at the end, is dropped; a ``]`` without a start is ignored.
    Each of these counts as a repair. The words of a dropped entity stay in the transcript.
    Marks glued to letters are ordinary words.
    """
    words: list[str] = []
    sources: list[int] = []
    entities: list[EntitySpan] = []
    entity_sources: list[tuple[int, int]] = []
    num_repairs = 0
    opened: tuple[str, int, int] | None = None  # label, first word, index of the type symbol
    for index, word in enumerate(tagged):
        label = labels.label(word)
        if label is not None:
            num_repairs += opened is not None
            opened = (label, len(words), index)
        elif word == END_SYMBOL:
            if opened is None or opened[1] == len(words):
                num_repairs += 1
            else:
                name, first, source = opened
                phrase = " ".join(words[first:])
                entities.append(EntitySpan(name, phrase, words=(first, len(words))))
                entity_sources.append((source, index))
            opened = None
        elif word:
            words.append(word)
            sources.append(index)
    num_repairs += opened is not None
    return Transcript(
        tuple(words), tuple(entities), tuple(sources), tuple(entity_sources), num_repairs
    )


def to_symbols(words: Sequence[str]) -> list[str]:
    """Words as CTC symbols: every character one, ``|`` between words and at the end."""
    return [symbol for word in words for symbol in (*word, DELIMITER)]


def from_symbols(symbols: Sequence[str]) -> list[str]:
    """CTC symbols as words; empty words vanish."""
    return [word for word in "".join(symbols).split(DELIMITER) if word]
