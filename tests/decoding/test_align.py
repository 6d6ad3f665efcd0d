from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st

from slue_ner.decoding import compiling
from slue_ner.decoding.ctc import min_frames
from slue_ner.decoding.forced_alignment import align, estimate_priors


def random_emissions(num_frames: int, num_symbols: int, seed: int) -> np.ndarray:
    logits = 2 * np.random.default_rng(seed).standard_normal((num_frames, num_symbols))
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


def path_of(alignment, targets: list[int], num_frames: int) -> np.ndarray:
    path = np.zeros(num_frames, int)
    for symbol, first, last in zip(targets, alignment.firsts, alignment.lasts, strict=True):
        path[first:last] = symbol
    return path


def collapse(path) -> list[int]:
    return [symbol for symbol, _ in itertools.groupby(path) if symbol != 0]


def best_score(log_probs: np.ndarray, targets: list[int]) -> float:
    """The textbook recursion over a table of all frames and cells."""
    symbols = [0, *(symbol for target in targets for symbol in (target, 0))]
    table = np.full((len(log_probs), len(symbols)), -np.inf)
    table[0, :2] = log_probs[0, symbols[:2]]
    for t in range(1, len(log_probs)):
        for s in range(len(symbols)):
            may_skip = s > 2 and symbols[s] != 0 and symbols[s] != symbols[s - 2]
            came = [table[t - 1, s], *table[t - 1, max(0, s - 1) : s]]
            came += [table[t - 1, s - 2]] if may_skip else []
            table[t, s] = max(came) + log_probs[t, symbols[s]]
    return table[-1, -2:].max()


@st.composite
def cases(draw, *, max_targets=12, max_extra=20, max_symbols=5):
    num_symbols = draw(st.integers(2, max_symbols))
    targets = draw(st.lists(st.integers(1, num_symbols - 1), max_size=max_targets))
    num_frames = max(1, min_frames(targets)) + draw(st.integers(0, max_extra))
    return random_emissions(num_frames, num_symbols, draw(st.integers(0, 10**6))), targets


@given(cases(max_targets=3, max_extra=2, max_symbols=3))
@settings(max_examples=20)
def test_no_path_that_says_the_targets_is_better(case):
    log_probs, targets = case
    num_frames, num_symbols = log_probs.shape
    best = max(
        sum(float(log_probs[t, symbol]) for t, symbol in enumerate(path))
        for path in itertools.product(range(num_symbols), repeat=num_frames)
        if collapse(path) == targets
    )
    assert align(log_probs, targets).log_prob == pytest.approx(best, abs=1e-5)


@given(cases(), st.integers(1, 40))
def test_any_block_size_finds_the_path_of_the_unbounded_search(case, block):
    log_probs, targets = case
    alignment = align(log_probs, targets, block=block)
    assert alignment.log_prob == pytest.approx(best_score(log_probs, targets), abs=1e-9)
    path = path_of(alignment, targets, len(log_probs))
    assert collapse(path) == targets
    along = log_probs[np.arange(len(path)), path].sum(dtype=np.float64)
    assert along == pytest.approx(alignment.log_prob, abs=1e-5)


@given(cases(max_targets=60, max_extra=200))
@settings(max_examples=30)
def test_the_frames_are_those_of_torchaudio(case):
    log_probs, targets = case
    if not targets:
        return
    alignment = align(log_probs, targets)
    path, scores = torchaudio.functional.forced_align(
        torch.from_numpy(log_probs)[None], torch.tensor([targets], dtype=torch.int32), blank=0
    )
    assert alignment.log_prob == pytest.approx(scores.sum().item(), rel=1e-5, abs=1e-4)
    # random reals do not tie
    assert path_of(alignment, targets, len(log_probs)).tolist() == path[0].tolist()


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 6), st.integers(1, 4)), min_size=1),
    st.integers(0, 3),
)
def test_spans_put_into_emissions_are_found_again(runs, silence):
    path: list[int] = [0] * silence
    spans = []
    for gap, length, symbol in runs:
        if path and path[-1] == symbol:
            gap = max(gap, 1)
        path += [0] * gap
        spans.append((len(path), len(path) + length))
        path += [symbol] * length
    probabilities = np.full((len(path), 5), 0.05)
    probabilities[np.arange(len(path)), path] = 0.8
    alignment = align(np.log(probabilities), [symbol for _, _, symbol in runs])
    assert list(zip(alignment.firsts, alignment.lasts, strict=True)) == spans
    assert alignment.scores == pytest.approx(0.8)


