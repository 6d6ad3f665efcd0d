from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from slue_ner.text.bio import OUTSIDE
from slue_ner.text.schemes import TagScheme

BIOES = ["O", *(f"{place}-{type}" for type in ("PER", "LOC") for place in "BIES")]


def read(tags, sentence):
    return TagScheme(tags).to_bio(sentence.split())


def entities(bio):
    """Type, first and last word of entities in BIO, as seqeval gives them."""
    found = []
    for i, tag in enumerate(bio):
        if tag.startswith("B-"):
            found.append((tag[2:], i, i))
        elif tag != OUTSIDE:
            assert found[-1][0] == tag[2:] and found[-1][2] == i - 1
            found[-1] = (*found[-1][:2], i)
    return found


@given(st.lists(st.sampled_from(BIOES), max_size=12))
def test_bio_io_and_bioes_are_read_as_seqeval_reads_them(sentence):
    bio = TagScheme(BIOES).to_bio(sentence)
    assert len(bio) == len(sentence)
    assert entities(bio) == get_entities(sentence)


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        (["O", "I-LOC", "I-PER"], "I-PER O I-LOC I-LOC"),
        (["O", "LOC", "PER"], "PER O LOC LOC"),
        (["B-LOC", "I-LOC", "B-PER", "I-PER", "O"], "B-PER O B-LOC I-LOC"),
        (["O", "B_LOC", "I_LOC", "B_PER", "I_PER"], "B_PER O B_LOC I_LOC"),
        (["O", *(f"{p}-{t}" for t in ("PER", "LOC") for p in "BILU")], "U-PER O B-LOC L-LOC"),
        (["O", *(f"{p}-{t}" for t in ("PER", "LOC") for p in "BMES")], "S-PER O B-LOC E-LOC"),
    ],
    ids=["io", "bare", "bio", "underscores", "bilou", "bmes"],
)
def test_every_scheme_says_the_same(tags, sentence):
    assert set(TagScheme(tags).types) == {"PER", "LOC"}
    assert read(tags, sentence) == ["B-PER", "O", "B-LOC", "I-LOC"]


def test_neighbours_of_two_types_are_two_entities_and_of_one_bare_type_are_one():
    assert read(["O", "LOC", "PER"], "PER PER LOC") == ["B-PER", "I-PER", "B-LOC"]


def test_an_entity_that_has_ended_is_not_continued():
    assert read(BIOES, "B-PER E-PER I-PER S-PER E-PER") == [
        *("B-PER", "I-PER", "B-PER", "B-PER", "B-PER"),
    ]


def test_letters_and_dashes_of_bare_types_are_no_places_in_an_entity():
    assert TagScheme(["O", "E-MAIL", "S-BAHN"]).types == ("E-MAIL", "S-BAHN")
    assert TagScheme(["O", "B-E-MAIL", "I-E-MAIL"]).types == ("E-MAIL",)


def test_without_an_outside_tag_every_word_has_a_type():
    assert read(["LABEL_0", "LABEL_1"], "LABEL_0 LABEL_1") == ["B-LABEL_0", "B-LABEL_1"]
