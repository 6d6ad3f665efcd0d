"""What a beam search finds, how far, and how it is told."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from beam_reference import (
    CHARACTERS,
    EXHAUSTIVE,
    HOT,
    MODES,
    OPEN_MODES,
    SYMBOLS,
    WORDS,
    WRITTEN,
    Reference,
    decoder,
    random_emissions,
    weights,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from slue_ner.decoding.beam.scoring_rules import BeamOptions
from slue_ner.decoding.beam.search import BeamDecoder, Hypothesis
from slue_ner.decoding.ctc import greedy
from slue_ner.decoding.lm.ngram_training import train
from slue_ner.text.markup import from_symbols, to_symbols

ALL_MODES = [
    *((name, models, None) for name, models in MODES.items()),
    *((f"{name}, open", models, -1.0) for name, models in OPEN_MODES.items()),
]
IDS = [name for name, _, _ in ALL_MODES]

seeds = st.integers(0, 10**6)


def emissions(seed: int, num_frames: int) -> np.ndarray:
    return random_emissions(np.random.default_rng(seed), SYMBOLS, WRITTEN, num_frames)


def written(hypothesis: Hypothesis) -> str:
    return "".join(SYMBOLS[id] for id in hypothesis.symbols)


@given(seeds, st.integers(0, 6), st.integers(1, 9))
@settings(max_examples=30)
def test_the_best_are_given_best_first(seed, num_frames, num_best):
    log_probs = emissions(seed, num_frames)
    options = BeamOptions(**EXHAUSTIVE)
    expected = Reference(SYMBOLS, options, words=WORDS).hypotheses(log_probs)
    found = decoder(SYMBOLS, options, words=WORDS).decode(log_probs, num_best=num_best + 1)
    best = sorted(expected.values(), reverse=True)[: num_best + 1]
    assert [h.score for h in found] == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize(("models", "unknown_score"), [m[1:] for m in ALL_MODES], ids=IDS)
def test_alone_the_best_path_is_the_same_as_among_many(models, unknown_score):
    options = BeamOptions(merge="max", unknown_score=unknown_score, **EXHAUSTIVE)
    search = decoder(SYMBOLS, options, hot_words=HOT, **models)
    for seed in range(25):
        log_probs = emissions(seed, 3 + seed % 5)
        alone, among_many = search.decode(log_probs)[0], search.decode(log_probs, num_best=50)[0]
        assert alone.score == pytest.approx(among_many.score, abs=1e-9)
        assert alone.symbols == among_many.symbols


def test_prefixes_whose_words_may_yet_be_spelled_otherwise_are_both_kept():
    """``b|ab`` is worse than ``a|ab``, as a known word, but better once ``c`` makes it unknown."""
    words = train([["a", "b", "ab"]], order=1)[0]
    spelled = [to_symbols(text.split()) for text in ("b ab", "b ab", "b a", "a c", "a cb", "a c")]
    models = {"words": words, "characters": train(spelled, order=3)[0]}
    log_probs = np.full((5, len(SYMBOLS)), -np.inf)
    log_probs[range(1, 5), [SYMBOLS.index(symbol) for symbol in "|abc"]] = 0.0
    log_probs[0, [SYMBOLS.index("a"), SYMBOLS.index("b")]] = math.log(0.52), math.log(0.48)
    for frames, best in ((4, "a|ab"), (5, "b|abc")):
        for num_best in (1, 2):
            search = decoder(SYMBOLS, BeamOptions(unknown_score=0.0), **models)
            assert written(search.decode(log_probs[:frames], num_best=num_best)[0]) == best


@pytest.mark.parametrize(("models", "unknown_score"), [m[1:] for m in ALL_MODES], ids=IDS)
def test_alone_the_best_sum_is_seldom_another_than_among_many(models, unknown_score):
    options = BeamOptions(unknown_score=unknown_score, **EXHAUSTIVE)
    search = decoder(SYMBOLS, options, hot_words=HOT, **models)
    others = 0
    for seed in range(50):
        log_probs = emissions(seed, 3 + seed % 4)
        alone, *_ = search.decode(log_probs)
        best, *_ = search.decode(log_probs, num_best=50)
        assert alone.score <= best.score + 1e-9
        others += alone.symbols != best.symbols
    assert others <= 3


@given(seeds, st.integers(1, 12), st.integers(1, 12), st.sampled_from(ALL_MODES))
@settings(max_examples=150)
def test_a_small_beam_finds_nothing_better_than_a_huge_one(seed, num_frames, beam, mode):
    _, models, unknown_score = mode
    log_probs = emissions(seed, min(num_frames, 6))
    huge = BeamOptions(unknown_score=unknown_score, **EXHAUSTIVE)
    small = BeamOptions(unknown_score=unknown_score, beam_size=beam, blank_threshold=1.0)
    best = decoder(SYMBOLS, huge, **models).decode(log_probs, num_best=2)[0]
    for num_best in (1, 3):
        found = decoder(SYMBOLS, small, **models).decode(log_probs, num_best=num_best)[0]
        assert found.score <= best.score + 1e-9 or not found.whole


@given(seeds, st.integers(1, 6), st.integers(1, 30))
@settings(max_examples=60)
def test_nothing_scores_more_than_it_should_in_a_small_beam(seed, num_frames, beam):
    log_probs = emissions(seed, num_frames)
    options = BeamOptions(beam_size=beam, blank_threshold=1.0)
    expected = Reference(SYMBOLS, options, words=WORDS).hypotheses(log_probs)
    for hypothesis in decoder(SYMBOLS, options, words=WORDS).decode(log_probs, num_best=beam + 1):
        if hypothesis.whole:
            assert hypothesis.score <= expected[hypothesis.symbols] + 1e-9


def test_of_equals_at_the_edge_of_the_beam_none_takes_the_place_of_a_better_one():
    probs = np.full((200, len(SYMBOLS)), 0.15)
    probs[::2, SYMBOLS.index("c")] = probs[1::2, SYMBOLS.index("b")] = 0.25
    for beam in (1, 2, 3, 7):
        options = BeamOptions(beam_size=beam, merge="max")
        for num_frames in (1, 2, 200):
            found = decoder(SYMBOLS, options).decode(np.log(probs[:num_frames]), num_best=9)
            assert written(found[0]) == ("cb" * 100)[:num_frames]
            assert len(found) == min(beam, 5 if num_frames == 1 else beam)


def test_of_equally_probable_symbols_none_takes_the_place_of_a_better_one():
    probs = np.array([[0.1, 0.0001, 0.2, 0.2, 0.2, 0.3]])
    for symbols in (1, 2, 3):
        found = decoder(SYMBOLS, BeamOptions(num_symbols=symbols)).decode(np.log(probs), num_best=9)
        assert written(found[0]) == "c"
        assert len(found) == symbols + 1  # with the empty one


@given(seeds, st.integers(1, 30))
def test_the_best_path_of_the_most_probable_symbols_is_the_greedy_one(seed, num_frames):
    log_probs = emissions(seed, num_frames)
    options = BeamOptions(merge="max", num_symbols=1, blank_threshold=1.0, beam_threshold=1e3)
    (expected,) = greedy(torch.from_numpy(log_probs)[None], torch.tensor([num_frames]), SYMBOLS)
    found = decoder(SYMBOLS, options).decode(log_probs)[0]
    assert written(found) == "".join(span.symbol for span in expected)
    assert found.score == pytest.approx(log_probs.max(axis=1).sum(), abs=1e-9)


def peaky_emissions(seed: int, num_frames: int) -> np.ndarray:
    """Every third frame holds a symbol or two; all others are blank but for 5e-5 or less."""
    random = np.random.default_rng(seed)
    probs = np.empty((num_frames, len(SYMBOLS)))
    for t, frame in enumerate(probs):
        frame[:] = random.dirichlet(np.full(len(SYMBOLS), 0.3)) * 0.95 + 0.05 / len(SYMBOLS)
        if t % 3:
            frame *= random.uniform(1e-6, 5e-5)
            frame[0] += 1 - frame.sum()
    return np.log(probs)


@pytest.mark.parametrize("merge", ["sum", "max"])
def test_frames_that_are_surely_blank_can_be_passed_over(merge):
    # what is missed: a path is not blank in a frame that is passed over, which weighs at most
    # 5e-5 of the path with a blank there, in 40 frames to which a symbol stretches from 2 sides
    bound = 40 * 2 * 5e-5
    for seed in range(10):
        log_probs = peaky_emissions(seed, 60)
        all_frames, some_frames = (
            decoder(
                SYMBOLS,
                BeamOptions(beam_size=500, blank_threshold=threshold, merge=merge),
                words=WORDS,
            ).decode(log_probs, num_best=2)[0]
            for threshold in (1.0, 0.9999)
        )
        assert some_frames.symbols == all_frames.symbols
        assert all_frames.score - bound <= some_frames.score <= all_frames.score + 1e-9


def test_a_blank_that_is_impossible_counts_as_a_tiny_one():
    options = BeamOptions(**EXHAUSTIVE)
    for seed in range(10):
        log_probs = emissions(seed, 4)
        log_probs[seed % 4, 0] = -np.inf
        found = decoder(SYMBOLS, options).decode(log_probs, num_best=10_000)
        log_probs[seed % 4, 0] = math.log(1e-30)
        expected = Reference(SYMBOLS, options).hypotheses(log_probs)
        assert {h.symbols: h.score for h in found} == pytest.approx(expected, abs=1e-9)


def test_a_frame_in_which_only_the_blank_is_possible_changes_nothing_but_where_symbols_end():
    a = np.log([0.2, 1e-9, 1e-9, 0.8 - 2e-9, 1e-9, 1e-9])
    blank = np.where(np.arange(len(SYMBOLS)) == 0, 0.0, -np.inf)
    options = BeamOptions(**EXHAUSTIVE)
    search = decoder(SYMBOLS, options)
    assert written(search.decode(np.array([a, a]))[0]) == "a"
    assert written(search.decode(np.array([a, blank, a]))[0]) == "aa"
    assert search.decode(np.array([a, blank]))[0].score == pytest.approx(math.log(0.8))
    assert search.decode(np.array([blank, a]))[0].score == pytest.approx(math.log(0.8))


@pytest.mark.parametrize(("models", "unknown_score"), [m[1:] for m in ALL_MODES], ids=IDS)
def test_no_frames_say_nothing_and_end(models, unknown_score):
    options = BeamOptions(lm_weight=0.5, unknown_score=unknown_score)
    (found,) = decoder(SYMBOLS, options, **models).decode(np.zeros((0, len(SYMBOLS))), num_best=5)
    model = models.get("words", models.get("characters"))
    end = 0.0 if model is None else 0.5 * model.score([])[0] * math.log(10)
    assert found == Hypothesis((), pytest.approx(end), whole=True)


def test_one_frame_says_one_symbol():
    options = BeamOptions(**EXHAUSTIVE)
    log_probs = np.log([[0.1, 0.05, 0.2, 0.3, 0.25, 0.1]])
    found = decoder(SYMBOLS, options).decode(log_probs, num_best=9)
    assert [written(h) for h in found] == ["a", "b", "|", *(written(h) for h in found[3:])]
    assert [math.exp(h.score) for h in found] == pytest.approx([0.3, 0.25, 0.2, 0.1, 0.1])


def test_emissions_of_half_precision_are_searched_as_what_they_hold():
    for seed in range(10):
        log_probs = emissions(seed, 5)
        log_probs[log_probs < -11] = -1e5  # which half precision cannot hold
        with np.errstate(over="ignore"):
            half = log_probs.astype(np.float16)
        assert np.isneginf(half).any()
        options = BeamOptions(**EXHAUSTIVE)
        found = decoder(SYMBOLS, options, words=WORDS).decode(half, num_best=5)
        assert found == decoder(SYMBOLS, options, words=WORDS).decode(
            half.astype(float), num_best=5
        )
        if not np.isneginf(half[:, 0]).any():
            weight = weights(half.astype(float), "sum")[found[0].symbols]
            words = Reference(SYMBOLS, options, words=WORDS).score(from_symbols(written(found[0])))
            assert found[0].score == pytest.approx(weight + words)


@given(seeds, st.integers(0, 40), st.sampled_from(ALL_MODES))
@settings(max_examples=100)
def test_tokens_fill_frames_in_order_and_spell_the_hypothesis(seed, num_frames, mode):
    _, models, unknown_score = mode
    log_probs = emissions(seed, num_frames)
    search = decoder(SYMBOLS, BeamOptions(unknown_score=unknown_score, beam_size=8), **models)
    hypothesis = search.decode(log_probs)[0]
    spans = search.tokens(log_probs, hypothesis)
    assert "".join(span.symbol for span in spans) == written(hypothesis)
    places = [place for span in spans for place in (span.first, span.last)]
    assert places == sorted(places)
    assert all(0 <= span.first < span.last <= num_frames for span in spans)
    assert all(0 <= span.score <= 1 for span in spans)


def test_tokens_stand_where_they_are_said():
    probs = np.full((6, len(SYMBOLS)), 0.02)
    for t, symbol in enumerate("-aa-b|"):
        probs[t, 0 if symbol == "-" else SYMBOLS.index(symbol)] = 0.9
    search = decoder(SYMBOLS, BeamOptions(), words=WORDS)
    (spans,) = search.decode_all([np.log(probs)])
    assert [(s.symbol, s.first, s.last) for s in spans] == [("a", 1, 3), ("b", 4, 5), ("|", 5, 6)]
    assert [s.score for s in spans] == pytest.approx([0.9, 0.9, 0.9])


def test_neither_threads_nor_other_utterances_change_what_is_found():
    several = [emissions(seed, 20 + seed) for seed in range(12)]
    options = BeamOptions(unknown_score=-1.0, beam_size=20)
    search = decoder(SYMBOLS, options, words=WORDS, characters=CHARACTERS, hot_words=HOT)
    expected = [search.tokens(one, search.decode(one)[0]) for one in several]
    assert list(search.decode_all(several)) == expected
    assert list(search.decode_all(several, threads=2)) == expected
    assert list(search.decode_all(reversed(several), threads=2)) == expected[::-1]
    assert list(search.decode_all(iter(several), threads=3)) == expected


def test_with_other_options_it_is_as_if_made_with_them():
    options = BeamOptions(lm_weight=0.3, word_score=1.0, unknown_score=-2.0)
    models = {"words": WORDS, "characters": CHARACTERS, "hot_words": HOT}
    changed = decoder(SYMBOLS, BeamOptions(), **models).with_options(options)
    made = decoder(SYMBOLS, options, **models)
    assert isinstance(changed, BeamDecoder)
    for seed in range(5):
        log_probs = emissions(seed, 10)
        assert changed.decode(log_probs, num_best=3) == made.decode(log_probs, num_best=3)
