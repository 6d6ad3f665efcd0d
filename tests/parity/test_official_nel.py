"""SLUE's rules for NEL scores, quirk by quirk, with numbers worked by hand."""

import pytest
from nel_records import prediction, reference

from slue_ner.core.types import EntitySpan, Prediction, Word
from slue_ner.evaluation.nel_official import (
    RHOS,
    frame_counts_official,
    official_bin,
    word_rows_official,
)


def frames(gold, predicted):
    counts = frame_counts_official([gold], [predicted])
    return counts.tp, counts.fp, counts.fn


def words_at(rho, gold, predicted):
    return tuple(word_rows_official([(gold, predicted)])[rho].sum(axis=0).tolist())


@pytest.mark.parametrize(
    ("seconds", "number"), [(0.29, 28), (2.30, 229), (4.35, 434), (1.15, 114), (0.3, 30), (0, 0)]
)
def test_bins_are_truncated_after_a_division_in_floats(seconds, number):
    assert official_bin(seconds) == number


def test_truncated_bins_shift_the_counts():
    # gold [0, 28) for 0.00-0.29 s, predicted [0, 30)
    assert frames(reference([("eu", 0.0, 0.29)], (0, 1)), prediction((0.0, 0.3))) == (28, 2, 0)


def test_overlapping_predictions_count_their_frames_once():
    gold = reference([("eu", 0.0, 1.0), ("now", 1.0, 2.0)], (0, 1))
    # union [0.5, 1.5): 50 of 100 gold bins, 50 others
    assert frames(gold, prediction((0.5, 1.5), (0.8, 1.2), (0.5, 1.0))) == (50, 50, 50)


def test_an_utterance_ends_with_the_prediction_listed_last():
    gold = reference([("eu", 0.0, 1.0)], (0, 1))
    early, late = (0.0, 1.0), (2.0, 3.0)
    assert frames(gold, prediction(early, late)) == (100, 100, 0)
    assert frames(gold, prediction(late, early)) == (100, 0, 0)  # cut off at 1.0 s


def test_a_silence_inside_an_entity_is_gold_and_a_gap_is_not():
    silence = reference([("new", 0.0, 1.0), ("", 1.0, 1.5), ("york", 1.5, 2.0)], (0, 3))
    gap = reference([("new", 0.0, 1.0), ("york", 1.5, 2.0)], (0, 2))
    whole = prediction((0.0, 2.0))
    assert frames(silence, whole) == (200, 0, 0)
    assert frames(gap, whole) == (150, 50, 0)


def test_without_alignment_predicted_frames_are_spurious_and_overlaps_count_double():
    unaligned = reference([("eu", 0.0, 1.0)], (0, 1), words=None)
    assert frames(unaligned, prediction((0.0, 1.0), (0.5, 1.0))) == (0, 100 + 50, 0)


def test_without_alignment_predicted_words_are_ignored():
    unaligned = reference([("eu", 0.0, 1.0)], (0, 1), words=None)
    assert words_at(0.8, unaligned, prediction((0.0, 1.0))) == (0, 0, 0)


def test_without_prediction_frames_are_missed_from_start_to_end_of_each_gold_entity():
    # 0.29-1.15 s is [28, 114) in bins; the gap in the entity is in it, unlike with a prediction
    gold = reference([("new", 0.29, 0.6), ("york", 0.8, 1.15)], (0, 2))
    assert frames(gold, prediction()) == (0, 0, 114 - 28)
    unaligned = reference([("new", 0.29, 0.6), ("york", 0.8, 1.15)], (0, 2), words=None)
    assert frames(unaligned, prediction()) == (0, 0, 114 - 28)


def test_gold_entities_without_times_are_missed_for_as_long_as_their_words():
    untimed = EntitySpan("ORG", "eu", 0, 2, words=(0, 1))
    assert frames(reference([("eu", 0.5, 1.0)], entities=(untimed,)), prediction()) == (0, 0, 50)


def test_without_prediction_every_token_of_a_gold_phrase_is_missed_split_at_single_spaces():
    phrases = ("the eu", "two  three")  # the double space makes an empty token
    timed = tuple(EntitySpan("ORG", phrase, start=0.0, end=1.0) for phrase in phrases)
    gold = reference([("x", 0.0, 1.0)], entities=timed)
    assert words_at(0.8, gold, prediction()) == (0, 0, 2 + 3)


def test_a_prediction_whose_entities_have_no_times_counts_as_empty():
    gold = reference([("eu", 0.0, 1.0), ("now", 1.0, 2.0)], (0, 1))
    untimed = Prediction("a", "eu", entities=(EntitySpan("ORG", "eu"),))
    assert frames(gold, untimed) == (0, 0, 100)
    assert words_at(0.8, gold, untimed) == (0, 0, 1)


def test_entities_without_times_are_left_out_beside_timed_ones():
    gold = reference([("eu", 0.0, 1.0)], (0, 1))
    mixed = prediction((0.0, 1.0))
    mixed = Prediction("a", "", entities=(*mixed.entities, EntitySpan("LAW", "x")))
    assert frames(gold, mixed) == (100, 0, 0)


@pytest.mark.parametrize("label", ["FAC", "PLACE", None])
def test_every_timed_prediction_counts_whatever_its_type(label):
    gold = reference([("eu", 0.0, 1.0)], (0, 1))
    assert frames(gold, prediction((0.0, 1.0, label))) == (100, 0, 0)
    assert words_at(1.0, gold, prediction((0.0, 1.0, label))) == (1, 0, 0)


