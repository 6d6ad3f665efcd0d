"""Aligned words put to the words of a transcript."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.types import EntitySpan, Utterance, Word
from slue_ner.core.validation import check_utterance
from slue_ner.data.corpora.word_fit import fit_words, with_word_times
from slue_ner.text.normalize import ner_form


def timed(line: str, *, first: float = 0.0) -> list[Word]:
    """Words of 0.5 s, one after the other; ``_`` is a silence."""
    return [
        Word("" if word == "_" else word, first + 0.5 * i, first + 0.5 * (i + 1))
        for i, word in enumerate(line.split())
    ]


def utterance(text: str, *spans: tuple[str, int, int]) -> Utterance:
    entities = tuple(EntitySpan(label, text[a:b], a, b) for label, a, b in spans)
    return Utterance("u1", "dev", None, None, 16_000, text, entities=entities)


def test_entities_get_their_words_and_times_with_the_silences_inside() -> None:
    found, _ = with_word_times(utterance("in new york", ("GPE", 3, 11)), timed("_ in new _ york _"))
    check_utterance(found)
    assert found.words == tuple(timed("_ in new _ york _"))
    (entity,) = found.entities
    assert (entity.words, entity.start, entity.end) == ((2, 5), 1.0, 2.5)
    assert (entity.label, entity.phrase) == ("GPE", "new york")


def test_a_repeated_word_is_found_by_its_position() -> None:
    found, _ = with_word_times(utterance("may i in may", ("DATE", 9, 12)), timed("may i in may"))
    assert found.entities[0].words == (3, 4)


def test_a_word_that_the_ner_form_splits_ends_in_an_instant() -> None:
    assert fit_words("the eu 's law", timed("the eu's law")) == (
        Word("the", 0.0, 0.5),
        Word("eu", 0.5, 1.0),
        Word("'s", 1.0, 1.0),
        Word("law", 1.0, 1.5),
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("the eu 's law", "the eu 's law"),
        ("the eu's law", "the eu's law"),
        ("the eu 's law", "The EU's law."),
        ("The EU's law", "the eu's law"),
        ("it is ten o 'clock", "it is ten o'clock"),
        ("a sp a", "a sp a"),
        ("members rights", "members' rights"),
    ],
)
def test_spelling_is_that_of_the_text(text: str, line: str) -> None:
    assert " ".join(word.text for word in fit_words(text, timed(line))) == text


def test_marks_of_silence_become_silences() -> None:
    fitted = fit_words("a b", timed("sil a <eps> sp b , <sil>"))
    assert [word.text for word in fitted] == ["", "a", "", "", "b", "", ""]


MARKS = (
    *("SIL", "Sp", "SPN", "NSN", "ssil", "pau", "<EPS>", "<Sil>", "!SIL", "[noise]", "<NOISE>"),
    *("<spoken_noise>", "[laughter]", "{SL}", "{ns}", "<p:>", "<usb>", "<b>", "<s>", "#", "_"),
    *("++breath++", "((unclear))", "(laughter)", "-", "..."),
    *("!ENTER", "SENT-START", "silB", "sil_S", "h#"),
)


@pytest.mark.parametrize("mark", MARKS)
def test_marks_of_the_common_aligners_are_silences_whatever_their_case(mark: str) -> None:
    fitted = fit_words("a b", timed(f"{mark} a {mark} b {mark}"))
    assert [word.text for word in fitted] == ["", "a", "", "b", ""]
    for other in (mark.lower(), mark.upper()):
        assert [w.text for w in fit_words("a", timed(f"a {other}"))] == ["a", ""]


@pytest.mark.parametrize("mark", ["<unk>", "<UNK>", "[unk]", "unk", "<oov>", "spn", "<usb>"])
def test_an_unknown_word_is_the_word_of_the_text_at_its_place(mark: str) -> None:
    fitted = fit_words("the eu 's law", timed(f"the {mark} sil law"))
    assert fitted == (
        Word("the", 0.0, 0.5),
        Word("eu", 0.5, 1.0),
        Word("'s", 1.0, 1.0),
        Word("", 1.0, 1.5),
        Word("law", 1.5, 2.0),
    )


def test_a_word_of_the_text_that_looks_like_a_mark_is_that_word() -> None:
    line = "noise pause [brussels] unk"
    fitted = fit_words("noise pause brussels unk", timed(line))
    assert [word.text for word in fitted] == ["noise", "pause", "brussels", "unk"]


@pytest.mark.parametrize(
    ("text", "line", "times"),
    [
        # several words of the aligner are one of the text, and the other way round
        ("today we", "to day we", [(0.0, 1.0), (1.0, 1.5)]),
        ("the non- eu law", "the non-eu law", [(0.0, 0.5), (0.5, 1.0), (1.0, 1.0), (1.0, 1.5)]),
        # a symbol that is not heard lasts no time, one that is heard does
        ("r & d", "r d", [(0.0, 0.5), (0.5, 0.5), (0.5, 1.0)]),
        ("r & d", "r & d", [(0.0, 0.5), (0.5, 1.0), (1.0, 1.5)]),
        # another apostrophe, another composition of the accent
        ("eu 's", "eu\u2019s", [(0.0, 0.5), (0.5, 0.5)]),
        ("caf\u00e9", "cafe\u0301", [(0.0, 0.5)]),
    ],
)
def test_letters_decide(text: str, line: str, times: list[tuple[float, float]]) -> None:
    fitted = fit_words(text, timed(line))
    assert " ".join(word.text for word in fitted) == text
    assert [(word.start, word.end) for word in fitted] == times


def test_an_entity_inside_of_a_word_has_the_whole_word() -> None:
    found, _ = with_word_times(
        utterance("the non- eu 's law", ("ORG", 9, 11)), timed("the non-eu's law")
    )
    check_utterance(found)
    (entity,) = found.entities
    assert (entity.words, entity.start, entity.end) == ((1, 3), 0.5, 1.0)


def test_an_entity_of_a_word_and_a_symbol_has_the_words_time() -> None:
    found, _ = with_word_times(utterance("at r & d", ("ORG", 3, 8)), timed("at _ r d"))
    assert (found.entities[0].start, found.entities[0].end) == (1.0, 2.0)


def test_estimated_times_stay_so_and_scores_are_left_out() -> None:
    words = [Word("eu's", 0.0, 1.0, estimated=True, score=0.5)]
    assert fit_words("eu 's", words) == (
        Word("eu", 0.0, 1.0, estimated=True),
        Word("'s", 1.0, 1.0, estimated=True),
    )


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("the eu law", "the uk law", "word 2 is 'uk' in the alignment, 'eu' in the text"),
        ("the eu", "the eu law", "the alignment goes on with 'law' after the text's end"),
        ("the eu law", "the eu _", "the alignment ends before word 3 of the text, 'law'"),
        ("eu 's", "eu", "ends before word 2"),
    ],
)
def test_other_words_are_refused(text: str, line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_words(text, timed(line))


@given(st.lists(st.text("ab'", min_size=1, max_size=5), max_size=8))
def test_words_of_a_published_text_fit_its_ner_form(published: list[str]) -> None:
    text, _ = ner_form(" ".join(published), ())
    fitted = fit_words(text, timed(" ".join(published)))
    assert [word.text for word in fitted if word.text] == text.split()
    assert sum(word.end - word.start for word in fitted) == pytest.approx(0.5 * len(published))
