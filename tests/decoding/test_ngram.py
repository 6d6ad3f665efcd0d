"""N-gram models: estimated, queried, written and read."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slue_ner.decoding.lm.ngram import END_WORD, START_WORD, UNKNOWN_WORD, NgramModel
from slue_ner.decoding.lm.ngram_file import read_model, write_model
from slue_ner.decoding.lm.ngram_training import train

ARRAYS = ("word", "log_prob", "back_off", "suffix", "first_child")

sentences = st.lists(st.lists(st.sampled_from("abcd"), max_size=6), min_size=1, max_size=12).filter(
    any
)


def table(model: NgramModel) -> dict[tuple[str, ...], tuple[float, float]]:
    """Every n-gram with its log-probability and back-off weight, by walking down the tree."""
    found: dict[tuple[str, ...], tuple[float, float]] = {}

    def walk(node: int, gram: tuple[str, ...]) -> None:
        for child in range(model.first_child[node], model.first_child[node + 1]):
            longer = (*gram, model.words[model.word[child]])
            found[longer] = (float(model.log_prob[child]), float(model.back_off[child]))
            walk(child, longer)

    walk(0, ())
    return found


def backed_off(grams: dict[tuple[str, ...], tuple[float, float]], gram: tuple[str, ...]) -> float:
    """The definition of a back-off model."""
    if gram in grams:
        return grams[gram][0]
    return grams.get(gram[:-1], (0.0, 0.0))[1] + backed_off(grams, gram[1:])


def scores(model: NgramModel, sentence: list[str]) -> list[float]:
    grams, order = table(model), model.order
    known = [word if word in model.ids else UNKNOWN_WORD for word in sentence]
    words = (START_WORD, *known, END_WORD)
    return [
        backed_off(grams, words[max(0, last - order) : last]) for last in range(2, len(words) + 1)
    ]


@settings(deadline=None, max_examples=60)
@given(sentences, st.integers(1, 4), st.lists(st.sampled_from("abcde"), max_size=5))
def test_a_sentence_scores_as_the_back_off_model_is_defined(text, order, sentence):
    model, _ = train(text, order=order)
    assert model.score(sentence) == pytest.approx(scores(model, sentence), abs=1e-5)


@settings(deadline=None, max_examples=60)
@given(sentences, st.integers(1, 4), st.sampled_from([(), (0, 1), (0, 0, 1)]))
def test_the_words_that_can_follow_any_context_have_a_probability_of_one(text, order, cut_offs):
    model, _ = train(text, order=order, cut_offs=cut_offs[:order])
    grams = table(model)
    following = [word for word in model.words if word != START_WORD]
    for context in [*product("ab", repeat=max(0, order - 1)), (START_WORD,)][:8]:
        total = sum(10 ** backed_off(grams, (*context, word)[-order:]) for word in following)
        assert total == pytest.approx(1.0, abs=1e-4)


def test_a_bigram_worked_by_hand():
    # bigrams <s> a: 3, a b: 2, a c: 1, b </s>: 2, c </s>: 1; so two occur once, two twice, one
    # three times: y is 1 / 3, and 1 - 2 / 3 is taken off 1, 2 - 1 / 2 off 2
    model, notes = train([["a", "b"], ["a", "b"], ["a", "c"]], order=2)
    (note,) = notes
    assert note.endswith("to estimate the discounts of 1-grams; they are 0.5, 1.0, 1.5")
    grams = table(model)
    # words follow 1 (a: <s>), 1 (b: a), 1 (c: a), 2 (</s>: b, c) others; 5 in all; 3 of them once
    freed = (3 * 0.5 + 1.0) / 5
    unigram = {w: (n - d) / 5 + freed / 5 for w, n, d in (("a", 1, 0.5), ("b", 1, 0.5))}
    assert grams[("a",)][0] == pytest.approx(math.log10(unigram["a"]))
    assert grams[(UNKNOWN_WORD,)][0] == pytest.approx(math.log10(freed / 5))
    # after a: b twice, c once
    weight = (1.5 + 1 / 3) / 3
    assert grams[("a",)][1] == pytest.approx(math.log10(weight))
    expected = (2 - 1.5) / 3 + weight * unigram["b"]
    assert grams[("a", "b")][0] == pytest.approx(math.log10(expected))


def test_a_context_that_leaves_nothing_to_shorter_ones_has_a_back_off_that_a_file_can_hold():
    # bigrams that occur once, twice, three and four times: 24, 4, 2, 2; what is taken off 3 is
    # 3 - 4 * 24 / (24 + 2 * 4) * 2 / 2 = 0
    often = {"b": 2, "c": 2, "d": 3, "e": 4, **{f"once{number}": 1 for number in range(12)}}
    model, _ = train([[word] for word, count in often.items() for _ in range(count)], order=2)
    grams = table(model)
    assert grams[("d", END_WORD)][0] == pytest.approx(0.0)
    assert grams[("d",)][1] == pytest.approx(-30)


def test_an_order_above_the_length_of_all_sentences_leaves_levels_empty(tmp_path):
    model, _ = train([["a"]], order=6)
    assert model.counts == (4, 2, 1, 0, 0, 0)
    assert model.score(["a"]) == pytest.approx(scores(model, ["a"]))
    write_model(model, tmp_path / "lm.arpa")
    assert read_model(tmp_path / "lm.arpa").counts == model.counts


def test_what_occurs_no_more_often_than_its_cut_off_is_left_out():
    text = [["a", "b", "c"]] * 2 + [["a", "b", "d"]]
    model, _ = train(text, order=3, cut_offs=[0, 0, 1])
    longest = {gram for gram in table(model) if len(gram) == 3}
    assert ("a", "b", "c") in longest and ("a", "b", "d") not in longest
    assert ("b", "d") in table(model)


FORMATS = ["lm.arpa", "lm.arpa.gz", "lm.ngram"]


@pytest.mark.parametrize("name", FORMATS)
@settings(deadline=None, max_examples=20)
@given(sentences, st.integers(1, 4))
def test_a_model_is_read_as_it_was_written(tmp_path_factory, name, text, order):
    model, _ = train(text, order=order)
    path = tmp_path_factory.mktemp("lm") / name
    write_model(model, path)
    again = read_model(path)
    assert (again.order, again.words, again.counts) == (model.order, model.words, model.counts)
    for array in ARRAYS:
        assert np.array_equal(getattr(again, array), getattr(model, array)), array


@pytest.mark.parametrize("name", FORMATS)
def test_words_can_hold_white_space_that_is_none_in_an_arpa_file(tmp_path, name):
    words = ["no\u00a0break", "form\x0cfeed", "next\x85line", "\u2028", "łódź"]
    model, _ = train([words], order=2)
    write_model(model, tmp_path / name)
    assert read_model(tmp_path / name).words == model.words


@pytest.mark.parametrize("name", FORMATS)
def test_equal_models_are_equal_files(tmp_path, name):
    text = [["a", "b"], ["a", "c"]]
    for folder in ("one", "two"):
        write_model(train(text, order=2)[0], tmp_path / folder / name)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


CACHE = """
from slue_ner.decoding.lm.ngram_training import train
train([["a"]], order=2)[0].score(["a"])
from slue_ner.decoding.lm import ngram_kernel
print(sum(ngram_kernel.score.stats.cache_misses.values()))
"""


def test_a_second_process_need_not_compile():
    train([["a"]], order=2)[0].score(["a"])
    done = subprocess.run([sys.executable, "-c", CACHE], capture_output=True, text=True)
    assert done.stdout.strip() == "0", done.stderr


@pytest.mark.parametrize(
    ("order", "cut_offs", "message"),
    [
        (0, (), "order of a language model must be at least 1, got 0"),
        (2, (1,), "cut-offs 1 should start with 0"),
        (3, (0, 2, 1), "cut-offs 0, 2, 1 should"),
        (2, (0, 1, 1), "at most 2"),
    ],
)
def test_options_out_of_range_are_refused(order, cut_offs, message):
    with pytest.raises(ValueError, match=message):
        train([["a"]], order=order, cut_offs=cut_offs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ([], "no words"),
        ([[]], "no words"),
        ([["a"], ["b", "<s>"]], "sentence 2 holds <s>"),
        ([["<unk>"]], "sentence 1 holds <unk>"),
        ([["a b"]], "'a b' is empty or holds a space"),
        ([["a", ""]], "'' is empty"),
    ],
)
def test_a_text_that_cannot_be_trained_on_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        train(text, order=2)
