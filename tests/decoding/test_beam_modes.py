"""The score of every hypothesis of tiny emissions, for all that can score one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from beam_reference import (
    CHARACTERS,
    EXHAUSTIVE,
    HOT,
    MODES,
    OPEN_MODES,
    SPELLED,
    SYMBOLS,
    TEXT,
    WORDS,
    WRITTEN,
    assert_scores_are_as_defined,
    decoder,
    random_emissions,
)

from slue_ner.decoding.beam.scoring_rules import MERGES, BeamOptions
from slue_ner.decoding.lm.ngram_file import read_model, write_model
from slue_ner.decoding.lm.ngram_training import train
from slue_ner.text.markup import to_symbols


def check(
    seed: int, merge: str, models: dict[str, Any], *, num_cases: int = 8, is_open: bool = False
) -> None:
    random = np.random.default_rng(seed)
    for _ in range(num_cases):
        options = BeamOptions(
            lm_weight=random.uniform(0, 2),
            word_score=random.uniform(-2, 2),
            unknown_score=random.uniform(-3, 3) if is_open else None,
            hot_word_boost=random.uniform(0, 3),
            merge=merge,
            **EXHAUSTIVE,
        )
        log_probs = random_emissions(random, SYMBOLS, WRITTEN, int(random.integers(0, 7)))
        assert_scores_are_as_defined(log_probs, SYMBOLS, options, **models)


@pytest.mark.parametrize("hot_words", [{}, HOT], ids=["plain", "hot"])
@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("mode", MODES)
def test_every_hypothesis_has_the_score_that_is_defined(mode, merge, hot_words):
    check(1, merge, {**MODES[mode], "hot_words": hot_words})


@pytest.mark.parametrize("hot_words", [{}, HOT], ids=["plain", "hot"])
@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("mode", OPEN_MODES)
def test_words_outside_the_lexicon_have_the_score_that_is_defined(mode, merge, hot_words):
    check(2, merge, {**OPEN_MODES[mode], "hot_words": hot_words}, is_open=True)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_models_of_any_order_score_as_defined(order):
    words, characters = train(TEXT, order=order)[0], train(SPELLED, order=order)[0]
    check(3, "sum", {"words": words, "characters": characters}, is_open=True)
    check(4, "sum", {"characters": characters})


def test_a_model_without_its_rare_ngrams_scores_as_defined():
    words = train(TEXT, order=3, cut_offs=[0, 1])[0]
    check(5, "sum", {"words": words}, is_open=True)


def certain(frames: str) -> np.ndarray:
    """One possible symbol a frame; ``-`` is the blank."""
    log_probs = np.full((len(frames), len(SYMBOLS)), -np.inf)
    ids = [0 if symbol == "-" else SYMBOLS.index(symbol) for symbol in frames]
    log_probs[np.arange(len(frames)), ids] = 0.0
    return log_probs


def test_a_score_worked_by_hand():
    probs = np.zeros((2, len(SYMBOLS)))
    probs[0, [0, SYMBOLS.index("a")]] = 0.4, 0.6
    probs[1, [0, SYMBOLS.index("a"), SYMBOLS.index("|")]] = 0.3, 0.2, 0.5
    options = BeamOptions(lm_weight=0.7, word_score=0.3, hot_word_boost=2.0, merge="sum")
    models = {"words": WORDS, "hot_words": {"a": 1.5}}
    with np.errstate(divide="ignore"):
        found = decoder(SYMBOLS, options, **models).decode(np.log(probs), num_best=9)
    scores = {"".join(SYMBOLS[id] for id in h.symbols): h.score for h in found}
    a, end = WORDS.score(["a"]) * math.log(10)
    of_a = 0.7 * (a + end) + 0.3 + 1.5 * 2.0
    assert scores == pytest.approx(
        {
            "a": math.log(0.4 * 0.2 + 0.6 * 0.3 + 0.6 * 0.2) + of_a,  # -a, a-, aa
            "a|": math.log(0.6 * 0.5) + of_a,
            "|": math.log(0.4 * 0.5) + 0.7 * WORDS.score([])[0] * math.log(10),
            "": math.log(0.4 * 0.3) + 0.7 * WORDS.score([])[0] * math.log(10),
        }
    )


@pytest.mark.parametrize("frames", ["a|b", "|a|b", "a|-|b", "|-|a|-|-|b|", "a|b|-|"])
@pytest.mark.parametrize(
    "models", [{"words": WORDS}, {"characters": CHARACTERS}], ids=["words", "characters"]
)
def test_delimiters_that_write_no_word_cost_nothing(models, frames):
    options = BeamOptions(hot_word_boost=1.0)
    found = decoder(SYMBOLS, options, hot_words={"a b": 1.0}, **models).decode(certain(frames))[0]
    assert "".join(SYMBOLS[id] for id in found.symbols) == frames.replace("-", "")
    (model,) = models.values()
    of_text = model.score(["a", "b"] if "words" in models else to_symbols(["a", "b"]))
    assert found.score == pytest.approx(of_text.sum() * math.log(10) + 2 * 1.0)


def test_the_spelling_of_an_unknown_word_weighs_as_much_as_a_word():
    options = BeamOptions(lm_weight=0.25, unknown_score=0.5)
    models = {"words": WORDS, "characters": CHARACTERS}
    found = decoder(SYMBOLS, options, **models).decode(certain("a|cb|"))[0]
    of_words = WORDS.score(["a", "cb"]).sum()
    of_spelling = CHARACTERS.score(to_symbols(["a", "cb"]))[2:5].sum()  # c b |
    expected = 0.25 * math.log(10) * (of_words + of_spelling) + 0.5
    assert found.score == pytest.approx(expected)


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz", "lm.ngram"])
def test_models_of_files_give_what_models_in_memory_give(tmp_path, name):
    write_model(WORDS, tmp_path / f"words_{name}")
    write_model(CHARACTERS, tmp_path / f"characters_{name}")
    read = {unit: read_model(tmp_path / f"{unit}_{name}") for unit in ("words", "characters")}
    options = BeamOptions(unknown_score=-1.0)
    in_memory = decoder(SYMBOLS, options, words=WORDS, characters=CHARACTERS)
    of_files = decoder(SYMBOLS, options, **read)
    random = np.random.default_rng(6)
    for _ in range(10):
        log_probs = random_emissions(random, SYMBOLS, WRITTEN, 12)
        for num_best in (1, 5):
            assert of_files.decode(log_probs, num_best=num_best) == in_memory.decode(
                log_probs, num_best=num_best
            )
