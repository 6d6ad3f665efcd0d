from __future__ import annotations

import ast
import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.labels import RAW
from slue_ner.text.normalize import asr_form, join_apostrophes, ner_form

REAL_TEXT = Path(__file__).parents[3] / "shared/text/slue-voxpopuli/slue-voxpopuli_fine-tune.tsv"


def plain(text: str) -> str:
    return ner_form(text, [])[0]


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ("in europe. the commission", "in europe the commission"),
        ("yes! no? well; a, b", "yes no well a b"),
        ("the eu's budget", "the eu 's budget"),
        ("i don't know", "i don 't know"),
        ("five o'clock", "five o 'clock"),
        ("rock'n'roll", "rock n 'roll"),
        ("the members' votes", "the members votes"),
        ("it is 's here", "it is 's here"),
        ("a ' b", "a b"),
        ("one .  two", "one two"),
        ("", ""),
        (" . ", ""),
    ],
)
def test_the_ner_form_follows_slues_rules(published, expected):
    assert plain(published) == expected


def test_a_leading_apostrophe_gives_no_empty_word():
    # the official code makes "" and "'tis" of it, which its parser collapses again
    assert plain("so 'tis true") == "so 'tis true"


def test_the_rules_are_not_idempotent():
    once = plain("a'' b")
    assert once == "a ' b"
    assert plain(once) == "a b"


def test_entities_are_cut_out_before_words_are_split():
    # spans as published: descending, third number a length
    text = "the new brussels i regulation protects europe's workers."
    formed, entities = ner_form(text, [("LOC", 39, 6), ("LAW", 4, 25)])
    assert formed == "the new brussels i regulation protects europe 's workers"
    assert [(e.label, e.phrase) for e in entities] == [
        ("LAW", "new brussels i regulation"),
        ("LOC", "europe"),
    ]
    assert [formed[e.start_char : e.end_char] for e in entities] == [e.phrase for e in entities]


def test_punctuation_inside_an_entity_is_removed():
    formed, (entity,) = ner_form("on two thousand. and eleven", [("DATE", 3, 24)])
    assert entity.phrase == "two thousand and eleven"
    assert formed == "on two thousand and eleven"


def test_an_entity_at_either_end_of_the_text_keeps_its_place():
    formed, entities = ner_form("paris, or rome", [("GPE", 0, 5), ("GPE", 10, 4)])
    assert formed == "paris or rome"
    assert [(e.start_char, e.end_char) for e in entities] == [(0, 5), (9, 13)]


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([("GPE", 0, 5), ("GPE", 3, 4)], r"GPE at \[0, 5\) and GPE at 3 overlap"),
        ([("GPE", 10, 5)], r"covers characters \[10, 15\) but the text has 13 characters"),
        ([("GPE", -1, 3)], r"covers characters \[-1, 2\)"),
        ([("GPE", 0, 0)], r"covers characters \[0, 0\)"),
        ([("GPE", 5, 2)], r"covers ', ', which holds no word"),
        ([("CITY", 0, 5)], "unknown entity label 'CITY'"),
    ],
)
def test_spans_that_do_not_fit_are_refused_with_their_numbers(spans, message):
    with pytest.raises(ValueError, match=message):
        ner_form("paris, is big", spans)


def test_the_asr_form_keeps_commas_and_apostrophes():
    assert (
        asr_form(" the eu's  budget, in brussels. yes; no!")
        == "the eu's budget, in brussels yes no"
    )


def test_apostrophes_are_joined_again_for_asr_text():
    assert join_apostrophes("the eu 's budget i don 't") == "the eu's budget i don't"


words = st.text("ab'.,", min_size=1, max_size=4)


@given(st.lists(words, max_size=8).map(" ".join))
def test_the_ner_form_has_single_spaces_and_no_punctuation(text):
    formed = plain(text)
    assert formed == " ".join(formed.split())
    assert not set(formed) & set(".,!?;")


@given(st.lists(words, min_size=1, max_size=8), st.data())
def test_phrases_are_what_the_text_has_at_their_place(pieces, data):
    text = " ".join(pieces)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=4)))
    spans = [("ORG", a, b - a) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    try:
        formed, entities = ner_form(text, spans)
    except ValueError as error:
        assert "holds no word" in str(error)
        return
    assert len(entities) == len(spans)
    assert all(formed[e.start_char : e.end_char] == e.phrase for e in entities)


@pytest.mark.skipif(not REAL_TEXT.is_file(), reason="the real SLUE transcripts are not here")
def test_every_real_transcript_takes_the_ner_form():
    num_entities = 0
    with REAL_TEXT.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            spans = ast.literal_eval(row["normalized_ner"]) or []
            formed, entities = ner_form(row["normalized_text"], [tuple(span) for span in spans])
            assert all(formed[e.start_char : e.end_char] == e.phrase for e in entities)
            assert all(e.label in RAW.labels for e in entities)
            assert formed == " ".join(formed.split())
            num_entities += len(entities)
    assert num_entities == 5820
