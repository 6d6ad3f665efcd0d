import numpy as np
import pytest

from slue_ner.evaluation.bootstrap import (
    BootstrapOptions,
    Clusters,
    clusters,
    each_alone,
    percentile_interval,
    resample,
)


def test_speakers_are_the_unit_when_all_are_known(make_reference):
    references = [make_reference("eu", id=str(i), speaker=name) for i, name in enumerate("xyx")]
    grouped = clusters(references)
    assert grouped.kinds == {"speaker": 2, "debate": 0, "utterance": 0}
    assert grouped.index.tolist() == [0, 1, 0]


@pytest.mark.parametrize("speakers", [("x", "x", "x"), (None, None, None)])
def test_utterances_are_the_unit_when_no_speaker_is_known_or_one_is_alone(make_reference, speakers):
    references = [make_reference("eu", id=str(i), speaker=s) for i, s in enumerate(speakers)]
    grouped = clusters(references)
    assert (grouped.unit, grouped.num_clusters) == ("utterance", 3)
    assert grouped.index.tolist() == [0, 1, 2]


def test_where_a_speaker_is_unknown_the_others_are_still_drawn_whole(make_reference):
    debate = "20131007-0900-PLENARY-19-en"
    rows = [("a", "x"), (f"{debate}_1", None), ("b", "y"), ("c", None), (f"{debate}_2", "")]
    rows += [("d", "x"), ("e", "c"), ("f", debate)]  # speakers called like an utterance, a debate
    grouped = clusters([make_reference("eu", id=id, speaker=name) for id, name in rows])
    assert grouped.index.tolist() == [0, 1, 2, 3, 1, 0, 4, 5]
    assert grouped.kinds == {"speaker": 4, "debate": 1, "utterance": 1}
    assert grouped.unit == "speaker"


def test_one_debate_alone_is_drawn_by_utterance(make_reference):
    ids = [f"20131007-0900-PLENARY-19-en_{i}" for i in range(3)]
    grouped = clusters([make_reference("eu", id=id, speaker=None) for id in ids])
    assert grouped.kinds == {"speaker": 0, "debate": 0, "utterance": 3}


def test_the_same_seed_draws_the_same_data_sets():
    rows = np.arange(10.0).reshape(5, 2)
    draw = [
        resample(rows, clusters=each_alone(5), options=BootstrapOptions(resamples=20, seed=seed))
        for seed in (3, 3, 4)
    ]
    assert draw[0].shape == (20, 2)
    assert (draw[0] == draw[1]).all()
    assert (draw[0] != draw[2]).any()


def test_every_data_set_has_as_many_clusters_as_the_original():
    drawn = resample(
        np.ones((7, 1)), clusters=each_alone(7), options=BootstrapOptions(resamples=50)
    )
    assert (drawn == 7).all()


def test_columns_are_drawn_together():
    column = np.arange(30.0)
    rows = np.stack([column, 2 * column], axis=1)
    drawn = resample(rows, clusters=each_alone(30), options=BootstrapOptions(resamples=50))
    assert (drawn[:, 1] == 2 * drawn[:, 0]).all()


def test_utterances_of_one_speaker_come_and_go_together():
    # speaker 0 has three utterances of 1, speaker 1 has one of 10: sums are 3 a + 10 (2 - a)
    index = np.array([0, 0, 1, 0])
    rows = np.array([[1.0], [1.0], [10.0], [1.0]])
    options = BootstrapOptions(resamples=200)
    drawn = resample(
        rows, clusters=Clusters({"speaker": 2, "debate": 0, "utterance": 0}, index), options=options
    )
    assert set(drawn.ravel()) == {6.0, 13.0, 20.0}


def test_the_spread_of_resampled_means_is_the_standard_error():
    # of a sample mean: population standard deviation / sqrt(N)
    values = np.random.default_rng(1).normal(size=400)
    options = BootstrapOptions(resamples=4000)
    means = resample(values[:, None], clusters=each_alone(400), options=options)[:, 0] / 400
    assert means.mean() == pytest.approx(values.mean(), abs=0.005)
    assert means.std() == pytest.approx(values.std() / 20, rel=0.05)


def test_many_clusters_are_drawn_in_several_portions():
    size = 1 << 19
    drawn = resample(
        np.ones((size, 1)), clusters=each_alone(size), options=BootstrapOptions(resamples=5)
    )
    assert drawn.ravel().tolist() == [size] * 5


def test_the_interval_is_the_middle_of_the_values():
    # 0, 1, ..., 100: the middle 90 % runs from the 5th to the 95th
    low, high = percentile_interval(np.arange(101.0), level=0.9)
    assert (low, high) == pytest.approx((5.0, 95.0))


def test_resamples_that_leave_a_rate_undefined_are_left_out():
    assert percentile_interval(np.array([np.nan, 0.5, 0.5]), level=0.95) == (0.5, 0.5)
    assert percentile_interval(np.array([np.nan]), level=0.95) is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"level": 95}, "level 95 should be a fraction"),
        ({"resamples": 0}, "resamples 0 should be at least 1"),
        ({"seed": -1}, "seed -1 should not be negative"),
    ],
)
def test_impossible_options_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        BootstrapOptions(**wrong)
