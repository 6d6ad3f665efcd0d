import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.types import EntitySpan
from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.ner import EntityScore, count_entities, count_labels, num_matches

entities = st.lists(
    st.builds(
        EntitySpan,
        label=st.sampled_from(["ORG", "PLACE", None]),
        phrase=st.sampled_from(["eu", "the eu", "paris", None]),
    ),
    max_size=8,
)


def spans(*keys):
    return [EntitySpan(label, phrase) for label, phrase in keys]


def total(by_label):
    return sum(by_label.values(), Counts())


def test_a_repeated_entity_counts_as_often_as_it_occurs():
    gold = spans(("ORG", "eu"), ("ORG", "eu"), ("ORG", "eu"))
    predicted = spans(("ORG", "eu"), ("ORG", "eu"))
    assert count_entities(gold, predicted=predicted) == {"ORG": Counts(tp=2, fp=0, fn=1)}


@pytest.mark.parametrize("phrase", ["the eu", "EU", "eu ", ""])
def test_a_phrase_matches_only_the_very_same_string(phrase):
    counts = count_entities(spans(("ORG", "eu")), predicted=spans(("ORG", phrase)))
    assert counts == {"ORG": Counts(tp=0, fp=1, fn=1)}


def test_a_wrong_label_is_spurious_for_one_label_and_missed_for_the_other():
    counts = count_entities(spans(("ORG", "eu")), predicted=spans(("PLACE", "eu")))
    assert counts == {"ORG": Counts(fn=1), "PLACE": Counts(fp=1)}


def test_label_counts_ignore_the_words_of_an_entity():
    gold = spans(("ORG", "eu"), ("ORG", "nato"), ("PLACE", "paris"))
    predicted = spans(("ORG", "e you"), ("ORG", "natter"), ("ORG", "parish"))
    assert count_labels(gold, predicted=predicted) == {
        "ORG": Counts(tp=2, fp=1),
        "PLACE": Counts(fn=1),
    }


def test_an_unknown_phrase_or_label_matches_nothing_but_was_predicted():
    gold = spans(("ORG", "eu"), ("PLACE", "paris"))
    predicted = spans(("ORG", None), (None, "paris"))
    assert count_entities(gold, predicted=predicted) == {
        "ORG": Counts(fp=1, fn=1),
        "PLACE": Counts(fn=1),
        None: Counts(fp=1),
    }
    assert count_labels(gold, predicted=predicted)["ORG"] == Counts(tp=1)


def test_predictions_without_a_label_weigh_in_the_micro_score_alone():
    score = EntityScore.from_labels({"ORG": Counts(tp=1), None: Counts(fp=1)})
    assert score.micro.precision == 0.5
    assert list(score.per_label) == ["ORG"]
    assert score.macro == {"precision": 1.0, "recall": 1.0, "f1": 1.0}


def test_macro_is_the_mean_over_labels_and_a_spurious_label_lowers_it():
    # ORG P = 1/2, R = 1, F = 2/3; LAW was only predicted: 0, 0, 0
    score = EntityScore.from_labels({"ORG": Counts(tp=1, fp=1), "LAW": Counts(fp=2)})
    assert score.macro == {
        "precision": pytest.approx(1 / 4),
        "recall": pytest.approx(1 / 2),
        "f1": pytest.approx(1 / 3),
    }


def test_macro_is_absent_when_there_is_no_label():
    score = EntityScore.from_labels({})
    assert score.macro is None
    assert "macro" not in score.to_json()


@given(entities, entities, st.randoms())
def test_the_order_of_entities_does_not_matter(gold, predicted, random):
    expected = count_entities(gold, predicted=predicted)
    random.shuffle(gold)
    random.shuffle(predicted)
    assert count_entities(gold, predicted=predicted) == expected


@given(entities, entities)
def test_forgetting_the_phrase_never_lowers_the_number_right(gold, predicted):
    exact = total(count_entities(gold, predicted=predicted))
    label = total(count_labels(gold, predicted=predicted))
    assert label.tp >= exact.tp
    assert label.f1 >= exact.f1
    assert (label.pred, label.gold) == (exact.pred, exact.gold) == (len(predicted), len(gold))


@given(entities, entities)
def test_matches_are_the_true_positives(gold, predicted):
    exact = total(count_entities(gold, predicted=predicted))
    assert num_matches(gold, predicted=predicted) == exact.tp
