"""Interpolated modified Kneser-Ney smoothing (Chen and Goodman, 1999), as KenLM's ``lmplz``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from slue_ner.decoding.lm.ngram import START_ID, UNKNOWN_ID, NgramModel
from slue_ner.decoding.lm.ngram_counts import Grams, count, encode

FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""Of n-grams seen once, twice and more often, where a text is too small to estimate them."""

_LEAST = 1e-30
_GIVEN = 0.0
"""Log-probability of ``<s>``, which is never predicted."""


def train(
    sentences: Iterable[Sequence[str]], *, order: int, cut_offs: Sequence[int] = ()
) -> tuple[NgramModel, list[str]]:
    """Estimate a model.

    Args:
        sentences: words of each sentence, without marks of its start and end.
        order: length of the longest n-grams, at least 1.
        cut_offs: n-grams of length 1, 2, ... that occur no more often than this are left out;
            what is not given is as the last one given, or 0. The first must be 0.

    Returns:
        The model, and notes about what had to be guessed.

    Raises:
        ValueError: for options out of range and for a text without words.
    """
    limits = _limits(order, cut_offs)
    text = encode(sentences)
    num_words = len(text.words)
    counted = count(text, order)
    lower = np.full(1, 1.0 / (num_words - 1))  # of any word but <s>, which is never predicted
    kept = np.ones(1, bool)
    nodes = np.zeros(1, np.int32)  # of the n-grams one shorter, for now the empty one
    num_nodes = 1
    oldest = np.zeros(1, np.int32)  # id of the first word of each n-gram
    last = np.array([num_words - 1])
    notes: list[str] = []
    levels: list[_Level] = []
    for length in range(1, order + 1):
        grams = counted.pop(0)
        counts = _adjusted(grams, counted[0] if counted else None)
        kept_before = kept
        if length == 1:
            counts[[UNKNOWN_ID, START_ID]] = 0
            kept, oldest = np.ones(num_words, bool), grams.word
        else:
            kept, oldest = grams.raw > limits[length - 1], oldest[grams.context]
            last = _last(grams, oldest, last)
        as_counted = counts.copy()
        as_counted[last] = grams.raw[last]
        discounts = _discounts(as_counted)
        if discounts is None:
            discounts = FALLBACK_DISCOUNTS
            notes.append(
                "the text is too short or too regular to estimate the discounts of "
                f"{length}-grams; they are {', '.join(map(str, discounts))}"
            )
        lower, gammas = _probabilities(grams, counts, kept, discounts, lower)
        if levels:
            levels[-1].back_off[:] = _log10(gammas)[kept_before]
        log_probs = _log10(lower)[kept]
        if length == 1:
            log_probs[START_ID] = _GIVEN
        levels.append(
            _Level(
                word=grams.word[kept],
                parent=nodes[grams.context[kept]],
                suffix=nodes[grams.suffix[kept]],
                log_prob=log_probs,
                back_off=np.zeros_like(log_probs),
            )
        )
        nodes = (num_nodes - 1 + np.cumsum(kept)).astype(np.int32)
        num_nodes += int(kept.sum())
    return _tree(text.words, levels), notes


@dataclass(frozen=True)
class _Level:
    """Nodes of the n-grams of one length, in the order of ``NgramModel``; ``parent`` is a node."""

    word: np.ndarray
    parent: np.ndarray
    suffix: np.ndarray
    log_prob: np.ndarray
    back_off: np.ndarray


def _tree(words: list[str], levels: Sequence[_Level]) -> NgramModel:
    parents = np.concatenate([level.parent for level in levels])
    num_children = np.bincount(parents, minlength=len(parents) + 1)
    return NgramModel(
        len(levels),
        tuple(words),
        word=np.concatenate([np.array([-1], np.int32), *(level.word for level in levels)]),
        log_prob=np.concatenate([np.zeros(1, np.float32), *(level.log_prob for level in levels)]),
        back_off=np.concatenate([np.zeros(1, np.float32), *(level.back_off for level in levels)]),
        suffix=np.concatenate([np.zeros(1, np.int32), *(level.suffix for level in levels)]),
        first_child=np.concatenate([[1], 1 + np.cumsum(num_children)]).astype(np.int32),
    )


def _limits(order: int, cut_offs: Sequence[int]) -> list[int]:
    if order < 1:
        raise ValueError(f"the order of a language model must be at least 1, got {order}")
    given = list(cut_offs) or [0]
    limits = (given + given[-1:] * order)[:order]
    if len(given) > order or limits[0] != 0 or limits != sorted(limits):
        raise ValueError(
            f"cut-offs {', '.join(map(str, given))} should start with 0, never fall, and be at "
            f"most {order}"
        )
    return limits


def _log10(shares: np.ndarray) -> np.ndarray:
    """Logarithms that a file can hold, where discounts of 0 have left nothing too."""
    logs: np.ndarray = np.log10(np.maximum(shares, _LEAST))
    return logs.astype(np.float32)


def _adjusted(grams: Grams, longer: Grams | None) -> np.ndarray:
    """How many words an n-gram follows; of the longest, and at a start, how often it occurs."""
    if longer is None:
        return grams.raw.copy()
    followed = np.bincount(longer.suffix, minlength=len(grams.raw))
    return np.where(grams.at_start, grams.raw, followed)


def _last(grams: Grams, oldest: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Number of the n-gram that adds the newest of words before ``last``; none before ``<s>``.

    For its discounts ``lmplz`` takes this one to follow as many words as it occurs times, since
    ``AdjustCounts::Run`` adds ``lower_count`` instead of the adjusted one after its loop.
    """
    longer: np.ndarray = np.flatnonzero(np.isin(grams.suffix, last))
    return longer[np.argsort(oldest[longer])[-1:]]


def _discounts(counts: np.ndarray) -> tuple[float, float, float] | None:
    """What to take off counts of 1, 2 and more; ``None`` where too few were counted to tell."""
    ones, twos, threes, fours = (int((counts == count).sum()) for count in (1, 2, 3, 4))
    if not (ones and twos and threes):
        return None
    share = ones / (ones + 2 * twos)
    discounts = (
        1 - 2 * share * twos / ones,
        2 - 3 * share * threes / twos,
        3 - 4 * share * fours / threes,
    )
    inside = all(0 <= discount <= count for count, discount in enumerate(discounts, start=1))
    return discounts if inside else None


def _probabilities(
    grams: Grams,
    counts: np.ndarray,
    kept: np.ndarray,
    discounts: Sequence[float],
    lower: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Probability of each n-gram's last word, and the weight of the lower order by context.

    The mass of n-grams that are left out goes to the lower order whole.
    """
    num_contexts = len(lower)
    taken = np.array([0.0, *discounts])[np.minimum(counts, 3)]
    taken = np.where(kept, taken, counts)
    totals = np.bincount(grams.context, weights=counts, minlength=num_contexts)
    freed = np.bincount(grams.context, weights=taken, minlength=num_contexts)
    gammas = np.divide(freed, totals, out=np.ones(num_contexts), where=totals > 0)
    own = (counts - taken) / np.maximum(totals, 1)[grams.context]
    return own + gammas[grams.context] * lower[grams.suffix], gammas
