from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.decoding.beam.word_trees import ROOT, Lexicon, build_lexicon

spellings = st.lists(
    st.lists(st.integers(1, 4), min_size=1, max_size=6), min_size=1, max_size=30, unique_by=tuple
)


def words_below(lexicon: Lexicon, node: int = ROOT, before: tuple[int, ...] = ()) -> dict:
    """Spelling and index of every word at or below a node."""
    found = {before: int(lexicon.word[node])} if lexicon.word[node] >= 0 else {}
    for child in range(lexicon.first_child[node], lexicon.first_child[node + 1]):
        found |= words_below(lexicon, child, (*before, int(lexicon.symbol[child])))
    return found


def test_a_tree_worked_by_hand():
    #      0
    #    3   5      words 1: 3, 0: 3 5, 2: 5 5
    #    5   5
    lexicon = build_lexicon([[3, 5], [3], [5, 5]])
    assert lexicon.symbol.tolist() == [-1, 3, 5, 5, 5]
    assert lexicon.first_child.tolist() == [1, 3, 4, 5, 5, 5]
    assert lexicon.word.tolist() == [-1, 1, -1, 0, 2]
    assert lexicon.parent.tolist() == [-1, 0, 0, 1, 2]
    assert lexicon.levels == (0, 1, 3, 5)
    assert lexicon.best_below(np.array([-1.0, -3.0, -2.0])).tolist() == [-1, -1, -2, -1, -2]


@given(spellings)
def test_every_word_is_found_and_nothing_else(spelled):
    expected = {tuple(word): index for index, word in enumerate(spelled)}
    assert words_below(build_lexicon(spelled)) == expected


@given(spellings)
def test_every_beginning_of_a_word_is_one_node(spelled):
    lexicon = build_lexicon(spelled)
    beginnings = {tuple(word[:length]) for word in spelled for length in range(len(word) + 1)}
    assert len(lexicon.symbol) == len(beginnings) == lexicon.levels[-1]
    for node in range(1, len(lexicon.symbol)):
        parent = lexicon.parent[node]
        assert lexicon.first_child[parent] <= node < lexicon.first_child[parent + 1]


@given(spellings, st.data())
def test_the_best_below_a_node_is_that_of_the_words_below_it(spelled, data):
    lexicon = build_lexicon(spelled)
    size = len(spelled)
    values = np.array(data.draw(st.lists(st.floats(-9, 0), min_size=size, max_size=size)))
    expected = [
        max(values[index] for index in words_below(lexicon, node).values())
        for node in range(len(lexicon.symbol))
    ]
    assert lexicon.best_below(values) == pytest.approx(expected)
