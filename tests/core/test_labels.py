from __future__ import annotations

import pytest

from slue_ner.core.labels import COMBINED, END_SYMBOL, RAW, RAW_TO_COMBINED, check_label, label_set


def test_there_are_18_raw_and_7_combined_labels_and_5_are_dropped():
    assert len(RAW.labels) == 18
    assert len(COMBINED.labels) == 7
    assert sum(combined is None for combined in RAW_TO_COMBINED.values()) == 5


@pytest.mark.parametrize("labels", [RAW, COMBINED], ids=lambda labels: labels.name)
def test_symbols_are_distinct_single_characters_and_never_the_end_mark(labels):
    symbols = list(labels.symbols.values())
    assert len(set(symbols)) == len(symbols)
    assert all(len(symbol) == 1 for symbol in symbols)
    assert END_SYMBOL not in symbols


def test_every_raw_label_maps_into_the_combined_set_or_is_dropped():
    assert set(RAW_TO_COMBINED) == set(RAW.labels)
    assert {c for c in RAW_TO_COMBINED.values() if c is not None} == set(COMBINED.labels)


@pytest.mark.parametrize(
    ("raw", "combined"),
    [("GPE", "PLACE"), ("LOC", "PLACE"), ("MONEY", "QUANT"), ("TIME", "WHEN"), ("FAC", None)],
)
def test_the_official_map(raw, combined):
    assert COMBINED.convert(raw) == combined


def test_combined_labels_stay_what_they_are():
    assert [COMBINED.convert(label) for label in COMBINED.labels] == list(COMBINED.labels)


def test_the_same_character_means_different_types_in_the_two_sets():
    assert (RAW.label("!"), COMBINED.label("!")) == ("CARDINAL", "LAW")


def test_a_combined_label_cannot_become_raw():
    with pytest.raises(ValueError, match="'PLACE' is a combined one"):
        RAW.convert("PLACE")


def test_an_unknown_label_is_answered_with_the_nearest_known_one():
    with pytest.raises(ValueError, match=r"unknown entity label 'PERSN'; did you mean 'PERSON'\?"):
        check_label("PERSN")


def test_an_unknown_label_set_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="known: combined, raw"):
        label_set("xyz")
