import numpy as np
import pytest

from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.statistics import measure


@pytest.fixture
def pairs(make_reference, make_prediction):
    return [
        # one word of four wrong; both entities right
        (
            make_reference(
                "the [ORG eu] in [PLACE brussels]", id="a", asr_text="the eu, in brussels"
            ),
            make_prediction("a [ORG eu] in [PLACE brussels]", id="a"),
        ),
        # the phrase is misspelt by one letter of seven, a second entity is spurious
        (
            make_reference(
                "president [PERSON barroso] said", id="b", asr_text="president barroso said"
            ),
            make_prediction("[LAW president] [PERSON baroso] said", id="b"),
        ),
        (
            make_reference("thank you", id="c", asr_text="thank you"),
            make_prediction("thank you", id="c"),
        ),
    ]


def test_each_utterance_has_a_row_for_each_metric(pairs):
    found = measure(pairs, labels="combined", seen_phrases={"eu"})
    assert {name: rows.tolist() for name, rows in found.edits.items()} == {
        "wer": [[1, 4], [1, 3], [0, 2]],
        "cer": [[3, 18], [1, 22], [0, 9]],
        "wer_asr": [[2, 4], [1, 3], [0, 2]],
    }
    assert {name: rows.tolist() for name, rows in found.counts.items()} == {
        "ner": [[2, 0, 0], [0, 2, 1], [0, 0, 0]],
        "ner_label": [[2, 0, 0], [1, 1, 0], [0, 0, 0]],
        "ner_position": [[2, 0, 0], [0, 2, 1], [0, 0, 0]],
        "ner_tolerant": [[2, 0, 0], [1, 1, 0], [0, 0, 0]],
        "ner_seen": [[1, 0, 0], [0, 0, 0], [0, 0, 0]],
        "ner_unseen": [[1, 0, 0], [0, 2, 1], [0, 0, 0]],
    }


def test_rates_of_the_summed_rows_are_those_of_the_summed_counts(pairs):
    found = measure(pairs, labels="combined", seen_phrases=None)
    rates = found.rates(found.matrix().sum(axis=0))
    micro = found.entities["ner"].micro
    assert micro == found.total("ner") == Counts(tp=2, fp=2, fn=1)
    assert rates["ner.micro.f1"] == pytest.approx(micro.f1) == pytest.approx(4 / 7)
    assert rates["ner.micro.precision"] == pytest.approx(2 / 4)
    assert rates["ner.micro.recall"] == pytest.approx(2 / 3)
    assert rates["wer"] == pytest.approx(2 / 9)
    assert found.error_rates()["wer"] == pytest.approx(2 / 9)


def test_rates_are_made_of_many_sums_at_once(pairs):
    found = measure(pairs, labels="combined", seen_phrases=None)
    rates = found.rates(found.matrix())
    assert rates["wer"].tolist() == pytest.approx([1 / 4, 1 / 3, 0])
    np.testing.assert_array_equal(rates["ner.micro.f1"], [1, 0, np.nan])


def test_metrics_without_their_input_are_left_out(pairs, make_reference, make_prediction):
    untold = [*pairs, (make_reference("eu", id="d"), make_prediction("eu", id="d"))]
    found = measure(untold, labels="combined", seen_phrases=None)
    assert set(found.edits) == {"wer", "cer"}
    assert set(found.counts) == {"ner", "ner_label", "ner_position", "ner_tolerant"}


def test_no_utterance_at_all_gives_no_rows():
    found = measure([], labels="combined", seen_phrases=())
    assert found.matrix().shape == (0, 2 * 3 + 3 * 6)
    assert found.error_rates() == {}
