"""A model of one label set is never used with the other: it says its set, or its marks do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slue_ner.core.labels import COMBINED, RAW, label_set
from slue_ner.decoding.beam.scoring_rules import BeamOptions, Scorer
from slue_ner.decoding.lm.ngram_labels import label_set_of
from slue_ner.decoding.lm.ngram_training import train
from slue_ner.text.markup import to_symbols
from slue_ner.text.vocabulary import Vocabulary

PERSON_IN_ROME = {"combined": "$ ana ] in % rome ]", "raw": "} ana ] in % rome ]"}


def scorer(model, labels, unit="words"):
    symbols = Vocabulary.build(["ana in rome"], label_set(labels)).symbols
    return Scorer(symbols, BeamOptions(), labels=label_set(labels), **{unit: model})


def model_of(text, labels=None, unit="words"):
    words = text.split()
    model, _ = train([to_symbols(words) if unit == "characters" else words], order=2)
    return replace(model, labels=labels)


@pytest.mark.parametrize("says", [True, False])
@pytest.mark.parametrize("unit", ["words", "characters"])
@pytest.mark.parametrize(("own", "other"), [("combined", "raw"), ("raw", "combined")])
def test_a_model_of_the_other_label_set_is_refused(says, unit, own, other):
    model = model_of(PERSON_IN_ROME[own], own if says else None, unit)
    assert not scorer(model, own, unit).labels_untold
    with pytest.raises(
        ValueError,
        match=f"of {own} labels but the vocabulary has {other} ones; train one with "
        f"`slue-ner lm train --labels {other}`",
    ):
        scorer(model, other, unit)


def test_what_the_file_says_counts_more_than_what_its_marks_look_like():
    model = model_of("% rome ] in $ ana ]", "raw")  # a place in a building, by raw labels
    assert label_set_of(model) is RAW
    with pytest.raises(
        ValueError, match=r"entity marks \$ % of raw labels but the vocab.* combined"
    ):
        scorer(model, "combined")


def test_the_way_out_of_a_wrong_guess_is_told():
    with pytest.raises(ValueError, match=r"or say '# labels: raw' in a line above .data. of the A"):
        scorer(model_of("$ ana ]"), "raw")


@pytest.mark.parametrize("labels", ["combined", "raw"])
def test_marks_that_fit_both_sets_are_taken_and_told(labels):
    assert scorer(model_of("in % rome ]"), labels).labels_untold


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ana in rome", None),  # plain
        ("% rome ] @ today ]", None),
        ("# eu ]", COMBINED),
        ("` eu ] # expo ]", RAW),
        ("( is this % rome ] ? )", None),  # punctuation
        ("~ first ]", RAW),
    ],
)
def test_marks_tell_their_set_where_they_can(text, found):
    assert label_set_of(model_of(text)) is found
