"""Utterances with their entities in colour, and in brackets where there is no colour."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from slue_ner.core.labels import label_set_for
from slue_ner.core.types import EntitySpan, Prediction, Utterance

_COLOURS = ("magenta", "bright_blue", "green", "red", "cyan", "yellow", "bright_magenta")
"""Of the labels of a set, in their order and again."""


def said(utterance: Utterance) -> Text:
    """The reference transcript with its entities, in combined labels or one's own."""
    spans = [
        (entity, (entity.start_char, entity.end_char))
        for entity in utterance.entities
        if entity.start_char is not None and entity.end_char is not None
    ]
    return _highlight(utterance.text, spans)


def heard(prediction: Prediction) -> Text:
    """The predicted transcript with its entities."""
    words = prediction.text.split()
    starts = [sum(len(word) + 1 for word in words[:index]) for index in range(len(words) + 1)]
    spans = [
        (entity, (starts[entity.words[0]], starts[entity.words[1]] - 1))
        for entity in prediction.entities or ()
        if entity.words is not None
    ]
    return _highlight(prediction.text, spans)


def _highlight(text: str, spans: Sequence[tuple[EntitySpan, tuple[int, int]]]) -> Text:
    shown = Text()
    position = 0
    for entity, (start, end) in sorted(spans, key=lambda item: item[1]):
        if entity.label is None:
            continue
        shown_in = label_set_for([entity.label])
        label = shown_in.convert(entity.label)
        if label is None:
            continue
        colour = _COLOURS[shown_in.labels.index(label) % len(_COLOURS)]
        shown.append(text[position:start])
        shown.append(f"[{text[start:end]}]", style=f"bold {colour}")
        shown.append(label, style=colour)
        position = end
    shown.append(text[position:])
    return shown
