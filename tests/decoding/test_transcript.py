from __future__ import annotations

import pytest

from slue_ner.core.labels import COMBINED
from slue_ner.core.time import FrameGrid
from slue_ner.core.types import TokenSpan
from slue_ner.decoding.transcript import to_prediction

GRID = FrameGrid(hop=320, window=400)  # 20 ms frames


def tokens_of(text: str, *, score: float = 0.5) -> tuple[TokenSpan, ...]:
    """Every symbol two frames long, one frame apart: symbol ``i`` fills [3i, 3i + 2)."""
    return tuple(TokenSpan(symbol, 3 * i, 3 * i + 2, score) for i, symbol in enumerate(text))


def predict(text: str, labels=COMBINED, **kwargs):
    return to_prediction(
        "u", tokens_of(text, **kwargs), labels=labels, grid=GRID, num_frames=3 * len(text)
    )


def test_a_tagged_string_becomes_words_and_an_entity_with_times():
    prediction = predict("a|%|eu|]|b|")
    assert prediction.text == "a eu b"
    (entity,) = prediction.entities
    assert (entity.label, entity.phrase, entity.words) == ("PLACE", "eu", (1, 2))
    # "e" is symbol 4 and "u" symbol 5: frames [12, 17), 20 ms each
    assert (entity.start, entity.end) == (pytest.approx(0.24), pytest.approx(0.34))


def test_words_know_when_they_were_spoken():
    first, second = predict("ab|c|").words
    assert (first.text, first.start, first.end) == ("ab", 0.0, pytest.approx(0.1))
    assert (second.text, second.start) == ("c", pytest.approx(0.18))


def test_scores_are_geometric_means():
    prediction = predict("%|eu|]|", score=0.25)
    assert prediction.entities[0].score == pytest.approx(0.25)
    assert prediction.words[0].score == pytest.approx(0.25)


def test_plain_recognition_gives_words_and_knows_no_entities():
    prediction = predict("a|%|eu|", labels=None)
    assert prediction.text == "a % eu"
    assert prediction.entities is None  # not asked for, which is not "none found"


def test_repairs_are_counted_and_the_words_kept():
    prediction = predict("%|eu|b|")
    assert (prediction.text, prediction.entities, prediction.num_repairs) == ("eu b", (), 1)


def test_nothing_heard_is_an_empty_prediction():
    prediction = to_prediction("u", (), labels=COMBINED, grid=GRID, num_frames=10)
    assert (prediction.text, prediction.words, prediction.entities) == ("", (), ())
    assert (prediction.frame_seconds, prediction.num_frames) == (0.02, 10)


def test_tokens_are_kept_so_that_entities_can_be_localized_again():
    assert predict("a|").tokens == tokens_of("a|")
