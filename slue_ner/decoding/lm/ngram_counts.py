"""The n-grams of a text and how often each occurs.

The n-gram that ends at each place of the text has a number; that number times the size of the
vocabulary, plus the next word, is the key of an n-gram one longer.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from slue_ner.decoding.lm.ngram import (
    END_ID,
    END_WORD,
    START_ID,
    START_WORD,
    UNKNOWN_ID,
    UNKNOWN_WORD,
)

MARKS = {UNKNOWN_WORD: UNKNOWN_ID, START_WORD: START_ID, END_WORD: END_ID}
"""Words that no text may hold, with their ids."""

SPACES = " \t\r\n\0"
"""What ends a word, as in KenLM; other kinds of white space can be part of one."""


def split(line: str) -> list[str]:
    """The words of a line."""
    for space in SPACES[1:]:
        line = line.replace(space, SPACES[0])
    words = line.split(SPACES[0])
    return words if "" not in words else [word for word in words if word]


def check_words(words: Sequence[str], where: str) -> None:
    """Raise ``ValueError`` for a sentence that holds what no text may hold.

    Args:
        words: of the sentence.
        where: names it in the message.
    """
    if not MARKS.keys().isdisjoint(words):
        raise ValueError(
            f"{where} holds {', '.join(MARKS.keys() & set(words))}, which a language model keeps "
            "for itself; take it out of the text"
        )


@dataclass(frozen=True)
class Grams:
    """The n-grams of one length, each once, as arrays ``(count,)`` of int32.

    They stand in order of ``context``, then of ``word``.

    Attributes:
        context: number of its first ``n - 1`` words among the n-grams one shorter.
        suffix: the same of its last ``n - 1`` words.
        word: id of its last word.
        raw: how often it occurs.
        at_start: whether its first word is ``<s>``; bool.
    """

    context: np.ndarray
    suffix: np.ndarray
    word: np.ndarray
    raw: np.ndarray
    at_start: np.ndarray


@dataclass(frozen=True)
class CodedText:
    """A text as ids, with ``<s>`` before and ``</s>`` after each sentence.

    Attributes:
        words: by id, in the order in which they first occur.
        ids: of all sentences, one after the other, ``(n,)`` int32.
        places: distance of each from the start of its sentence, ``(n,)`` int32.
    """

    words: list[str]
    ids: np.ndarray
    places: np.ndarray


def encode(sentences: Iterable[Sequence[str]]) -> CodedText:
    """Number the words of a text.

    Raises:
        ValueError: for a text without words, or with a word that an ARPA file cannot hold.
    """
    ids = dict(MARKS)
    text, lengths = array("i"), array("i")
    for number, sentence in enumerate(sentences, start=1):
        check_words(sentence, f"sentence {number}")
        text.append(START_ID)
        text.extend([ids.setdefault(word, len(ids)) for word in sentence])
        text.append(END_ID)
        lengths.append(len(sentence) + 2)
    if len(ids) == len(MARKS):
        raise ValueError("there are no words to train a language model on")
    for word in ids:
        if split(word) != [word]:
            raise ValueError(f"the word {word!r} is empty or holds a space; split the text there")
    coded, num_words = np.frombuffer(text, np.int32), np.frombuffer(lengths, np.int32)
    starts = np.cumsum(num_words, dtype=np.int64) - num_words
    places = np.arange(len(coded), dtype=np.int32) - np.repeat(starts.astype(np.int32), num_words)
    return CodedText(list(ids), coded, places)


def count(text: CodedText, order: int) -> list[Grams]:
    """The n-grams of every length, without those that reach over the start of a sentence."""
    num_words = len(text.words)
    levels = [
        Grams(
            context=np.zeros(num_words, np.int32),
            suffix=np.zeros(num_words, np.int32),
            word=np.arange(num_words, dtype=np.int32),
            raw=np.bincount(text.ids, minlength=num_words).astype(np.int32),
            at_start=np.arange(num_words) == START_ID,
        )
    ]
    ending = text.ids  # number of the n-gram that ends at each place, if one does
    for length in range(2, order + 1):
        (ends,) = np.nonzero(text.places >= length - 1)
        keys = ending[ends - 1].astype(np.int64) * num_words + text.ids[ends]
        found, first, numbers, raw = np.unique(
            keys, return_index=True, return_inverse=True, return_counts=True
        )
        first = ends[first]
        levels.append(
            Grams(
                context=(found // num_words).astype(np.int32),
                suffix=ending[first],
                word=(found % num_words).astype(np.int32),
                raw=raw.astype(np.int32),
                at_start=text.places[first] == length - 1,
            )
        )
        ending = np.zeros(len(text.ids), np.int32)
        ending[ends] = numbers
    return levels
