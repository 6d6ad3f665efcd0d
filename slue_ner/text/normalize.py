"""SLUE's transcript rules: the NER form (``text``) and the ASR form (``asr_text``).

Source: slue-toolkit ``prepare/data_utils.py`` and ``prepare/prepare_voxpopuli.py``. The NER
rules are not idempotent (``don't`` becomes ``don 't``), so ``prepare`` applies them once and
nothing downstream applies them again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from slue_ner.core.labels import check_label
from slue_ner.core.types import EntitySpan
from slue_ner.text.borders import check_border

_NER_PUNCTUATION = str.maketrans("", "", ".,!?;")
_ASR_PUNCTUATION = str.maketrans("", "", ".;?!")

LabeledSpan = tuple[str, int, int]
"""An annotated entity as SLUE publishes it: ``(label, start, length)`` in characters."""


def ner_form(
    text: str, spans: Sequence[LabeledSpan], *, whole_words: bool = False
) -> tuple[str, tuple[EntitySpan, ...]]:
    """Turn a published transcript and its entities into SLUE's NER form.

    The text is cut at the entity borders, each piece loses ``. , ! ? ;`` and is split into
    words, and a possessive becomes a word of its own (``eu's`` to ``eu 's``).

    A word that starts with an apostrophe other than ``'s`` gives the official code an extra
    empty word, which its own parser collapses again; here it is left out from the start.

    Args:
        text: transcript as published, canonical.
        spans: entities in any order; they must not overlap.
        whole_words: refuse an entity that starts or ends inside a word. The official code cuts
            the word there; what ``check_border`` says of other scripts is refused all the same.

    Returns:
        The words joined by single spaces, and the entities in order of appearance with
        positions in that text.

    Raises:
        ValueError: for spans that overlap, leave the text, hold no word, or cut a word.
    """
    ordered = sorted(spans, key=lambda span: span[1])
    check_spans(text, ordered)
    _check_borders(text, ordered, whole_words=whole_words)
    words: list[str] = []
    entities: list[EntitySpan] = []
    position = 0
    for label, start, length in ordered:
        words += _outside_words(text[position:start])
        phrase_words = _inside_words(text[start : start + length])
        if not phrase_words:
            raise ValueError(
                f"entity {label} covers {text[start : start + length]!r}, which holds no word"
            )
        phrase = " ".join(phrase_words)
        start_char = sum(map(len, words)) + len(words)
        entities.append(
            EntitySpan(label, phrase, start_char=start_char, end_char=start_char + len(phrase))
        )
        words += phrase_words
        position = start + length
    words += _outside_words(text[position:])
    return " ".join(words), tuple(entities)


def asr_form(text: str) -> str:
    """SLUE's ASR reference: ``. ; ? !`` removed, white space collapsed, apostrophes attached."""
    return " ".join(text.translate(_ASR_PUNCTUATION).split())


def join_apostrophes(text: str) -> str:
    """Undo the split before apostrophes, ``eu 's`` to ``eu's``, for comparison with ASR text."""
    return re.sub(r" (?=')", "", text)


def check_spans(text: str, spans: Sequence[LabeledSpan]) -> None:
    """Raise ``ValueError`` for spans that leave the text, overlap or have unknown labels."""
    ordered = sorted(spans, key=lambda span: span[1])
    for label, start, length in ordered:
        check_label(label)
        if start < 0 or length <= 0 or start + length > len(text):
            raise ValueError(
                f"entity {label} covers characters [{start}, {start + length}) "
                f"but the text has {len(text)} characters"
            )
    for (label, start, length), (other, next_start, _) in pairwise(ordered):
        if start + length > next_start:
            raise ValueError(
                f"entities {label} at [{start}, {start + length}) and {other} at "
                f"{next_start} overlap"
            )


def _check_borders(text: str, spans: Sequence[LabeledSpan], *, whole_words: bool) -> None:
    for label, start, length in spans:
        for verb, position in (("starts", start), ("ends", start + length)):
            try:
                check_border(text, position, whole_words=whole_words)
            except ValueError as error:
                phrase = text[start : start + length]
                raise ValueError(
                    f"entity {label} {phrase!r} {verb} inside a word: {error}"
                ) from None


def _outside_words(segment: str) -> list[str]:
    cleaned = _without_punctuation(segment).strip(" ")
    return _split_apostrophes(word for word in cleaned.split(" ") if word != "'")


def _inside_words(segment: str) -> list[str]:
    return _split_apostrophes(_without_punctuation(segment).split(" "))


def _without_punctuation(segment: str) -> str:
    return segment.translate(_NER_PUNCTUATION).replace("  ", " ")


def _split_apostrophes(words: Iterable[str]) -> list[str]:
    pieces: list[str] = []
    for word in words:
        stem = word.removesuffix("'")
        if "'" in stem and stem != "'s":
            *head, tail = stem.split("'")
            pieces += [*head, f"'{tail}"]
        else:
            pieces.append(stem)
    return [piece for piece in pieces if piece]
