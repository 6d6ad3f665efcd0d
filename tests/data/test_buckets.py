from __future__ import annotations

from itertools import chain, count, islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.data.loading.buckets import BucketStream, fill_batches

durations = st.lists(st.floats(0.1, 30.0), min_size=1, max_size=40)
budgets = st.floats(0.5, 60.0)


def test_a_batch_is_cut_when_its_padded_size_would_pass_the_budget():
    # 2 + 2 = 4 padded seconds fit into 5; with 3 s it would be 3 * 3 = 9
    assert fill_batches([0, 1, 2, 3], [2.0, 2.0, 3.0, 1.0], 5.0) == [[0, 1], [2], [3]]


def test_padding_counts_the_longest_utterance_for_each():
    assert fill_batches([0, 1, 2], [3.0, 1.0, 1.0], 8.9) == [[0, 1], [2]]


def test_an_utterance_longer_than_the_budget_gets_a_batch_of_its_own():
    assert fill_batches([0, 1, 2], [1.0, 50.0, 1.0], 5.0) == [[0], [1], [2]]


def test_what_the_encoder_fills_up_counts_as_long_as_it_becomes():
    # 3 * 30 s fit into 100, and 2 * 40 s; without filling up all five would
    seconds = [1.0, 2.0, 1.0, 40.0, 1.0]
    assert fill_batches(range(5), seconds, 100.0, filled_to=30.0) == [[0, 1, 2], [3, 4]]
    stream = BucketStream(durations=[1.0] * 5, batch_seconds=100.0, filled_to=30.0)
    assert [len(batch) for batch in sorted(stream.epoch(0), key=len)] == [2, 3]


@given(durations, budgets)
def test_every_index_is_in_exactly_one_batch_within_the_budget(seconds, budget):
    batches = fill_batches(range(len(seconds)), seconds, budget)
    assert [index for batch in batches for index in batch] == list(range(len(seconds)))
    for batch in batches:
        assert len(batch) == 1 or max(seconds[i] for i in batch) * len(batch) <= budget


@given(durations, budgets, st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_holds_every_utterance_once_within_the_budget(seconds, budget, seed, number):
    batches = BucketStream(durations=seconds, batch_seconds=budget, seed=seed).epoch(number)
    assert sorted(index for batch in batches for index in batch) == list(range(len(seconds)))
    for batch in batches:
        assert len(batch) == 1 or max(seconds[i] for i in batch) * len(batch) <= budget


@given(durations, budgets, st.integers(0, 60))
def test_starting_at_a_batch_is_skipping_those_before(seconds, budget, start):
    stream = BucketStream(durations=seconds, batch_seconds=budget)
    later = BucketStream(durations=seconds, batch_seconds=budget, start=start)
    assert list(islice(later, 30)) == list(islice(stream, start, start + 30))


@given(durations, budgets, st.integers(1, 5), st.integers(0, 20))
def test_ranks_share_one_stream_in_turn(seconds, budget, num_ranks, start):
    stream = BucketStream(durations=seconds, batch_seconds=budget, num_ranks=num_ranks)
    epochs = chain.from_iterable(stream.epoch(number) for number in count())
    whole = islice(epochs, start * num_ranks, None)
    ranks = [
        iter(
            BucketStream(
                durations=seconds,
                batch_seconds=budget,
                start=start,
                rank=rank,
                num_ranks=num_ranks,
            )
        )
        for rank in range(num_ranks)
    ]
    for _ in range(10):
        assert [next(rank) for rank in ranks] == list(islice(whole, num_ranks))


@given(durations, budgets, st.integers(0, 5))
def test_the_order_of_an_epoch_depends_on_seed_and_number_alone(seconds, budget, number):
    stream = BucketStream(durations=seconds, batch_seconds=budget, seed=7)
    expected = stream.epoch(number)
    list(islice(stream, 5))  # reading it changes nothing
    resumed = BucketStream(durations=seconds, batch_seconds=budget, seed=7, start=3)
    assert stream.epoch(number) == resumed.epoch(number) == expected


def test_epochs_and_seeds_differ():
    seconds = [1.0 + 0.1 * i for i in range(40)]
    stream = BucketStream(durations=seconds, batch_seconds=6.0)
    other = BucketStream(durations=seconds, batch_seconds=6.0, seed=1)
    assert stream.epoch(0) != stream.epoch(1)
    assert stream.epoch(0) != other.epoch(0)


def test_short_first_orders_the_first_epoch_alone():
    seconds = [float(i) for i in range(20, 0, -1)]
    stream = BucketStream(durations=seconds, batch_seconds=0.1, short_first=True)
    first = [seconds[batch[0]] for batch in stream.epoch(0)]
    assert all(a < 1.3 * b for a, b in pairwise(first))  # up to the jitter
    second = [seconds[batch[0]] for batch in stream.epoch(1)]
    assert any(a > 1.3 * b for a, b in pairwise(second))


def test_a_stream_of_nothing_is_refused():
    with pytest.raises(ValueError, match="there is no utterance to train on"):
        BucketStream(durations=[], batch_seconds=1.0)
    with pytest.raises(ValueError, match=r"data.batch_seconds must be positive, got -1"):
        BucketStream(durations=[1.0], batch_seconds=-1)


def test_batches_of_one_update_are_of_like_length_on_every_rank():
    seconds = [1.0 + 0.01 * i for i in range(400)]
    batches = BucketStream(durations=seconds, batch_seconds=20.0, num_ranks=4).epoch(1)
    for first in range(0, len(batches), 4):
        longest = [max(seconds[i] for i in batch) for batch in batches[first : first + 4]]
        assert max(longest) - min(longest) < 1.0  # the whole corpus spans 4 s


@given(st.lists(st.floats(0.5, 2.0), min_size=16, max_size=40), st.integers(2, 4))
def test_every_rank_gets_as_many_batches_of_an_epoch(seconds, num_ranks):
    stream = BucketStream(durations=seconds, batch_seconds=8.0, num_ranks=num_ranks)
    assert len(stream.epoch(0)) % num_ranks == 0
