from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.types import EntitySpan, Word
from slue_ner.decoding.frame_spans import give_words

WORDS = (
    Word("in", 0.0, 0.2),
    Word("new", 0.2, 0.6),
    Word("", 0.6, 0.7),
    Word("york", 0.7, 1.1),
    Word("'s", 1.1, 1.1),
    Word("mayor", 1.2, 1.6),
)


def given_to(start, end, words=WORDS):
    (entity,) = give_words([EntitySpan("PLACE", None, start=start, end=end, score=0.5)], words)
    assert (entity.label, entity.start, entity.end, entity.score) == ("PLACE", start, end, 0.5)
    return entity.phrase, entity.words


def test_an_entity_has_the_words_that_lie_in_it():
    assert given_to(0.15, 1.1) == ("new york", (1, 4))


def test_more_than_half_of_a_word_must_lie_inside():
    assert given_to(0.3, 0.89) == ("new", (1, 2))  # 0.19 of 0.40 s of york
    assert given_to(0.41, 0.91) == ("york", (3, 4))  # 0.19 of 0.40 s of new
    assert given_to(0.25, 0.5) == ("new", (1, 2))
    assert given_to(0.0, 0.1) == (None, None)  # half is not more than half


def test_an_instant_lies_inside_or_not():
    assert given_to(0.7, 1.15) == ("york 's", (3, 5))
    assert given_to(0.7, 1.1) == ("york", (3, 4))


def test_silence_is_no_word():
    assert given_to(0.6, 0.7) == (None, None)


def test_without_words_or_times_an_entity_stays_as_it_is():
    assert given_to(0.0, 1.0, words=()) == (None, None)
    untimed = EntitySpan("PLACE", "york")
    assert give_words([untimed], WORDS) == (untimed,)
    assert give_words([], WORDS) == ()


@given(st.floats(0, 2), st.floats(0, 2))
def test_the_phrase_is_what_the_range_says(a, b):
    phrase, word_range = given_to(min(a, b), max(a, b))
    if word_range is not None:
        first, last = word_range
        assert phrase == " ".join(word.text for word in WORDS[first:last] if word.text)