def test_scores_are_mean_posteriors():
    probabilities = np.array([[0.1, 0.9], [0.3, 0.7], [0.6, 0.4]])
    alignment = align(np.log(probabilities), [1])
    assert (alignment.firsts.tolist(), alignment.lasts.tolist()) == ([0], [2])
    assert alignment.scores == pytest.approx([0.8])  # (0.9 + 0.7) / 2
    assert alignment.log_prob == pytest.approx(math.log(0.9 * 0.7 * 0.6))


def test_nothing_to_say_fits_anywhere():
    alignment = align(random_emissions(3, 4, 0), [])
    assert len(alignment.firsts) == len(alignment.lasts) == len(alignment.scores) == 0
    assert len(align(np.zeros((0, 4)), []).firsts) == 0


def test_targets_that_do_not_fit_are_refused_with_both_numbers():
    with pytest.raises(ValueError, match="3 symbols need 5 frames, the audio has 4"):
        align(random_emissions(4, 3, 0), [2, 2, 2])  # a blank between equal ones
    assert align(random_emissions(5, 3, 0), [2, 2, 2]).firsts.tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([1, 3], "the symbols 1 to 3 but the emissions have 3"),
        ([-1], "the symbols -1 to -1"),
        ([1, 0], "symbol 0, the blank"),
    ],
)
def test_targets_that_are_no_symbols_are_refused(targets, message):
    with pytest.raises(ValueError, match=message):
        align(random_emissions(9, 3, 0), targets)


def test_an_impossible_symbol_is_refused():
    log_probs = random_emissions(6, 3, 0)
    log_probs[:, 2] = -np.inf
    with pytest.raises(ValueError, match="no path through the symbols has a probability above 0"):
        align(log_probs, [1, 2])
    assert math.isfinite(align(log_probs, [1, 1]).log_prob)


def test_memory_stays_far_below_one_byte_a_cell():
    num_frames, num_targets = 4_000, 1_200
    log_probs = random_emissions(num_frames, 8, 0)
    targets = np.random.default_rng(0).integers(1, 8, num_targets).tolist()
    align(log_probs[:50], targets[:5])
    tracemalloc.start()
    align(log_probs, targets)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < num_frames * (2 * num_targets + 1) / 4


def test_priors_are_the_log_of_mean_posteriors():
    first = np.log([[0.5, 0.5], [0.7, 0.3]])
    second = np.log([[0.9, 0.1], [0.9, 0.1]])
    priors = estimate_priors([first, second])
    assert np.exp(priors) == pytest.approx([0.75, 0.25])  # (0.5 + 0.7 + 0.9 + 0.9) / 4


def test_a_symbol_that_never_comes_counts_as_if_it_came_once():
    log_probs = np.log(np.array([[1 - 1e-9, 1e-9]] * 10))
    assert np.exp(estimate_priors([log_probs])) == pytest.approx([1.0, 0.1])  # 1 of 10 frames
    with pytest.raises(ValueError, match="no frame to estimate symbol priors from"):
        estimate_priors([np.zeros((0, 3))])


def test_priors_let_a_peaky_letter_fill_its_time():
    #                      blank  letter: it lasts frames 1 to 3, the model peaks in one of them
    probabilities = np.array([[0.99, 0.01], [0.7, 0.3], [0.2, 0.8], [0.7, 0.3], [0.99, 0.01]])
    log_probs = np.log(probabilities)
    plain = align(log_probs, [1])
    assert (plain.firsts[0], plain.lasts[0]) == (2, 3)
    # mean posteriors 0.716 and 0.284: in frame 1, 0.3 / 0.284 beats 0.7 / 0.716; 0.01 does not
    wide = align(log_probs, [1], priors=estimate_priors([log_probs]))
    assert (wide.firsts[0], wide.lasts[0]) == (1, 4)
    assert wide.scores[0] == pytest.approx((0.3 + 0.8 + 0.3) / 3)  # posteriors all the same


@given(cases(), st.floats(-3, 3))
def test_one_prior_for_all_changes_no_frame(case, prior):
    log_probs, targets = case
    plain = align(log_probs, targets)
    shifted = align(log_probs, targets, priors=np.full(log_probs.shape[1], prior))
    shift = prior * len(log_probs)
    assert shifted.log_prob == pytest.approx(plain.log_prob - shift, abs=1e-3)


def test_an_install_that_cannot_keep_compiled_code_compiles_all_the_same(monkeypatch):
    import numba

    njit = numba.njit

    def without_a_folder(function, *, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(function, **options)

    monkeypatch.setattr(numba, "njit", without_a_folder)
    assert compiling.compiled(plus_one)(1) == 2


def plus_one(number):
    return number + 1
