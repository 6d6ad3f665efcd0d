from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.types import Word
from slue_ner.text.apostrophes import (
    match_words,
    split_possessive,
    split_possessives,
    to_ner_form,
)
from slue_ner.text.normalize import ner_form


@pytest.mark.parametrize(
    ("word", "pieces"),
    [
        ("eu's", ["eu", "'s"]),
        ("'s", ["'s"]),
        ("don't", ["don't"]),
        ("members'", ["members'"]),
        ("budget", ["budget"]),
    ],
)
def test_only_a_possessive_is_split_off_a_recognised_word(word, pieces):
    assert split_possessive(word) == pieces


def test_a_possessive_lasts_an_instant_at_the_end_of_its_word():
    assert split_possessives([Word("eu's", 1.0, 1.5, score=0.9)]) == (
        Word("eu", 1.0, 1.5, score=0.9),
        Word("'s", 1.5, 1.5, score=0.9),
    )


def test_words_of_other_tools_are_brought_to_the_ner_form():
    words = [Word("The", 0.0, 0.1), Word("EU's", 0.1, 0.4), Word("-", 0.4, 0.4)]
    words += [Word("Don't,", 0.4, 0.8), Word("...", 0.8, 0.9), Word("2013.", 0.9, 1.0)]
    assert to_ner_form(words) == (
        Word("the", 0.0, 0.1),
        Word("eu", 0.1, 0.4),
        Word("'s", 0.4, 0.4),
        Word("-", 0.4, 0.4),
        Word("don", 0.4, 0.8),
        Word("'t", 0.8, 0.8),
        Word("2013", 0.9, 1.0),
    )


def test_a_typographic_apostrophe_is_an_apostrophe():
    (eu, possessive) = to_ner_form([Word("EU\u2019s", 0.1, 0.4)])
    assert (eu.text, possessive.text) == ("eu", "'s")


@given(st.lists(st.text("abs'.,!?;", min_size=1, max_size=6), max_size=6))
def test_word_by_word_the_ner_form_is_that_of_the_whole_text(texts):
    words = to_ner_form([Word(text, 0.0, 1.0) for text in texts])
    assert " ".join(word.text for word in words) == ner_form(" ".join(texts), ())[0]


def test_aligned_words_are_cut_where_the_text_is_cut():
    words = [Word("the", 0.0, 0.2), Word("", 0.2, 0.3), Word("eu's", 0.3, 0.7, estimated=True)]
    assert match_words(words, ["the", "eu", "'s"]) == (
        Word("the", 0.0, 0.2),
        Word("", 0.2, 0.3),
        Word("eu", 0.3, 0.7, estimated=True),
        Word("'s", 0.7, 0.7, estimated=True),
    )


@pytest.mark.parametrize("texts", [["the"], ["the", "eu", "budget"], ["then"], []])
def test_aligned_words_that_spell_another_text_do_not_match(texts):
    assert match_words([Word("the", 0.0, 0.2), Word("eu", 0.2, 0.3)], texts) is None