TWO_ENTITIES = reference([("eu", 0.0, 1.0), ("and", 1.0, 2.0), ("un", 2.0, 3.0)], (0, 1), (2, 3))


def test_words_after_the_last_prediction_are_never_missed():
    assert words_at(0.8, TWO_ENTITIES, prediction((0.0, 1.0))) == (1, 0, 0)  # recall 1
    assert words_at(0.8, TWO_ENTITIES, prediction((2.0, 3.0))) == (1, 0, 1)  # recall 1/2
    assert frames(TWO_ENTITIES, prediction((0.0, 1.0))) == (100, 0, 100)


def test_the_walk_follows_predictions_in_the_order_they_are_listed():
    # finger on (2, 3): "eu" and "and" lie before it; at "un" both are used up: 1 + (1 - 2) = 0
    assert words_at(0.8, TWO_ENTITIES, prediction((0.0, 1.0), (2.0, 3.0))) == (2, 0, 0)
    assert words_at(0.8, TWO_ENTITIES, prediction((2.0, 3.0), (0.0, 1.0))) == (0, 0, 2)


def test_overlapping_predictions_count_twice_for_a_word():
    # half of the word, twice, is all of it
    gold = reference([("eu", 0.0, 1.0)], (0, 1))
    assert words_at(1.0, gold, prediction((0.0, 0.5), (0.0, 0.5))) == (1, 0, 0)
    assert words_at(0.6, gold, prediction((0.0, 0.5))) == (0, 0, 1)


def test_two_predictions_in_one_silence_can_make_the_next_word_a_miss():
    # the silence passes (0.1, 0.2) only; (0.3, 0.4) then gives "eu" 0.4 - 1 = -0.6, plus 1 = 0.4
    gold = reference([("", 0.0, 1.0), ("eu", 1.0, 2.0)], (1, 2))
    assert words_at(0.5, gold, prediction((0.1, 0.2), (0.3, 0.4), (1.0, 2.0))) == (0, 0, 1)
    assert words_at(1.0, gold, prediction((0.1, 0.2), (1.0, 2.0))) == (1, 0, 0)


def test_a_silence_passes_a_prediction_that_ends_where_it_ends():
    gold = reference([("", 0.0, 1.0), ("eu", 1.0, 2.0)], (1, 2))
    assert words_at(0.8, gold, prediction((0.5, 1.0))) == (0, 0, 0)  # "eu" is not looked at
    assert words_at(0.8, gold, prediction((0.5, 1.1))) == (0, 0, 1)


def test_a_prediction_that_starts_where_an_entity_word_ends_misses_it():
    gold = reference([("eu", 0.0, 1.0), ("now", 1.0, 2.0)], (0, 1))
    assert words_at(0.8, gold, prediction((1.0, 2.0))) == (0, 1, 1)


def test_a_word_of_no_length_counts_as_covered_inside_a_prediction():
    # overlap / length = 0 / 0, and NaN is not below rho; x and y are covered to one half
    timed = [("x", 0.0, 1.0), ("'s", 1.0, 1.0), ("y", 1.0, 2.0)]
    assert words_at(1.0, reference(timed, (1, 2)), prediction((0.5, 1.5))) == (1, 0, 0)
    assert words_at(1.0, reference(timed, (0, 1)), prediction((0.5, 1.5))) == (0, 1, 1)


def test_a_word_of_no_length_is_missed_where_a_prediction_starts():
    gold = reference([("'s", 1.0, 1.0)], (0, 1))
    assert words_at(0.5, gold, prediction((1.0, 2.0))) == (0, 0, 1)


def test_a_word_of_no_length_is_missed_when_the_finger_is_on_an_earlier_prediction():
    # (0.4 - 1) / 0 is minus infinity
    gold = reference([("", 0.0, 1.0), ("'s", 1.0, 1.0)], (1, 2))
    assert words_at(0.5, gold, prediction((0.1, 0.2), (0.3, 0.4), (1.5, 2.0))) == (0, 0, 1)


def test_touching_predictions_can_fall_a_hair_below_all_of_a_word():
    # in floats 0.2 - 0.1 + (0.9 - 0.2) is 0.7999999999999999 and 0.9 - 0.1 is 0.8
    gold = reference([("eu", 0.1, 0.9)], (0, 1))
    assert words_at(1.0, gold, prediction((0.1, 0.2), (0.2, 0.9))) == (0, 0, 1)
    assert words_at(0.9, gold, prediction((0.1, 0.2), (0.2, 0.9))) == (1, 0, 0)


def test_words_whose_times_are_a_guess_count_like_others():
    gold = reference([Word("eu", 0.0, 1.0, estimated=True)], (0, 1))
    assert frames(gold, prediction((0.0, 1.0))) == (100, 0, 0)
    assert words_at(1.0, gold, prediction((0.0, 1.0))) == (1, 0, 0)


def test_the_official_tolerances():
    gold = reference([("eu", 0.0, 1.0)], (0, 1))
    found = word_rows_official([(gold, prediction((0.0, 0.75)))])
    assert list(found) == list(RHOS) == [1.0, 0.9, 0.8, 0.7, 0.6, 0.5]
    assert [rows[0, 0] for rows in found.values()] == [0, 0, 0, 1, 1, 1]
