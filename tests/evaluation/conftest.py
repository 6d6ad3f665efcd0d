"""Records written as one string: ``"the [ORG eu] budget in [PLACE brussels]"``."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

from slue_ner.core.types import EntitySpan, Prediction, Utterance

# Time limits of single examples fail at random on a busy machine.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

_PIECE = re.compile(r"\[(\S+) ([^\]]+)\]|([^\[\]\s]+)")


def _read(marked: str) -> tuple[str, list[EntitySpan]]:
    text, entities = "", []
    for label, phrase, word in _PIECE.findall(marked):
        text += " " if text else ""
        piece = phrase or word
        if label:
            first = len(text.split())
            span = (len(text), len(text) + len(piece))
            words = (first, first + len(piece.split()))
            entities.append(EntitySpan(label, piece, *span, words=words))
        text += piece
    return text, entities


@pytest.fixture(scope="session")
def make_reference() -> Callable[..., Utterance]:
    def make(marked: str, *, id: str = "a", **fields: Any) -> Utterance:
        text, entities = _read(marked)
        silent = [EntitySpan(e.label, e.phrase, e.start_char, e.end_char) for e in entities]
        known = {
            "split": "dev",
            "audio": None,
            "num_samples": None,
            "sample_rate": 16_000,
            "entities": tuple(silent),
        }
        return Utterance(**{"id": id, "text": text, **known, **fields})

    return make


@pytest.fixture(scope="session")
def make_prediction() -> Callable[..., Prediction]:
    def make(marked: str, *, id: str = "a", **fields: Any) -> Prediction:
        text, entities = _read(marked)
        placed = tuple(EntitySpan(e.label, e.phrase, words=e.words) for e in entities)
        return Prediction(**{"id": id, "text": text, "entities": placed, **fields})

    return make
