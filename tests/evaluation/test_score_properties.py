import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slue_ner.evaluation.bootstrap import BootstrapOptions
from slue_ner.evaluation.score import score

INTERVALS = BootstrapOptions(resamples=50)

marked = st.lists(
    st.sampled_from(["eu", "budget", "[ORG eu]", "[GPE eu]", "[FAC eu tower]", "[DATE today]"]),
    max_size=6,
).map(" ".join)
corpora = st.lists(st.tuples(marked, marked), max_size=4)


@pytest.fixture(scope="session")
def make_records(make_reference, make_prediction):
    def make(corpus):
        references = [
            make_reference(gold, id=str(index), speaker=str(index % 2), asr_text="the eu")
            for index, (gold, _) in enumerate(corpus)
        ]
        predictions = [
            make_prediction(heard, id=str(index)) for index, (_, heard) in enumerate(corpus)
        ]
        return references, predictions

    return make


def rates_of(value):
    if isinstance(value, dict):
        return [rate for part in value.values() for rate in rates_of(part)]
    if isinstance(value, list):
        return [rate for part in value for rate in rates_of(part)]
    return [value] if isinstance(value, float) else []


@settings(max_examples=50)
@given(corpora)
def test_the_score_object_is_plain_json_without_nan(make_records, corpus):
    references, predictions = make_records(corpus)
    found = score(references, predictions, intervals=INTERVALS, seen_phrases={"today"}).to_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert all(math.isfinite(rate) for rate in rates_of(found))


@settings(max_examples=50)
@given(corpora, st.randoms())
def test_the_order_of_records_and_entities_does_not_matter(make_records, corpus, random):
    references, predictions = make_records(corpus)
    expected = score(references, predictions, seen_phrases={"eu"}).to_json()

    def shuffled(records):
        records = [
            replace(record, entities=tuple(random.sample(record.entities, len(record.entities))))
            for record in records
        ]
        return random.sample(records, len(records))

    found = score(shuffled(references), shuffled(predictions), seen_phrases={"eu"}).to_json()
    assert found == expected


@given(corpora)
def test_metrics_are_ordered_as_their_rules_are(make_records, corpus):
    found = score(*make_records(corpus), seen_phrases={"eu"})
    ner = found.entities["ner"].micro
    assert found.counts["ner_position"].f1 <= ner.f1 <= found.counts["ner_tolerant"].f1
    assert found.counts["ner_tolerant"].f1 <= found.entities["ner_label"].micro.f1
    assert found.counts["ner_seen"] + found.counts["ner_unseen"] == ner


@given(corpora, corpora)
def test_counts_of_two_corpora_add_up(make_records, one, other):
    def micro(corpus):
        found = score(*make_records(corpus))
        return [found.entities["ner"].micro, *found.counts.values()]

    both = micro(one + other)
    assert both == [a + b for a, b in zip(micro(one), micro(other), strict=True)]


@given(st.lists(marked.filter(bool), min_size=1, max_size=4))
def test_a_perfect_prediction_has_no_error(make_records, corpus):
    found = score(*make_records([(gold, gold) for gold in corpus]))
    assert found.error_rates["wer"] == found.error_rates["cer"] == 0.0
    for counts in (*found.counts.values(), *(e.micro for e in found.entities.values())):
        assert counts.fp == counts.fn == 0
