from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.types import Prediction, Word
from slue_ner.evaluation.boundary_errors import boundary_errors


def record(*words: Word, id: str = "a") -> Prediction:
    return Prediction(id=id, text=" ".join(w.text for w in words if w.text), words=words)


def test_distances_of_starts_and_ends_are_pooled():
    reference = record(Word("the", 0.10, 0.20), Word("eu", 0.30, 0.50))
    found = record(Word("the", 0.11, 0.17), Word("eu", 0.30, 0.62))
    errors = boundary_errors([found], [reference])
    # +10, -30, 0, +120 ms
    assert errors.median_ms == pytest.approx(20.0)
    assert errors.within == {20: 0.5, 50: 0.75, 100: 0.75}
    assert errors.bias_start_ms == pytest.approx(5.0)
    assert errors.bias_end_ms == pytest.approx(45.0)
    assert (errors.num_words, errors.num_missed) == (2, 0)


def test_a_distance_of_exactly_the_tolerance_is_within_it():
    errors = boundary_errors([record(Word("a", 1.12, 1.32))], [record(Word("a", 1.1, 1.3))])
    assert errors.within[20] == 1.0


def test_only_equal_words_that_nobody_guessed_are_compared():
    reference = record(
        Word("", 0.0, 0.1),
        Word("the", 0.1, 0.2),
        Word("eu", 0.2, 0.3),
        Word("votes", 0.3, 0.4, estimated=True),
        Word("today", 0.4, 0.5),
    )
    found = record(
        Word("the", 0.1, 0.2),
        Word("you", 0.2, 0.3),
        Word("votes", 3.0, 4.0),
        Word("today", 4.0, 5.0, estimated=True),
    )
    errors = boundary_errors([found], [reference])
    assert (errors.num_words, errors.num_missed) == (1, 1)  # "eu" was not found
    assert errors.median_ms == 0.0


def test_utterances_are_joined_by_id_and_those_not_found_are_missed():
    word = Word("a", 0.0, 0.1)
    untimed = Prediction(id="c", text="a")
    errors = boundary_errors(
        [record(word, id="b"), untimed],
        [record(word), record(word, id="b"), record(word, word, id="c"), untimed],
    )
    assert (errors.num_words, errors.num_missed) == (1, 3)


def test_nothing_to_compare_is_an_error():
    with pytest.raises(ValueError, match="no word has times on both sides"):
        boundary_errors([Prediction(id="a", text="a")], [record(Word("a", 0, 1))])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.01, 1)), min_size=1, max_size=9))
def test_an_alignment_agrees_with_itself_and_a_shift_shows_in_the_bias(lengths):
    words, shifted, time = [], [], 1.0
    for text, length in lengths:
        words.append(Word(text, time, time + length))
        shifted.append(Word(text, time - 0.03, time + length - 0.03))
        time += length
    same = boundary_errors([record(*words)], [record(*words)])
    assert (same.median_ms, same.within[20], same.num_missed) == (0.0, 1.0, 0)
    early = boundary_errors([record(*shifted)], [record(*words)])
    assert (early.bias_start_ms, early.bias_end_ms) == pytest.approx((-30.0, -30.0))
    assert early.within == {20: 0.0, 50: 1.0, 100: 1.0}
