"""Texts that cannot survive the way to CTC symbols and back, and what makes them fit.

A word that is an entity mark of the label set reads as a mark, and ``|`` ends a word: neither can
be told from what a recogniser adds itself. What survives is found by going there and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from slue_ner.core.labels import COMBINED, LABEL_SETS, RAW, RAW_TO_COMBINED, LabelSet
from slue_ner.core.types import EntitySpan, Utterance, Word
from slue_ner.text.markup import DELIMITER, from_symbols, read_tagged, tagged_words, to_symbols
from slue_ner.text.vocabulary import Vocabulary


def _marks() -> frozenset[str]:
    return frozenset(mark for labels in LABEL_SETS.values() for mark in labels.marks)


def survives(utterance: Utterance, labels: LabelSet | None) -> bool:
    """Whether text and entities come back from the symbols that a recogniser learns to write.

    Args:
        utterance: to write.
        labels: the set of the entity marks; ``None`` for plain words, where only ``|`` is lost.
    """
    if _marks().isdisjoint(utterance.text) and DELIMITER not in utterance.text:
        return True  # nothing that a recogniser writes by itself
    words = tuple(utterance.text.split())
    written = words if labels is None else tagged_words(utterance, labels)
    vocabulary = Vocabulary.build([utterance.text], labels)
    back = from_symbols(vocabulary.decode(vocabulary.encode(to_symbols(written))))
    if labels is None:
        return tuple(back) == words
    read = read_tagged(back, labels)
    found = [(entity.label, entity.phrase) for entity in read.entities]
    return read.words == words and found == _written(utterance, labels)


def survives_everywhere(utterance: Utterance) -> bool:
    """Whether it survives in both label sets; where it has no raw labels, its words in the raw."""
    if any(entity.label not in RAW_TO_COMBINED for entity in utterance.entities):
        return survives(utterance, COMBINED) and survives(replace(utterance, entities=()), RAW)
    return survives(utterance, COMBINED) and survives(utterance, RAW)


def lost_words(text: str) -> list[str]:
    """The words of a text that do not survive in one label set or the other, each once."""
    return [word for word in dict.fromkeys(text.split()) if _cleaned(word) != [word]]


def without_marks(utterance: Utterance) -> tuple[Utterance, int]:
    """The utterance without words that are marks of any set, and with a space for each ``|``.

    Entities and their positions follow; one that held nothing else is gone. A timed word that goes
    becomes a silence, and one that is cut gives its time to its first part, as ``to_ner_form``
    does. ``raw_text`` stays as published.

    Returns:
        The utterance and the number of entities that are gone.
    """
    pieces = [_cleaned(word) for word in utterance.text.split()]
    places = [0, *accumulate(map(len, pieces))]  # new words before each old one
    words = [word for group in pieces for word in group]
    timed, moved = _timed_words(utterance.words)
    entities = []
    for entity in utterance.entities:
        assert entity.start_char is not None and entity.end_char is not None
        before = len(utterance.text[: entity.start_char].split())
        first = places[before]
        last = places[before + len(utterance.text[entity.start_char : entity.end_char].split())]
        if first < last:
            entities.append(_placed(entity, words, first, last, moved))
    asr_text = utterance.asr_text
    if asr_text is not None:
        asr_text = " ".join(piece for word in asr_text.split() for piece in _cleaned(word))
    cleaned = replace(
        utterance,
        text=" ".join(words),
        asr_text=asr_text,
        words=timed,
        entities=tuple(entities),
    )
    return cleaned, len(utterance.entities) - len(entities)


def _written(utterance: Utterance, labels: LabelSet) -> list[tuple[str, str | None]]:
    ordered = sorted(utterance.entities, key=lambda entity: entity.start_char or 0)
    labelled = [(labels.convert(str(entity.label)), entity.phrase) for entity in ordered]
    return [(label, phrase) for label, phrase in labelled if label is not None]


def _cleaned(word: str) -> list[str]:
    """What is left of a word; a comma that the ASR form keeps does not save a mark."""
    pieces = word.split(DELIMITER)
    return [piece for piece in pieces if piece and piece.rstrip(",") not in _marks()]


def _timed_words(words: Sequence[Word] | None) -> tuple[tuple[Word, ...] | None, list[int]]:
    """The words that are left, and how many of them stand before each old one."""
    if words is None:
        return None, []
    timed: list[Word] = []
    moved = [0]
    for word in words:
        for number, piece in enumerate(_cleaned(word.text) or [""]):
            start = word.end if number else word.start
            timed.append(replace(word, text=piece, start=start))
        moved.append(len(timed))
    return tuple(timed), moved


def _placed(
    entity: EntitySpan, words: Sequence[str], first: int, last: int, moved: Sequence[int]
) -> EntitySpan:
    phrase = " ".join(words[first:last])
    start = len(" ".join(words[:first])) + (first > 0)
    timed = entity.words
    if timed is not None and timed[1] < len(moved):
        timed = moved[timed[0]], moved[timed[1]]
    return replace(
        entity, phrase=phrase, start_char=start, end_char=start + len(phrase), words=timed
    )
