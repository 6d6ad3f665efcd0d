from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from beam_reference import decoder
from hypothesis import given, settings
from hypothesis import strategies as st

from slue_ner.decoding.beam.scoring_rules import BeamOptions
from slue_ner.decoding.beam.word_trees import HotWords, build_hot_words
from slue_ner.text.markup import from_symbols

LETTERS = "|abc"
SYMBOLS = ("<blank>", "<unk>", "|", *"acehiknortwy")

words = st.text("abc", min_size=1, max_size=2)
phrases = st.dictionaries(
    st.lists(words, min_size=1, max_size=3).map(" ".join), st.floats(0, 5), max_size=6
)


def automaton(boosts: dict[str, float], symbols: str = LETTERS) -> HotWords:
    spelled = [[[symbols.index(s) for s in word] for word in phrase.split()] for phrase in boosts]
    delimiter = symbols.index("|")
    return build_hot_words(
        spelled, list(boosts.values()), delimiter=delimiter, num_symbols=len(symbols)
    )


def collected(hot: HotWords, text: str, symbols: str = LETTERS) -> float:
    """What a path through the states collects."""
    state, total = hot.start, 0.0
    for symbol in text:
        after = hot.next[state, symbols.index(symbol)]
        if after != state:
            total += hot.gain[after]
        state = after
    return total


def counted(boosts: dict[str, float], text: list[str]) -> float:
    """The boost of every phrase times the places where it stands in the text."""
    return sum(
        boost
        for phrase, boost in boosts.items()
        for first in range(len(text))
        if text[first : first + len(phrase.split())] == phrase.split()
    )


@pytest.mark.parametrize(
    ("text", "boost"),
    [
        ("new|york|", 2.0),
        ("new|york|city|", 2.0 + 3.0 + 0.5),
        ("new|york|new|york|city|", 2.0 + 2.0 + 3.0 + 0.5),
        ("new|new|york|", 2.0),
        ("in|the|city|", 0.5),
        ("anew|york|", 0.0),
        ("new|yorker|", 0.0),
        ("newyork|", 0.0),
        ("new||york|", 2.0),
        ("||new|york||", 2.0),
        ("new|york", 0.0),  # the word has not ended
        ("", 0.0),
    ],
)
def test_phrases_are_found_as_whole_words_inside_longer_ones_too(text, boost):
    hot = automaton({"new york": 2.0, "new york city": 3.0, "city": 0.5}, "|acehiknortwy")
    assert collected(hot, text, "|acehiknortwy") == pytest.approx(boost)


@given(phrases, st.text("|abc", max_size=20))
@settings(max_examples=400)
def test_a_path_collects_the_boosts_of_the_phrases_in_its_text(boosts, text):
    hot = automaton(boosts)
    assert collected(hot, f"{text}|") == pytest.approx(counted(boosts, from_symbols(f"{text}|")))


@given(phrases)
def test_less_than_the_boost_is_promised_and_nothing_before_a_phrase_begins(boosts):
    hot = automaton(boosts)
    assert hot.pending[hot.start] == 0.0
    assert (hot.pending >= 0).all()
    assert hot.pending.max() <= max(boosts.values(), default=0.0)


def test_more_is_promised_the_more_of_a_phrase_is_written():
    hot = automaton({"ab c": 6.0})
    state, pending = hot.start, []
    for symbol in "ab|c|":
        state = hot.next[state, LETTERS.index(symbol)]
        pending.append(hot.pending[state])
    assert pending == pytest.approx([6 / 5, 12 / 5, 18 / 5, 24 / 5, 0.0])  # then it is gained
    assert hot.gain[state] == pytest.approx(6.0)


def frames_of(*frames: str) -> np.ndarray:
    """Each frame holds its symbols, the first with 0.6, and the second with 0.4 or so."""
    probs = np.full((len(frames), len(SYMBOLS)), 1e-6)
    for frame, symbols in zip(probs, frames, strict=True):
        for symbol, probability in zip(symbols, (0.6, 0.4), strict=False):
            frame[SYMBOLS.index(symbol)] = probability
    return np.log(probs)


def written(log_probs: np.ndarray, hot_words: dict[str, float], **models: Any) -> list[str]:
    search = decoder(SYMBOLS, BeamOptions(hot_word_boost=3.0), hot_words=hot_words, **models)
    return from_symbols([SYMBOLS[id] for id in search.decode(log_probs)[0].symbols])


def test_a_hot_phrase_wins_over_a_more_probable_one_where_it_is_whole():
    log_probs = frames_of("n", "o", "r|", "t", "h")
    assert written(log_probs, {}) == ["north"]
    assert written(log_probs, {"no th": 1.0}) == ["no", "th"]
    assert written(log_probs, {"no t": 1.0}) == ["north"]


def test_a_hot_word_may_be_written_though_the_lexicon_lacks_it():
    log_probs = frames_of(*"york")
    assert written(log_probs, {}, lexicon=["north", "yorka"]) == []
    assert written(log_probs, {"york": 1.0}, lexicon=["north", "yorka"]) == ["york"]


def test_a_phrase_counts_as_often_as_it_says_for_each_of_its_words():
    log_probs = frames_of(*"new|york|city")
    plain = decoder(SYMBOLS, BeamOptions()).decode(log_probs)[0]
    hot_words = {"new york": 1.0, "new york city": 0.5}
    options = BeamOptions(hot_word_boost=4.0)
    hot = decoder(SYMBOLS, options, hot_words=hot_words).decode(log_probs)[0]
    assert hot.symbols == plain.symbols
    assert hot.score == pytest.approx(plain.score + 4.0 * (2 * 1.0 + 3 * 0.5))
