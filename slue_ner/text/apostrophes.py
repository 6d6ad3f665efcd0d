"""Words as the cascade's text NER expects them: a possessive ``'s`` is a word of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from slue_ner.core.canonical import canonical, lower_case
from slue_ner.core.types import Word
from slue_ner.text.normalize import ner_form


def split_possessive(word: str) -> list[str]:
    """``eu's`` as ``eu`` and ``'s``; nothing else is changed (``don't`` stays whole).

    Source: slue-toolkit's cascade, which prepares recognised text for text NER in this way.
    """
    return re.split(r"(?<!^)(?='s)", word)


def split_possessives(words: Iterable[Word]) -> tuple[Word, ...]:
    """The same for words with times: ``'s`` gets the instant at which its word ends."""
    return tuple(piece for word in words for piece in _pieces(word, split_possessive(word.text)))


def to_ner_form(words: Iterable[Word]) -> tuple[Word, ...]:
    """Words of any recogniser in SLUE's NER form: lower case, no ``. , ! ? ;``, apostrophes split.

    The first piece of a word that is split gets its time, the others the instant at which it
    ends. Words are read in canonical form. A word that is only punctuation is dropped; numbers
    stay as they are written.
    """
    return tuple(piece for word in words for piece in _pieces(word, split_to_ner_form(word.text)))


def split_to_ner_form(text: str) -> list[str]:
    """The words of a text of any recogniser, by the same rules."""
    return [
        piece
        for word in canonical(text).text.split()
        for piece in ner_form(plain_letters(word), ())[0].split()
    ]


def plain_letters(text: str) -> str:
    """Canonical, in lower case; a symbol that this leaves nothing of stays as it is."""
    return lower_case(canonical(text).text).text or text


def match_words(words: Sequence[Word], texts: Sequence[str]) -> tuple[Word, ...] | None:
    """Aligned words cut into those of a text, or ``None`` when they spell something else.

    An alignment may have ``eu's`` where the text has ``eu`` and ``'s``; pieces get times as in
    ``to_ner_form``. Silences are kept.
    """
    matched: list[Word] = []
    rest = list(reversed(texts))
    for word in words:
        pieces: list[str] = []
        while word.text and rest and "".join(pieces) != word.text:
            pieces.append(rest.pop())
        if "".join(pieces) != word.text:
            return None
        matched += _pieces(word, pieces) if word.text else [word]
    return None if rest else tuple(matched)


def _pieces(word: Word, texts: Sequence[str]) -> list[Word]:
    return [
        replace(word, text=text, start=word.end if index else word.start)
        for index, text in enumerate(texts)
    ]
