from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from slue_ner.evaluation.purity import purity

frames = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=80)


def measure(clusters, phones):
    return purity(np.array(clusters), np.array(phones))


def test_clusters_that_are_the_phones_are_perfect_whatever_their_numbers():
    found = measure([5, 5, 0, 2, 2, 2], [0, 0, 1, 3, 3, 3])
    assert found.phone == pytest.approx(1.0)
    assert found.cluster == pytest.approx(1.0)
    assert found.pnmi == pytest.approx(1.0)
    assert found.num_frames == 6


def test_one_cluster_for_everything_knows_nothing_of_the_phones():
    found = measure([0, 0, 0, 0], [0, 0, 0, 1])
    assert found.phone == pytest.approx(3 / 4)  # the most frequent phone
    assert found.cluster == pytest.approx(1.0)  # every phone is in one cluster
    assert found.pnmi == pytest.approx(0.0)


def test_two_clusters_for_each_phone_are_pure_and_half_the_frames_are_in_the_larger():
    found = measure([0, 1, 2, 3], [0, 0, 1, 1])
    assert found.phone == pytest.approx(1.0)
    assert found.cluster == pytest.approx(1 / 4 + 1 / 4)
    assert found.pnmi == pytest.approx(1.0)


def test_a_worked_example():
    # cluster 0 holds phones 0 0 1, cluster 1 holds phone 1
    found = measure([0, 0, 0, 1], [0, 0, 1, 1])
    assert found.phone == pytest.approx(3 / 4)
    assert found.cluster == pytest.approx(3 / 4)  # phone 0 in cluster 0, one of phone 1 anywhere
    # I = 1/2 ln(1/2 / (3/4 * 1/2)) + 1/4 ln(1/4 / (3/4 * 1/2)) + 1/4 ln(1/4 / (1/4 * 1/2))
    information = np.log(4 / 3) / 2 + np.log(2 / 3) / 4 + np.log(2) / 4
    assert found.pnmi == pytest.approx(information / np.log(2))


def test_independent_clusters_have_no_information():
    found = measure([0, 0, 1, 1] * 3, [0, 1, 0, 1] * 3)
    assert found.pnmi == pytest.approx(0.0, abs=1e-12)
    assert found.phone == pytest.approx(1 / 2)


def test_one_frame_is_pure_and_has_no_entropy():
    found = measure([3], [2])
    assert (found.phone, found.cluster, found.pnmi) == (1.0, 1.0, 0.0)


def test_no_frame_is_refused():
    with pytest.raises(ValueError, match="purity needs at least one frame"):
        measure([], [])


@given(frames.filter(lambda pairs: len({phone for _, phone in pairs}) > 1))
def test_all_figures_are_shares_and_purer_than_chance(pairs):
    clusters, phones = zip(*pairs, strict=True)
    found = measure(clusters, phones)
    for share in (found.phone, found.cluster, found.pnmi):
        assert -1e-12 <= share <= 1 + 1e-12
    assert found.phone >= np.bincount(phones).max() / len(phones) - 1e-12
    assert found.cluster >= np.bincount(clusters).max() / len(clusters) - 1e-12
    assert found.num_frames == len(pairs)


@given(frames, st.permutations(range(7)), st.permutations(range(7)))
def test_names_of_clusters_and_phones_do_not_matter(pairs, new_clusters, new_phones):
    clusters, phones = zip(*pairs, strict=True)
    one = measure(clusters, phones)
    other = measure([new_clusters[i] for i in clusters], [new_phones[i] for i in phones])
    assert other.phone == pytest.approx(one.phone)
    assert other.cluster == pytest.approx(one.cluster)
    if len(set(phones)) > 1:
        assert other.pnmi == pytest.approx(one.pnmi, abs=1e-9)


@given(frames)
def test_swapping_the_sides_swaps_the_purities(pairs):
    clusters, phones = zip(*pairs, strict=True)
    one, other = measure(clusters, phones), measure(phones, clusters)
    assert (one.phone, one.cluster) == pytest.approx((other.cluster, other.phone))


@pytest.mark.parametrize("seed", range(5))
def test_pnmi_is_that_of_scikit_learn(seed):
    random = np.random.default_rng(seed)
    phones = random.integers(0, 40, 2_000)
    clusters = np.where(random.random(2_000) < 0.6, phones, random.integers(0, 100, 2_000))
    shares = np.bincount(phones) / len(phones)
    entropy = -np.sum(shares * np.log(shares))
    assert measure(clusters, phones).pnmi == pytest.approx(
        mutual_info_score(phones, clusters) / entropy
    )
