"""What other recognisers wrote, in SLUE's NER form: the rules that words of a CTM get."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from slue_ner.core.types import EntitySpan, Prediction, Utterance
from slue_ner.text.apostrophes import plain_letters, split_to_ner_form, to_ner_form

_PUNCTUATION = re.compile("[.,!?;]")


def in_ner_form(prediction: Prediction) -> Prediction:
    """A recogniser's words, text and entities in SLUE's NER form; tokens in its letters.

    Lower case, no ``. , ! ? ;``, possessives apart, canonical. An entity keeps its words; one of
    punctuation alone has an empty phrase, which matches nothing.
    """
    tokens = prediction.tokens
    if tokens is not None:
        tokens = tuple(replace(token, symbol=plain_letters(token.symbol)) for token in tokens)
    if prediction.words is None:
        words, moved = None, None
        text = " ".join(split_to_ner_form(prediction.text))
    else:
        formed = [to_ner_form([word]) if word.text else (word,) for word in prediction.words]
        words = tuple(word for group in formed for word in group)
        moved = [0]
        for group in formed:
            moved.append(moved[-1] + len(group))
        text = " ".join(word.text for word in words if word.text)
    entities = prediction.entities
    if entities is not None:
        entities = tuple(_formed(entity, moved) for entity in entities)
    return replace(
        prediction,
        text=text,
        words=words,
        tokens=tokens,
        entities=entities,
    )


def foreign_note(
    predictions: Sequence[Prediction], references: Sequence[Utterance], *, flag: str
) -> str | None:
    """One sentence if predictions have capitals or punctuation that no reference has.

    Args:
        predictions: to compare.
        references: with their texts.
        flag: option that brings the predictions to the NER form.
    """
    said = [reference.text for reference in references]
    found = [
        (name, having)
        for name, has in (("capital letters", _has_capitals), ("punctuation", _has_punctuation))
        if not any(map(has, said)) and (having := [p for p in predictions if has(p.text)])
    ]
    if not found:
        return None
    kinds = " and ".join(f"{name} in {len(having)}" for name, having in found)
    first = found[0][1][0]
    return (
        f"of {len(predictions)} predictions, {kinds}, which no reference has: such words count as "
        f"other words, first {first.id}: {first.text[:60]!r}; {flag} reads them by the rules of a "
        ".ctm"
    )


def _has_capitals(text: str) -> bool:
    return text != text.lower()


def _has_punctuation(text: str) -> bool:
    return _PUNCTUATION.search(text) is not None


def _formed(entity: EntitySpan, moved: Sequence[int] | None) -> EntitySpan:
    phrase = entity.phrase
    if phrase is not None:
        phrase = " ".join(split_to_ner_form(phrase))
    words = entity.words
    if words is not None and moved is not None:
        words = moved[words[0]], moved[words[1]]
    return replace(entity, phrase=phrase, words=words)
