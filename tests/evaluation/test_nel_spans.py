from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.evaluation.nel_times import holds, merge, shared, size

spans = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: tuple(sorted(pair))),
    max_size=8,
)


def members(some):
    return {number for start, end in some for number in range(start, end)}


@given(spans)
def test_a_union_has_the_same_members_in_spans_that_do_not_touch(some):
    merged = merge(some)
    assert members(merged) == members(some)
    assert all(end < start for (_, end), (start, _) in pairwise(merged))
    assert size(merged) == len(members(some))


@given(spans, spans)
def test_the_shared_size_is_that_of_the_intersection(one, other):
    assert shared(merge(one), merge(other)) == len(members(one) & members(other))


@given(spans, st.integers(0, 30))
def test_a_set_holds_its_members(some, number):
    assert holds(merge(some), number) == (number in members(some))


def test_spans_that_touch_become_one():
    assert merge([(0.5, 0.7), (0.2, 0.5)]) == [(0.2, 0.7)]


def test_a_span_of_seconds_has_its_start_and_not_its_end():
    assert holds([(0.2, 0.7)], 0.2)
    assert not holds([(0.2, 0.7)], 0.7)


@pytest.mark.parametrize("empty", [[], [(1, 1)], [(2, 1)]])
def test_empty_spans_are_nothing(empty):
    assert merge(empty) == []
    assert size(merge(empty)) == shared([(0, 3)], merge(empty)) == 0
