from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.labels import COMBINED, RAW
from slue_ner.core.types import EntitySpan, Utterance
from slue_ner.text.bio import from_bio, to_bio
from slue_ner.text.markup import from_symbols, read_tagged, to_symbols, write_tagged


def utterance(text: str, *entities: tuple[str, str]) -> Utterance:
    spans = []
    for label, phrase in entities:
        start = text.index(phrase)
        spans.append(EntitySpan(label, phrase, start, start + len(phrase)))
    return Utterance("u", "dev", None, None, 16_000, text, entities=tuple(spans))


def found(tagged: str, labels=COMBINED) -> list[tuple[str, str]]:
    return [(e.label, e.phrase) for e in read_tagged(tagged.split(), labels).entities]


def test_an_entity_is_written_as_type_words_and_end_mark():
    tagged = write_tagged(utterance("the eu 's budget", ("GPE", "eu 's")), COMBINED)
    assert " ".join(tagged) == "the % eu 's ] budget"


def test_symbols_end_with_a_delimiter():
    assert "".join(to_symbols(["the", "%", "eu", "'s", "]", "budget"])) == "the|%|eu|'s|]|budget|"


def test_the_raw_set_writes_other_characters():
    tagged = write_tagged(utterance("the eu voted", ("ORG", "eu")), RAW)
    assert tagged == ["the", "`", "eu", "]", "voted"]


def test_dropped_types_stay_plain_words_in_the_combined_set():
    assert write_tagged(utterance("the euro cup", ("EVENT", "euro cup")), COMBINED) == [
        *("the", "euro", "cup")
    ]


def test_neighbouring_entities_are_closed_one_by_one():
    tagged = write_tagged(utterance("paris rome", ("GPE", "paris"), ("GPE", "rome")), COMBINED)
    assert " ".join(tagged) == "% paris ] % rome ]"


def test_a_text_that_holds_a_mark_as_a_word_is_refused():
    with pytest.raises(ValueError, match="word '&' is an entity mark of the combined label set"):
        write_tagged(utterance("m & s"), COMBINED)


MALFORMED = {
    "two starts in a row: the second wins": ("% a $ b ]", [("PERSON", "b")], 1),
    "an entity still open at the end is dropped": ("x % a b", [], 1),
    "an end without a start is ignored": ("a ] b", [], 1),
    "an empty entity is dropped": ("a % ] b", [], 1),
    "a type glued to letters is an ordinary word": ("%eu ]", [], 1),
    "an end glued to letters is an ordinary word": ("% eu] x ]", [("PLACE", "eu] x")], 0),
    "well-formed": ("a % b c ] d $ e ]", [("PLACE", "b c"), ("PERSON", "e")], 0),
    "nothing at all": ("", [], 0),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_tags_are_read_as_the_official_scorer_does(name):
    tagged, entities, num_repairs = MALFORMED[name]
    transcript = read_tagged(tagged.split(), COMBINED)
    assert [(e.label, e.phrase) for e in transcript.entities] == entities
    assert transcript.num_repairs == num_repairs


def test_words_of_a_dropped_entity_stay_in_the_transcript():
    assert read_tagged(["x", "%", "a", "b"], COMBINED).words == ("x", "a", "b")


def test_entities_know_their_words_and_where_their_marks_stood():
    transcript = read_tagged(["x", "%", "a", "b", "]", "y"], COMBINED)
    (entity,) = transcript.entities
    assert entity.words == (1, 3)
    assert transcript.words[1:3] == ("a", "b")
    assert transcript.entity_sources == ((1, 4),)
    assert transcript.sources == (0, 2, 3, 5)


@st.composite
def tagged_utterances(draw):
    words = draw(st.lists(st.text("abc'", min_size=1, max_size=4), min_size=1, max_size=10))
    labels = draw(st.sampled_from([RAW, COMBINED]))
    text, entities, position, i = " ".join(words), [], 0, 0
    while i < len(words):
        length = draw(st.integers(0, min(3, len(words) - i)))
        phrase = " ".join(words[i : i + max(1, length)])
        if length:
            label = draw(st.sampled_from(labels.labels))
            entities.append(EntitySpan(label, phrase, position, position + len(phrase)))
        position += len(phrase) + 1
        i += max(1, length)
    return Utterance("u", "dev", None, None, 16_000, text, entities=tuple(entities)), labels


@given(tagged_utterances())
def test_what_is_written_reads_back(case):
    given_utterance, labels = case
    symbols = to_symbols(write_tagged(given_utterance, labels))
    transcript = read_tagged(from_symbols(symbols), labels)
    assert " ".join(transcript.words) == given_utterance.text
    assert [(e.label, e.phrase) for e in transcript.entities] == [
        (e.label, e.phrase) for e in given_utterance.entities
    ]
    assert transcript.num_repairs == 0


@given(st.lists(st.sampled_from([*"%$]", "a", "b", "%a"]), max_size=12))
def test_any_word_sequence_can_be_read_and_its_entities_are_words_in_a_row(tagged):
    transcript = read_tagged(tagged, COMBINED)
    for entity in transcript.entities:
        first, last = entity.words
        assert " ".join(transcript.words[first:last]) == entity.phrase
    ends = [entity.words for entity in transcript.entities]
    assert all(a[1] <= b[0] for a, b in pairwise(ends))


@given(tagged_utterances())
def test_bio_tags_read_back(case):
    given_utterance, labels = case
    transcript = read_tagged(write_tagged(given_utterance, labels), labels)
    tags = to_bio(len(transcript.words), transcript.entities)
    assert from_bio(transcript.words, tags) == transcript.entities


def test_an_inside_tag_of_another_type_opens_an_entity():
    entities = from_bio(["a", "b", "c"], ["B-ORG", "I-GPE", "I-GPE"])
    assert [(e.label, e.phrase) for e in entities] == [("ORG", "a"), ("GPE", "b c")]


def test_overlapping_entities_cannot_be_bio():
    spans = [EntitySpan("ORG", "a b", words=(0, 2)), EntitySpan("GPE", "b", words=(1, 2))]
    with pytest.raises(ValueError, match="'b' overlaps another one"):
        to_bio(2, spans)
