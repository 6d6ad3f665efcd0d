"""Interpolated modified Kneser-Ney smoothing (Chen and Goodman, 1999), as KenLM's ``lmplz``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from slue_ner.decoding.ngram import START_ID, UNKNOWN_ID, NgramModel, build
from slue_ner.decoding.ngram_counts import Grams, count, encode

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
    words = text.words
    counted = count(text, order)
    ids = np.arange(len(words), dtype=np.int32)[:, None]
    lower = np.full(1, 1.0 / (len(words) - 1))  # of any word but <s>, which is never predicted
    kept = kept_before = np.ones(len(words), bool)
    last = np.array([len(words) - 1])
    notes: list[str] = []
    levels: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for length in range(1, order + 1):
        grams = counted.pop(0)
        counts = _adjusted(grams, counted[0] if counted else None)
        if length == 1:
            counts[[UNKNOWN_ID, START_ID]] = 0
        else:
            ids = np.column_stack([ids[grams.context], grams.word])
            kept = grams.raw > limits[length - 1]
            last = _last(grams, ids, last)
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
        if length > 1:
            levels[-1][2][:] = _log10(gammas)[kept_before]
        log_probs = _log10(lower)
        if length == 1:
            log_probs[START_ID] = _GIVEN
        levels.append((ids[kept], log_probs[kept], np.zeros(int(kept.sum()), np.float32)))
        kept_before = kept
    return build(words, levels), notes


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
    return np.log10(np.maximum(shares, _LEAST)).astype(np.float32)


def _adjusted(grams: Grams, longer: Grams | None) -> np.ndarray:
    """How many words an n-gram follows; of the longest, and at a start, how often it occurs."""
    if longer is None:
        return grams.raw.copy()
    followed = np.bincount(longer.suffix, minlength=len(grams.raw))
    return np.where(grams.at_start, grams.raw, followed)


def _last(grams: Grams, ids: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Number of the n-gram that adds the newest of words before ``last``; none before ``<s>``.

    For its discounts ``lmplz`` takes this one to follow as many words as it occurs times, since
    ``AdjustCounts::Run`` adds ``lower_count`` instead of the adjusted one after its loop.
    """
    longer = np.flatnonzero(np.isin(grams.suffix, last))
    return longer[np.argsort(ids[longer, 0])[-1:]]


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
