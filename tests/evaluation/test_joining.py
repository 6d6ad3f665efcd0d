import pytest

from slue_ner.evaluation.joining import join


@pytest.fixture
def references(make_reference):
    return [make_reference("the eu", id=id) for id in "abcde"]


@pytest.fixture
def predictions(make_prediction):
    return [make_prediction("the [ORG eu]", id=id) for id in "abcde"]


def test_predictions_follow_the_order_of_the_references(references, predictions):
    joined = join(references, predictions[::-1])
    assert [prediction.id for _, prediction in joined.pairs] == list("abcde")


def test_missing_predictions_are_counted_and_the_first_are_named(references, predictions):
    message = r"4 ids \(b, c, d and 1 more\) have a reference but no prediction"
    with pytest.raises(ValueError, match=message):
        join(references, predictions[:1])


def test_a_missing_prediction_can_stand_as_an_empty_one(references, predictions):
    joined = join(references, predictions[:3], missing_as_empty=True)
    assert joined.num_missing == 2
    assert joined.pairs[-1][1].entities == ()
    assert joined.pairs[-1][1].text == ""


def test_a_prediction_without_a_reference_is_named_whatever_is_missing(references, predictions):
    with pytest.raises(ValueError, match=r"1 ids \(e\) have a prediction but no reference"):
        join(references[:4], predictions, missing_as_empty=True)


def test_an_id_that_occurs_twice_is_named(references, predictions):
    with pytest.raises(ValueError, match=r"1 ids \(a\) occur more than once in the references"):
        join([*references, references[0]], predictions)
    with pytest.raises(ValueError, match=r"1 ids \(b\) occur more than once in the predictions"):
        join(references, [*predictions, predictions[1]])


def test_a_failed_prediction_is_empty_and_counted(references, predictions, make_prediction):
    failed = make_prediction("the [ORG eu]", id="a", error="out of memory", num_repairs=2)
    joined = join(references, [failed, *predictions[1:]])
    assert joined.num_errors == 1
    assert joined.num_repairs == 2
    assert joined.pairs[0][1].text == ""
    assert joined.pairs[0][1].entities == ()
