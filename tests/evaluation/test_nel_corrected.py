import pytest
from nel_records import placed, prediction, words

from slue_ner.core.types import Word
from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.nel_corrected import (
    Exposure,
    cover_words,
    expose,
    frame_counts_corrected,
    word_counts_corrected,
)

THREE = words(("eu", 0.0, 1.0), ("and", 1.0, 2.0), ("un", 2.0, 3.0))
EU, UN = placed(THREE, 0, 1), placed(THREE, 2, 3)


def frames(alignment, gold, *times):
    return frame_counts_corrected(alignment, gold, prediction(*times).entities)


def words_at(rho, alignment, gold, *times):
    covered = cover_words(alignment, gold, prediction(*times).entities)
    return word_counts_corrected(covered, rho=rho)


def exposure(alignment, gold, *times):
    return expose(cover_words(alignment, gold, prediction(*times).entities))


@pytest.mark.parametrize(("seconds", "bins"), [(0.29, 29), (2.30, 230), (0.296, 30), (0.294, 29)])
def test_bins_are_rounded(seconds, bins):
    alignment = words(("eu", 0.0, seconds))
    assert frames(alignment, [placed(alignment, 0, 1)]) == Counts(fn=bins)


def test_predictions_beyond_the_last_word_count_wherever_they_are_listed():
    expected = Counts(tp=100, fp=200, fn=100)
    assert frames(THREE, [EU, UN], (0.0, 1.0), (4.0, 6.0)) == expected
    assert frames(THREE, [EU, UN], (4.0, 6.0), (0.0, 1.0)) == expected


def test_a_silence_inside_an_entity_is_gold_and_a_gap_is_not():
    silence = words(("new", 0.0, 1.0), ("", 1.0, 1.5), ("york", 1.5, 2.0))
    gap = words(("new", 0.0, 1.0), ("york", 1.5, 2.0))
    assert frames(silence, [placed(silence, 0, 3)], (0.0, 2.0)) == Counts(tp=200)
    assert frames(gap, [placed(gap, 0, 2)], (0.0, 2.0)) == Counts(tp=150, fp=50)


def test_words_after_the_last_prediction_are_missed():
    assert words_at(0.8, THREE, [EU, UN], (0.0, 1.0)) == Counts(tp=1, fn=1)
    assert words_at(0.8, THREE, [EU, UN]) == Counts(fn=2)


def test_overlapping_predictions_cover_a_word_once():
    assert words_at(0.6, THREE, [EU], (0.0, 0.5), (0.0, 0.5)) == Counts(fn=1)


def test_several_predictions_in_a_silence_do_not_matter():
    alignment = words(("", 0.0, 1.0), ("eu", 1.0, 2.0))
    gold = [placed(alignment, 1, 2)]
    assert words_at(1.0, alignment, gold, (0.1, 0.2), (0.3, 0.4), (1.0, 2.0)) == Counts(tp=1)


def test_a_word_counts_from_rho_of_it_on():
    # 0.8 of "eu", 0.5 of "and"
    assert words_at(0.8, THREE, [EU], (0.2, 1.5)) == Counts(tp=1)
    assert words_at(0.5, THREE, [EU], (0.2, 1.5)) == Counts(tp=1, fp=1)
    assert words_at(0.9, THREE, [EU], (0.2, 1.5)) == Counts(fn=1)


def test_touching_predictions_cover_all_of_a_word():
    # in floats 0.2 - 0.1 + (0.9 - 0.2) is below 0.9 - 0.1
    alignment = words(("eu", 0.1, 0.9))
    assert words_at(1.0, alignment, [placed(alignment, 0, 1)], (0.1, 0.2), (0.2, 0.9)) == Counts(
        tp=1
    )


def test_a_billionth_of_a_word_may_be_lacking():
    assert words_at(1.0, THREE, [EU], (5e-10, 1.0)) == Counts(tp=1)
    assert words_at(1.0, THREE, [EU], (5e-9, 1.0)) == Counts(fn=1)


@pytest.mark.parametrize(
    ("times", "hidden"),
    [((0.5, 1.5), True), ((1.0, 1.5), True), ((0.5, 1.0), False), ((1.0, 1.0), False)],
)
def test_a_word_of_no_length_is_hidden_when_its_instant_is_covered(times, hidden):
    alignment = words(("'s", 1.0, 1.0))
    gold = [placed(alignment, 0, 1)]
    assert words_at(1.0, alignment, gold, times) == Counts(tp=hidden, fn=not hidden)
    assert words_at(1.0, alignment, [], times) == Counts(fp=hidden)


def test_silences_are_no_words():
    alignment = words(("new", 0.0, 1.0), ("", 1.0, 2.0), ("york", 2.0, 3.0), ("", 3.0, 4.0))
    assert words_at(0.8, alignment, [placed(alignment, 0, 3)], (0.0, 4.0)) == Counts(tp=2)


def test_a_word_whose_times_are_a_guess_is_left_out_of_everything():
    guess = Word("and", 1.0, 2.0, estimated=True)
    alignment = (THREE[0], guess, THREE[2])
    # it is outside the entities
    assert frames(alignment, [EU], (0.5, 2.5)) == Counts(tp=50, fp=50, fn=50)
    assert words_at(0.5, alignment, [EU], (0.5, 2.5)) == Counts(tp=1, fp=1)
    assert exposure(alignment, [EU], (0.5, 2.5)) == Exposure(1.0, 0.5, 1.0, 0.5)
    # it is part of one
    gold = [placed(alignment, 0, 2)]
    assert frames(alignment, gold, (0.5, 2.5)) == Counts(tp=50, fp=50, fn=50)
    assert words_at(0.5, alignment, gold, (0.5, 2.5)) == Counts(tp=1, fp=1)
    assert exposure(alignment, gold, (0.5, 2.5)) == Exposure(1.0, 0.5, 1.0, 0.5)


def test_leakage_and_over_redaction_are_shares_of_seconds():
    alignment = words(
        *(("new", 0.0, 1.0), ("", 1.0, 1.5), ("york", 1.5, 2.0)),
        *(("", 2.0, 3.0), ("said", 3.0, 4.0), ("yes", 4.0, 7.0)),
    )
    found = exposure(alignment, [placed(alignment, 0, 3)], (0.5, 5.0))
    # the silence inside the entity belongs to it; the one after it belongs to no one
    assert found == Exposure(2.0, 0.5, 4.0, 2.0)
    assert (found.leakage, found.over_redaction) == (0.25, 0.5)


def test_shares_of_nothing_are_not_known():
    assert exposure(THREE, []).leakage is None
    assert exposure(THREE[:1], [EU]).over_redaction is None
