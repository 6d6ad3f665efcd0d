"""Records in canonical form: every text of an utterance or a prediction, positions moved along."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

from slue_ner.core.canonical import Changes, canonical
from slue_ner.core.types import EntitySpan, Prediction, Utterance, Word

Note = Callable[[str], None]
"""Told in one sentence what a reader changed or left out."""


class ReadingNote(UserWarning):
    """What a reader changed; the command line prints it as a note."""


def warn(sentence: str) -> None:
    """Say a sentence as a warning, once however often it comes; where no other ``Note`` is."""
    warnings.warn(ReadingNote(sentence), stacklevel=4)  # behind the reader


def canonical_utterance(utterance: Utterance, changes: Changes) -> Utterance:
    """The utterance with its texts in canonical form; phones and ``raw_text`` stay as they are.

    Raises:
        ValueError: for an entity that has nothing but invisible characters.
    """
    where = utterance.id
    text = changes.of(where, utterance.text)
    return replace(
        utterance,
        text=text.text,
        asr_text=None if utterance.asr_text is None else changes.of(where, utterance.asr_text).text,
        words=_words(utterance.words, where, changes),
        entities=tuple(_moved(entity, utterance.text, text.moved) for entity in utterance.entities),
    )


def canonical_prediction(prediction: Prediction, changes: Changes) -> Prediction:
    """The prediction with its texts in canonical form, tokens symbol by symbol."""
    entities, tokens = prediction.entities, prediction.tokens
    if entities is not None:
        entities = tuple(
            entity
            if entity.phrase is None
            else replace(entity, phrase=changes.of(prediction.id, entity.phrase).text)
            for entity in entities
        )
    if tokens is not None:
        tokens = tuple(
            token
            if token.symbol.isascii()
            else replace(token, symbol=canonical(token.symbol).text or token.symbol)
            for token in tokens
        )
    return replace(
        prediction,
        text=changes.of(prediction.id, prediction.text).text,
        words=_words(prediction.words, prediction.id, changes),
        tokens=tokens,
        entities=entities,
    )


def _words(words: tuple[Word, ...] | None, where: str, changes: Changes) -> tuple[Word, ...] | None:
    if words is None:
        return None
    return tuple(
        replace(word, text=text.text) if (text := changes.of(where, word.text)).kinds else word
        for word in words
    )


def _moved(
    entity: EntitySpan, text: str, moved: Callable[[int, int], tuple[int, int]]
) -> EntitySpan:
    start, end = entity.start_char, entity.end_char
    phrase = None if entity.phrase is None else canonical(entity.phrase).text
    if start is None or end is None or not 0 <= start < end <= len(text):
        return replace(entity, phrase=phrase)
    new_start, new_end = moved(start, end)
    if new_start == new_end:
        raise ValueError(f"entity {entity.label} covers {text[start:end]!r}, which holds no word")
    return replace(entity, phrase=phrase, start_char=new_start, end_char=new_end)
