from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.labels import COMBINED
from slue_ner.core.time import FrameGrid
from slue_ner.core.types import TokenSpan
from slue_ner.decoding.transcript import to_prediction, with_marks_apart

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


def test_marks_that_are_glued_to_letters_are_read_apart_when_asked_for():
    glued = tokens_of("$ana|rossi]|in|%rome|]|now|")
    as_written = to_prediction("u", glued, labels=COMBINED, grid=GRID, num_frames=99)
    assert as_written.entities == () and as_written.text == "$ana rossi] in %rome now"
    apart = with_marks_apart(glued, COMBINED)
    read = to_prediction("u", apart, labels=COMBINED, grid=GRID, num_frames=99)
    assert [(e.label, e.phrase) for e in read.entities] == [
        ("PERSON", "ana rossi"),
        ("PLACE", "rome"),
    ]
    assert read.text == "ana rossi in rome now"
    first = read.words[0]
    assert (first.start, first.end) == (pytest.approx(0.06), pytest.approx(0.22))


@given(st.text(alphabet="ab|$%]", max_size=12))
def test_reading_marks_apart_moves_no_letter_and_is_done_once(text):
    tokens = tokens_of(text)
    apart = with_marks_apart(tokens, COMBINED)
    letters = [token for token in apart if token.symbol != "|"]
    assert letters == [token for token in tokens if token.symbol != "|"]
    assert with_marks_apart(apart, COMBINED) == apart
    written = "".join(token.symbol for token in apart).split("|")
    assert all(len(word) == 1 or not set(word) & set(COMBINED.marks) for word in written if word)
