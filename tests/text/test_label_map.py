from __future__ import annotations

import pytest

from slue_ner.core.labels import RAW
from slue_ner.text.label_map import LabelMap

CONLL = ("MISC", "PER", "ORG", "LOC")


def labels(*types, **given):
    return LabelMap(types, name="it", given=given, where="map.yaml").labels


def test_ontonotes_types_are_raw_labels_however_they_are_written():
    assert labels(*RAW.labels) == {label: label for label in RAW.labels}
    written = ("cardinal", "Work of Art", "work-of-art", "Gpe", "loc")
    assert list(labels(*written).values()) == [
        *("CARDINAL", "WORK_OF_ART", "WORK_OF_ART", "GPE", "LOC"),
    ]


def test_combined_labels_are_themselves():
    assert labels("PLACE", "when") == {"PLACE": "PLACE", "when": "WHEN"}


def test_conll_places_are_combined_ones_and_misc_is_nothing():
    assert labels(*CONLL) == {"MISC": None, "PER": "PERSON", "ORG": "ORG", "LOC": "PLACE"}


def test_a_given_label_comes_before_the_known_one_and_leaves_the_others():
    assert labels(*CONLL, MISC="NORP", LOC="GPE", ORG=None) == {
        **{"MISC": "NORP", "PER": "PERSON"},
        **{"ORG": None, "LOC": "GPE"},
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"MSC": "NORP"}, "map.yaml: it has no type 'MSC'; did you mean 'MISC'?"),
        (
            {"MISC": "NRP"},
            "map.yaml: MISC: unknown entity label 'NRP'; did you mean 'NORP'? (labels of your own "
            "stand in labels.yaml beside the file, docs/own_data.md)",
        ),
        (
            {"PER": None, "ORG": None, "LOC": None},
            "no type of it has a label here (MISC, PER, ORG, LOC); say with --label-map FILE what "
            "they are called, one `MISC: PERSON` a line",
        ),
    ],
)
def test_a_map_that_does_not_fit_is_one_sentence(given, message):
    with pytest.raises(ValueError) as caught:
        labels(*CONLL, **given)
    assert str(caught.value) == message


def test_entities_without_a_label_become_outside_and_are_counted_and_reported_with_the_names():
    label_map = LabelMap((*CONLL, "DISEASE", "date"), name="it", given={"ORG": None})
    tags = ["B-PER", "I-PER", "B-MISC", "I-MISC", "B-MISC", "O", "B-ORG", "B-DISEASE", "B-date"]
    assert label_map.relabel(tags) == [
        *("B-PERSON", "I-PERSON", "O", "O", "O", "O", "O", "O", "B-DATE"),
    ]
    assert label_map.report() == (
        "it: reads PER as PERSON, LOC as PLACE; entities without a label are left out: 2 MISC, 1 "
        "DISEASE (--label-map FILE changes it)"
    )


def test_there_is_nothing_to_report_of_names_that_are_slues_own():
    label_map = LabelMap(("GPE", "work of art"), name="it")
    assert label_map.relabel(["B-GPE", "B-work of art", "I-work of art"]) == [
        *("B-GPE", "B-WORK_OF_ART", "I-WORK_OF_ART"),
    ]
    assert label_map.report() is None
