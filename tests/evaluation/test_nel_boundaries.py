import pytest
from hypothesis import given
from hypothesis import strategies as st
from nel_records import instants, placed, prediction, words

from slue_ner.core.types import EntitySpan, Word
from slue_ner.evaluation.nel_corrected import BoundaryError, boundary_distances, match_times

times = st.lists(st.tuples(instants, instants).map(lambda pair: tuple(sorted(pair))), max_size=6)

TWO = words(("eu", 0.0, 1.0), ("un", 2.0, 3.0))
GOLD = [placed(TWO, 0, 1), placed(TWO, 1, 2)]


def distances(gold, *predicted, alignment=TWO):
    return boundary_distances(alignment, gold, prediction(*predicted).entities)


def test_starts_and_ends_of_overlapping_entities_are_compared():
    assert distances(GOLD, (2.25, 3.5), (0.0, 0.75)) == [[0.0, 0.25], [0.25, 0.5]]


def test_entities_that_do_not_overlap_are_not_compared():
    assert distances(GOLD, (1.0, 2.0)) == []  # it touches both


def test_the_longest_overlap_is_taken_first_and_each_entity_once():
    assert match_times([(0.0, 1.0), (2.0, 3.0)], [(0.8, 2.9)]) == [(1, 0)]
    assert match_times([(0.0, 3.0)], [(0.0, 1.0), (1.0, 3.0)]) == [(0, 1)]


def test_the_nearest_boundaries_decide_between_overlaps_of_one_length():
    assert match_times([(1.0, 2.0)], [(0.0, 4.0), (0.5, 2.5)]) == [(0, 1)]


def test_a_gold_entity_has_its_own_times_else_those_of_its_words():
    by_hand = EntitySpan("ORG", "eu", words=(0, 1), start=0.25, end=1.0)
    by_words = EntitySpan("ORG", "eu", words=(0, 1))
    by_neither = EntitySpan("ORG", "eu")
    assert distances([by_hand], (0.0, 1.0)) == [[0.25, 0.0]]
    assert distances([by_words], (0.0, 1.0)) == [[0.0, 0.0]]
    assert distances([by_neither], (0.0, 1.0)) == []


def test_boundaries_at_a_word_whose_times_are_a_guess_are_left_out():
    alignment = (Word("the", 0.0, 0.5, estimated=True), Word("eu", 0.5, 1.0))
    gold = [placed(alignment, 0, 2)]
    assert distances(gold, (0.25, 0.75), alignment=alignment) == [[0.25]]


def test_the_summary_is_in_milliseconds():
    # 0 to 100 ms in steps of 10: the median is the sixth, nine tenths lie below the tenth
    found = BoundaryError.from_seconds([step / 100 for step in range(11)], num_matched=6)
    assert found.to_json() == {
        "median": pytest.approx(50.0),
        "p90": pytest.approx(90.0),
        "num_matched": 6,
    }


@given(times, times)
def test_matching_is_one_to_one_between_spans_that_overlap(gold, predicted):
    pairs = match_times(gold, predicted)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    for i, j in pairs:
        assert max(gold[i][0], predicted[j][0]) < min(gold[i][1], predicted[j][1])


@given(times, times, st.randoms(use_true_random=False))
def test_the_order_of_spans_does_not_matter_for_what_is_matched(gold, predicted, random):
    def matched(one, other):
        return sorted((one[i], other[j]) for i, j in match_times(one, other))

    shuffled = random.sample(gold, len(gold)), random.sample(predicted, len(predicted))
    assert matched(*shuffled) == matched(gold, predicted)
