from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.text.windows import Window, windows


def test_a_sentence_that_fits_is_one_window():
    assert windows([3, 1, 4], limit=8) == [Window(0, 3, (0, 1, 2))]
    assert windows([], limit=8) == []


def test_a_word_belongs_where_the_shorter_side_of_its_context_is_longest():
    # eight one-token words in windows of six; the second goes back a quarter of a window, 1 word:
    # [0, 6) and [5, 8). Word 5 has no right context in the first and no left one in the second,
    # so the earlier keeps it
    assert windows([1] * 8, limit=6) == [
        Window(0, 6, (0, 1, 2, 3, 4, 5)),
        Window(5, 8, (6, 7)),
    ]
    # windows of eight go back two words: [0, 8) and [6, 10). Word 7 has none on the right in the
    # first but word 6 on the left in the second
    assert windows([1] * 10, limit=8) == [
        Window(0, 8, (0, 1, 2, 3, 4, 5, 6)),
        Window(6, 10, (7, 8, 9)),
    ]


def test_a_word_as_long_as_a_window_has_one_of_its_own():
    assert windows([1, 4, 1], limit=4) == [
        Window(0, 1, (0,)),
        Window(1, 2, (1,)),
        Window(2, 3, (2,)),
    ]


@pytest.mark.parametrize("lengths", [[0], [5], [1, 9, 1]])
def test_a_word_that_fits_no_window_is_refused(lengths):
    with pytest.raises(ValueError, match="words must have 1 to 4 tokens"):
        windows(lengths, limit=4)


@given(st.data(), st.integers(1, 12))
def test_every_word_is_owned_once_by_a_window_that_fits_and_has_most_context(data, limit):
    lengths = data.draw(st.lists(st.integers(1, limit), min_size=1, max_size=40))
    made = windows(lengths, limit=limit)
    assert sorted(word for window in made for word in window.owned) == list(range(len(lengths)))

    def context(word, window):
        left = sum(lengths[window.first : word]) if window.first else 10**6
        right = sum(lengths[word + 1 : window.last]) if window.last < len(lengths) else 10**6
        return min(left, right)

    for window in made:
        assert sum(lengths[window.first : window.last]) <= limit
        for word in window.owned:
            there = [w for w in made if w.first <= word < w.last]
            assert window in there
            assert context(word, window) == max(context(word, other) for other in there)
