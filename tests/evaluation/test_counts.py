import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.evaluation.counts import Counts

counts = st.builds(Counts, *[st.integers(0, 1000)] * 3)


def test_rates_follow_from_the_counts():
    found = Counts(tp=2, fp=1, fn=2)
    assert found.pred == 3
    assert found.gold == 4
    assert found.precision == pytest.approx(2 / 3)
    assert found.recall == pytest.approx(2 / 4)
    assert found.f1 == pytest.approx(4 / 7)  # 2 * 2/3 * 1/2 / (2/3 + 1/2)


@pytest.mark.parametrize("empty", [Counts(), Counts(fp=3), Counts(fn=3)])
def test_every_rate_is_zero_when_nothing_is_right(empty):
    assert (empty.precision, empty.recall, empty.f1) == (0.0, 0.0, 0.0)


@given(counts, counts)
def test_counts_add_up(one, other):
    both = one + other
    assert both == other + one
    assert (both.tp, both.pred, both.gold) == (
        one.tp + other.tp,
        one.pred + other.pred,
        one.gold + other.gold,
    )


@given(counts)
def test_f1_is_the_harmonic_mean_and_stays_in_range(found):
    precision, recall = found.precision, found.recall
    expected = 2 * precision * recall / (precision + recall) if found.tp else 0.0
    assert found.f1 == pytest.approx(expected)
    assert 0 <= min(precision, recall) <= found.f1 + 1e-12 <= max(precision, recall) + 2e-12 <= 2


def test_json_has_rates_as_fractions_and_the_counts():
    assert Counts(tp=1, fp=1, fn=0).to_json() == {
        "precision": 0.5,
        "recall": 1.0,
        "f1": 2 / 3,
        "tp": 1,
        "pred": 2,
        "gold": 1,
    }
