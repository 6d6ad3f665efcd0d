"""A beam search that writes entities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from beam_reference import (
    EXHAUSTIVE,
    assert_scores_are_as_defined,
    decoder,
    random_emissions,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from slue_ner.core.labels import END_SYMBOL, label_set
from slue_ner.decoding.beam.scoring_rules import MERGES, BeamOptions
from slue_ner.decoding.beam.search import Hypothesis
from slue_ner.decoding.lm.ngram_training import train
from slue_ner.text.markup import from_symbols, read_tagged, to_symbols
from slue_ner.text.vocabulary import Vocabulary

LABELS = label_set("combined")
SYMBOLS = Vocabulary.build(["abc"], LABELS).symbols
MARKS = {*LABELS.symbols.values(), END_SYMBOL}
TEXT = [text.split() for text in ("% a ] b", "b % a b ]", "% ab ] a", "a b", "# b ] a % a ]")]
WORDS = train(TEXT, order=3)[0]
CHARACTERS = train([to_symbols(words) for words in TEXT], order=3)[0]

MODES: dict[str, dict[str, Any]] = {
    "words": {"words": WORDS},
    "characters": {"characters": CHARACTERS},
    "lexicon": {"lexicon": ["a", "ab"]},
    "nothing": {},
    "hot": {"words": WORDS, "hot_words": {"% a ]": 0.5, "a": 0.2, "a ]": 0.3, "% a": 0.1}},
}
OPEN_MODES = {
    "words": {"words": WORDS},
    "words and characters": {"words": WORDS, "characters": CHARACTERS},
    "lexicon": {"lexicon": ["a", "ab"]},
}
ALL_MODES = [
    *((models, None) for models in MODES.values()),
    *((models, -1.0) for models in OPEN_MODES.values()),
]


def check(seed: int, options: BeamOptions, models: dict[str, Any], written: str = "|a%]") -> None:
    random = np.random.default_rng(seed)
    for num_frames in (3, 5, 6):
        log_probs = random_emissions(random, SYMBOLS, written, num_frames)
        assert_scores_are_as_defined(log_probs, SYMBOLS, options, labels=LABELS, **models)


@pytest.mark.parametrize("grammar", [True, False], ids=["grammar", "free"])
@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("mode", MODES)
def test_every_tagged_hypothesis_has_the_score_that_is_defined(mode, merge, grammar):
    options = BeamOptions(
        lm_weight=0.7,
        word_score=0.5,
        entity_score=1.5,
        hot_word_boost=2.0,
        grammar=grammar,
        merge=merge,
        **EXHAUSTIVE,
    )
    check(1, options, MODES[mode])


@pytest.mark.parametrize("grammar", [True, False], ids=["grammar", "free"])
@pytest.mark.parametrize("mode", OPEN_MODES)
def test_entities_of_unknown_words_have_the_score_that_is_defined(mode, grammar):
    options = BeamOptions(
        lm_weight=0.7, unknown_score=-0.5, entity_score=-1.5, grammar=grammar, **EXHAUSTIVE
    )
    check(2, options, OPEN_MODES[mode])
    check(3, options, OPEN_MODES[mode], "|b&]")  # & is a mark that no model has seen


def test_entities_of_two_words_and_two_types_have_the_score_that_is_defined():
    """More frames than every path could be tried for, of which each holds few symbols."""
    options = BeamOptions(lm_weight=0.7, **EXHAUSTIVE)
    search = decoder(SYMBOLS, options, labels=LABELS, words=WORDS)
    frames = ["%#", "|", "a", "|", "b|", "|]", "]|", "|", "ab"]
    probs = np.zeros((len(frames), len(SYMBOLS)))
    for frame, symbols in zip(probs, frames, strict=True):
        frame[[SYMBOLS.index(symbol) for symbol in symbols]] = 0.9 / len(symbols)
    with np.errstate(divide="ignore"):
        found = search.decode(np.log(probs), num_best=1000)
    texts = {" ".join(words_of(hypothesis)) for hypothesis in found}
    assert {"% a b ] a", "% a b ] b", "# a b ] a", "% a ] a"} <= texts
    for hypothesis in found:
        assert_is_well_formed(hypothesis)


def words_of(hypothesis: Hypothesis) -> list[str]:
    return from_symbols([SYMBOLS[id] for id in hypothesis.symbols])


def assert_is_well_formed(hypothesis: Hypothesis) -> None:
    words = words_of(hypothesis)
    assert not any(MARKS & set(word) for word in words if len(word) > 1)
    assert read_tagged(words, LABELS).num_repairs == 0


@given(
    st.integers(0, 10**6),
    st.integers(0, 25),
    st.integers(1, 6),
    st.sampled_from(ALL_MODES),
    st.sampled_from(MERGES),
)
@settings(max_examples=300)
def test_no_entity_ever_needs_a_repair(seed, num_frames, beam, mode, merge):
    models, unknown_score = mode
    options = BeamOptions(beam_size=beam, unknown_score=unknown_score, merge=merge)
    search = decoder(SYMBOLS, options, labels=LABELS, **models)
    random = np.random.default_rng(seed)
    log_probs = random_emissions(random, SYMBOLS, "|ab%]#", num_frames)
    for num_best in (1, 4):
        for hypothesis in search.decode(log_probs, num_best=num_best):
            assert_is_well_formed(hypothesis)


def frames_of(text: str) -> np.ndarray:
    probs = np.full((len(text), len(SYMBOLS)), 0.001)
    probs[np.arange(len(text)), [SYMBOLS.index(symbol) for symbol in text]] = 0.98
    return np.log(probs)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a|%|b|", "a|"),
        ("a|%|b", "a|"),
        ("a|%", "a|"),
        ("a|%|b|]|b|#|a|", "a|%|b|]|b|"),
        ("%|a|", ""),
    ],
)
def test_an_entity_that_stays_open_is_cut_where_no_hypothesis_can_end(text, left):
    options = BeamOptions(beam_size=1, merge="max")
    (found,) = decoder(SYMBOLS, options, labels=LABELS).decode(frames_of(text))
    assert "".join(SYMBOLS[id] for id in found.symbols) == left
    assert not found.whole


@pytest.mark.parametrize("threads", [1, 2])
def test_utterances_that_are_cut_are_counted(threads):
    search = decoder(SYMBOLS, BeamOptions(beam_size=1, merge="max"), labels=LABELS)
    several = [frames_of(text) for text in ("a|%|b|", "a|", "%|a|")]
    assert len(list(search.decode_all(several, threads=threads))) == 3
    assert search.num_truncated == 2


def test_a_wider_beam_finds_a_hypothesis_that_can_end():
    narrow, wide = BeamOptions(beam_size=1), BeamOptions(beam_size=50)
    emissions = frames_of("a|%|b|")
    assert not decoder(SYMBOLS, narrow, labels=LABELS).decode(emissions)[0].whole
    assert decoder(SYMBOLS, wide, labels=LABELS).decode(emissions)[0].whole


def test_a_word_that_is_not_in_the_lexicon_is_cut_where_no_hypothesis_can_end():
    options = BeamOptions(beam_size=1)
    (found,) = decoder(SYMBOLS, options, lexicon=["a", "bba"]).decode(frames_of("a|b"))
    assert ("".join(SYMBOLS[id] for id in found.symbols), found.whole) == ("a|", False)


def test_without_the_grammar_marks_are_symbols_like_any_other():
    options = BeamOptions(grammar=False)
    for text in ("a|%|b|", "]|a%b|]", "%|#|]"):
        for labels in (LABELS, None):
            (found,) = decoder(SYMBOLS, options, labels=labels).decode(frames_of(text))
            assert ("".join(SYMBOLS[id] for id in found.symbols), found.whole) == (text, True)


@pytest.mark.parametrize(
    ("frames", "rare", "options", "models"),
    [
        ("a-b", "a|b", {"word_score": 6.0}, {}),
        ("a-b", "a|b", {"word_score": 6.0}, {"lexicon": ["a", "b", "ab"]}),
        ("a-", "ac", {"unknown_score": 6.0}, {"lexicon": ["ab"]}),
        ("a-", "ac", {"hot_word_boost": 12.0}, {"hot_words": {"ac": 1.0}}),
        ("a-", "ac", {"hot_word_boost": 12.0}, {"hot_words": {"ac": 1.0}, "lexicon": ["a"]}),
        ("a|-", "a|c", {"hot_word_boost": 12.0}, {"hot_words": {"a c": 1.0}}),
        ("-|b|]", "%|b|]", {"entity_score": 6.0}, {}),
        ("-|b|]", "%|b|]", {"entity_score": 6.0}, {"lexicon": ["b"]}),
    ],
)
@pytest.mark.parametrize("beam", [1, 10])
def test_what_is_rewarded_is_not_dropped_before_its_reward(beam, frames, rare, options, models):
    """A symbol of 0.02 beside a blank of 0.98 is 4 nats worse, and more than 1 is dropped."""
    probs = np.full((len(frames), len(SYMBOLS)), 1e-9)
    for frame, symbol, other in zip(probs, frames, rare, strict=True):
        frame[SYMBOLS.index(other)] = 0.02
        frame[0 if symbol == "-" else SYMBOLS.index(symbol)] = 0.98
    search = BeamOptions(beam_size=beam, beam_threshold=1.0, merge="max", **options)
    (found,) = decoder(SYMBOLS, search, labels=LABELS, **models).decode(np.log(probs))
    assert "".join(SYMBOLS[id] for id in found.symbols) == rare


def test_a_better_prefix_outside_of_an_entity_does_not_replace_one_inside():
    log_probs = np.full((5, len(SYMBOLS)), -np.inf)
    log_probs[range(1, 5), [SYMBOLS.index(symbol) for symbol in "|a|]"]] = 0.0
    log_probs[0, [SYMBOLS.index("b"), SYMBOLS.index("%")]] = math.log(0.6), math.log(0.4)
    for num_best in (1, 2):
        search = decoder(SYMBOLS, BeamOptions(), labels=LABELS)
        found = search.decode(log_probs, num_best=num_best)[0]
        assert "".join(SYMBOLS[id] for id in found.symbols) == "%|a|]"


def test_of_two_readings_the_one_that_closes_its_entity_is_found():
    probs = np.exp(frames_of("%|a|b|"))
    probs[4, SYMBOLS.index(END_SYMBOL)] = 0.3
    (found,) = decoder(SYMBOLS, BeamOptions(), labels=LABELS).decode(np.log(probs))
    assert words_of(found) == ["%", "a", "]"]


def test_a_lexicon_of_words_lets_entities_be_written():
    options = BeamOptions()
    for models in ({}, {"words": WORDS}):
        search = decoder(SYMBOLS, options, labels=LABELS, lexicon=["a", "b"], **models)
        assert words_of(search.decode(frames_of("%|a|]|b"))[0]) == ["%", "a", "]", "b"]


def test_a_closed_vocabulary_does_without_marks_that_its_model_never_saw():
    search = decoder(SYMBOLS, BeamOptions(), labels=LABELS, words=WORDS)
    assert search.scorer.unseen_marks == ("!", "@", "$", "^", "&")
    assert words_of(search.decode(frames_of("#|a|]|b"))[0]) == ["#", "a", "]", "b"]
    assert "&" not in words_of(search.decode(frames_of("&|a|]|b"))[0])
