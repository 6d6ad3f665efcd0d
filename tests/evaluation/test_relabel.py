import pytest

from slue_ner.core.types import EntitySpan
from slue_ner.evaluation.joining import check_choice, relabel

RAW = (EntitySpan("GPE", "brussels", 3, 11), EntitySpan("FAC", "the berlaymont"))


def test_combined_maps_raw_labels_and_drops_what_slue_drops():
    (entity,) = relabel(RAW, labels="combined", where="utterance a")
    assert entity == EntitySpan("PLACE", "brussels", 3, 11)


def test_combined_leaves_combined_labels_and_unknown_ones_alone():
    entities = (EntitySpan("PLACE", "brussels"), EntitySpan(None, "brussels"))
    assert relabel(entities, labels="combined", where="utterance a") == entities


def test_raw_keeps_every_raw_label():
    assert relabel(RAW, labels="raw", where="utterance a") == RAW


def test_raw_refuses_a_combined_label_and_says_where():
    with pytest.raises(ValueError, match="prediction dev_7: label 'WHEN' is a combined one"):
        relabel([EntitySpan("WHEN", "today")], labels="raw", where="prediction dev_7")


def test_as_is_mixes_whatever_is_there():
    entities = (*RAW, EntitySpan("PLACE", "paris"), EntitySpan(None, None))
    assert relabel(entities, labels="as-is", where="utterance a") == entities


def test_an_unknown_choice_gets_the_nearest_one():
    with pytest.raises(ValueError, match="labels 'combine'; did you mean 'combined'"):
        check_choice("combine")
