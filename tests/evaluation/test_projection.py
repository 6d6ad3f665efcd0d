from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.types import EntitySpan
from slue_ner.evaluation.projection import project, word_partners
from slue_ner.text.bio import to_bio

GOLD = ["the", "european", "commission", "met", "in", "brussels", "today"]
ENTITIES = (
    EntitySpan("ORG", "the european commission", words=(0, 3)),
    EntitySpan("GPE", "brussels", words=(5, 6)),
)


@pytest.mark.parametrize(
    ("recognised", "phrases"),
    [
        # the same words
        ("the european commission met in brussels today", ["the european commission", "brussels"]),
        # misspelt: the entity has the recogniser's spelling
        ("the european kommission met in brussel today", ["the european kommission", "brussel"]),
        # a word put in within the entity belongs to it, one beside it does not
        (
            "the very european commission er met in brussels",
            ["the very european commission", "brussels"],
        ),
        # its first word left out
        ("european commission met in brussels today", ["european commission", "brussels"]),
        # every word of one left out: it is lost
        ("the european commission met in today", ["the european commission"]),
        # split in two: the piece with most of its letters answers
        ("the european commission met in brussel s today", ["the european commission", "brussel"]),
        # joined: changing "the" to "theeuropean" costs 8/11 and leaving out "european" 1, in all
        # 1 8/11; leaving out "the" and changing "european" to it 1 and 3/11, which is less
        ("theeuropean commission met in brussels today", ["theeuropean commission", "brussels"]),
        ("", []),
    ],
)
def test_entities_are_carried_onto_the_words_that_answer_to_theirs(recognised, phrases):
    found = project(ENTITIES, reference=GOLD, hypothesis=recognised.split())
    assert [entity.phrase for entity in found] == phrases


def test_a_word_left_out_has_no_partner():
    # "a b c" against "a c": keeping a and c costs 1
    assert word_partners(["a", "b", "c"], ["a", "c"]) == [0, None, 1]
    assert word_partners(["a"], []) == [None]
    assert word_partners([], ["a"]) == []


def test_a_likely_misspelling_is_preferred_to_a_neighbour():
    # changing york to yorke costs 1/5, and new to you 3/3
    assert word_partners(["new", "york"], ["you", "yorke"]) == [0, 1]
    # leaving "new" out (1) and york to yorke (1/5) is less than new to yorke (5/5) and york out
    assert word_partners(["new", "york"], ["yorke"]) == [None, 0]


@given(
    st.lists(st.sampled_from(["a", "ab", "abc", "x", "xyz"]), max_size=8),
    st.lists(st.sampled_from(["a", "ab", "abc", "x", "xyz"]), max_size=8),
    st.sets(st.integers(0, 8), max_size=6),
)
def test_projected_entities_are_valid_spans_in_their_order(gold, recognised, cuts):
    cuts = sorted(cut for cut in cuts if cut <= len(gold))
    entities = [
        EntitySpan("ORG", " ".join(gold[a:b]), words=(a, b))
        for a, b in zip(cuts[::2], cuts[1::2], strict=False)
    ]
    partners = [p for p in word_partners(gold, recognised) if p is not None]
    assert partners == sorted(set(partners))
    found = project(entities, reference=gold, hypothesis=recognised)
    to_bio(len(recognised), found)
    assert len(found) <= len(entities)
    for entity in found:
        assert entity.phrase == " ".join(recognised[slice(*entity.words)])
