import numpy as np
import pytest

from slue_ner.evaluation.bootstrap import (
    BootstrapOptions,
    Clusters,
    clusters,
    each_alone,
    make_intervals,
)
from slue_ner.evaluation.statistics import measure


@pytest.fixture(scope="module")
def statistics(make_reference, make_prediction):
    heard = ("the [ORG eu] budget", "the [ORG e u] budget", "the eu [LAW budget]")
    pairs = [
        (
            make_reference("the [ORG eu] budget", id=str(index)),
            make_prediction(heard[index % 3], id=str(index)),
        )
        for index in range(60)
    ]
    return measure(pairs, labels="combined", seen_phrases={"eu"})


def test_every_rate_has_an_interval_around_it(statistics):
    made = make_intervals(statistics, clusters=each_alone(60), options=BootstrapOptions())
    rates = statistics.rates(statistics.matrix().sum(axis=0))
    assert set(made.bounds) == set(rates)
    for path, (low, high) in made.bounds.items():
        assert 0 <= low <= rates[path] <= high, path
    assert made.bounds["wer"][0] < made.bounds["wer"][1]
    assert made.method.to_json() == {
        "level": 0.95,
        "unit": "utterance",
        "resamples": 1000,
        "seed": 0,
    }


def test_a_higher_level_gives_a_wider_interval(statistics):
    narrow, wide = (
        make_intervals(statistics, clusters=each_alone(60), options=BootstrapOptions(level=level))
        for level in (0.5, 0.99)
    )
    for path in ("wer", "ner.micro.f1"):
        assert wide.bounds[path][0] < narrow.bounds[path][0]
        assert narrow.bounds[path][1] < wide.bounds[path][1]


def test_utterances_alike_within_speakers_make_the_interval_wider(statistics):
    speakers = Clusters({"speaker": 3, "debate": 0, "utterance": 0}, np.arange(60) % 3)
    options = BootstrapOptions()
    by_speaker = make_intervals(statistics, clusters=speakers, options=options)
    by_utterance = make_intervals(statistics, clusters=each_alone(60), options=options)
    spread = [np.ptp(made.bounds["ner.micro.f1"]) for made in (by_speaker, by_utterance)]
    assert spread[0] > 2 * spread[1]


def test_utterances_all_alike_give_an_interval_without_width(make_reference, make_prediction):
    pairs = [
        (make_reference("the [ORG eu]", id=id), make_prediction("the [ORG eu]", id=id))
        for id in "abc"
    ]
    statistics = measure(pairs, labels="combined", seen_phrases=None)
    made = make_intervals(
        statistics, clusters=each_alone(3), options=BootstrapOptions(resamples=20)
    )
    assert made.bounds["ner.micro.f1"] == (1.0, 1.0)
    assert made.bounds["wer"] == (0.0, 0.0)


def test_a_single_unit_has_no_interval_and_says_so(make_reference, make_prediction):
    reference = make_reference("the [ORG eu]")
    statistics = measure([(reference, make_prediction("the eu"))], labels="raw", seen_phrases=None)
    made = make_intervals(
        statistics, clusters=clusters([reference]), options=BootstrapOptions(resamples=20)
    )
    assert made.bounds == {}
    assert made.method is None
    assert made.not_computed == {"intervals": "a bootstrap needs at least 2 utterances, got 1"}


def test_an_undefined_rate_has_no_interval_and_says_so(make_reference, make_prediction):
    pairs = [(make_reference("the [ORG eu]", id=id), make_prediction("", id=id)) for id in "ab"]
    statistics = measure(pairs, labels="combined", seen_phrases=None)
    made = make_intervals(
        statistics, clusters=each_alone(2), options=BootstrapOptions(resamples=20)
    )
    assert made.not_computed == {"intervals.ner.micro.precision": "0/0 in every resample"}
    assert made.bounds["ner.micro.recall"] == (0.0, 0.0)
