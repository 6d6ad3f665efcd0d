from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.types import EntitySpan
from slue_ner.evaluation.ner import num_matches, num_tolerant_matches

phrases = st.text(alphabet="ab", min_size=4, max_size=10)
lists = st.lists(phrases, max_size=5)


def persons(*phrases):
    return [EntitySpan("PERSON", phrase) for phrase in phrases]


def edit_distance(one, other):
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        previous, row = row, [i]
        for j, b in enumerate(other, start=1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (a != b)))
    return row[-1]


@pytest.mark.parametrize(
    ("gold", "predicted", "right"),
    [
        ("barroso", "baroso", 1),  # 1 edit in 7 characters: 0.14
        ("monti", "monty", 1),  # 1 in 5: exactly 0.2
        ("rehn", "ren", 0),  # 1 in 4: 0.25
        ("van rompuy", "vanrompui", 1),  # a lost space and a letter, 2 in 10
        ("van rompuy", "von rompei", 0),  # 3 in 10
    ],
)
def test_one_edit_is_forgiven_for_five_characters(gold, predicted, right):
    assert num_tolerant_matches(persons(gold), predicted=persons(predicted)) == right


def test_the_label_is_not_forgiven():
    predicted = [EntitySpan("ORG", "barroso")]
    assert num_tolerant_matches(persons("barroso"), predicted=predicted) == 0


def test_the_pairing_is_as_large_as_possible_and_not_greedy():
    # "aaaaaaaaab" is near both golds, "aaaaaaaaaa" only near the first within two edits
    gold = persons("aaaaaaaaaa", "aaaaaaabbb")
    predicted = persons("aaaaaaaaab", "aaaaaaaaaa")
    assert num_tolerant_matches(gold, predicted=predicted) == 2
    assert num_tolerant_matches(gold, predicted=predicted[::-1]) == 2


def test_an_exact_pair_is_given_up_when_that_makes_two_pairs():
    # pairing the two equal phrases leaves the other two, 4 edits apart, without a partner
    gold = persons("aaaaaaaaaa", "aaaaaaaabb")
    predicted = persons("aaaaaaaaaa", "aaaaaaccaa")
    assert edit_distance("aaaaaaccaa", "aaaaaaaabb") == 4
    assert num_tolerant_matches(gold, predicted=predicted) == 2


def test_an_entity_is_used_once():
    predicted = persons("barroso", "baroso", "barosso")
    assert num_tolerant_matches(persons("barroso"), predicted=predicted) == 1


def test_unknown_phrases_and_labels_match_nothing():
    predicted = [EntitySpan("PERSON", None), EntitySpan(None, "barroso")]
    assert num_tolerant_matches(persons("barroso"), predicted=predicted) == 0


@given(lists, lists)
def test_the_number_equals_the_best_of_all_pairings(gold, predicted):
    near = [[5 * edit_distance(p, g) <= len(g) for g in gold] for p in predicted]
    short, long = sorted((range(len(gold)), range(len(predicted))), key=len)
    by_gold = len(gold) <= len(predicted)
    best = max(
        sum(near[j][i] if by_gold else near[i][j] for i, j in zip(short, chosen, strict=True))
        for chosen in permutations(long, len(short))
    )
    assert num_tolerant_matches(persons(*gold), predicted=persons(*predicted)) == best


@given(lists, lists)
def test_tolerance_never_lowers_the_number_right(gold, predicted):
    ours, theirs = persons(*predicted), persons(*gold)
    assert num_tolerant_matches(theirs, predicted=ours) >= num_matches(theirs, predicted=ours)
