"""Interpolated modified Kneser-Ney smoothing (Chen and Goodman, 1999), as KenLM's ``lmplz``.

The n-gram that ends at each place of the text has a number; that number times the size of the
vocabulary, plus the next word, is the key of an n-gram one longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from slue_ner.decoding.ngram import (
    END_ID,
    END_WORD,
    START_ID,
    START_WORD,
    UNKNOWN_ID,
    UNKNOWN_WORD,
    NgramModel,
    build,
)

FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""Of n-grams seen once, twice and more often, where a text is too small to estimate them."""

_NEVER = -99.0
"""Log-probability of ``<s>``, which is given and never predicted."""


@dataclass(frozen=True)
class _Grams:
    """The n-grams of one length, each once.

    Attributes:
        context: number of its first ``n - 1`` words among the n-grams one shorter, ``(count,)``.
        suffix: the same of its last ``n - 1`` words.
        word: id of its last word.
        raw: how often it occurs.
        at_start: whether its first word is ``<s>``.
    """

    context: np.ndarray
    suffix: np.ndarray
    word: np.ndarray
    raw: np.ndarray
    at_start: np.ndarray


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
    words, text, places = _encode(sentences)
    counted = _count(text, places, order=order, num_words=len(words))
    ids = np.arange(len(words), dtype=np.int32)[:, None]
    lower = np.full(1, 1.0 / (len(words) - 1))  # of any word but <s>, which is never predicted
    kept = kept_before = np.ones(len(words), bool)
    notes: list[str] = []
    levels: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for length, grams in enumerate(counted, start=1):
        counts = _adjusted(grams, counted[length] if length < order else None)
        if length == 1:
            counts[[UNKNOWN_ID, START_ID]] = 0
        else:
            ids = np.column_stack([ids[grams.context], grams.word])
            kept = grams.raw > limits[length - 1]
        discounts = _discounts(counts)
        if discounts is None:
            discounts = FALLBACK_DISCOUNTS
            notes.append(
                f"too little text to estimate the discounts of {length}-grams; they are "
                f"{', '.join(map(str, discounts))}"
            )
        lower, gammas = _probabilities(grams, counts, kept, discounts, lower)
        if length > 1:
            levels[-1][2][:] = np.log10(gammas)[kept_before]
        log_probs = np.log10(np.maximum(lower, 1e-30))
        if length == 1:
            log_probs[START_ID] = _NEVER
        levels.append((ids[kept], log_probs[kept], np.zeros(int(kept.sum()))))
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


def _encode(sentences: Iterable[Sequence[str]]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The vocabulary, the text as ids with marks, and each place's distance from its start."""
    ids = {UNKNOWN_WORD: UNKNOWN_ID, START_WORD: START_ID, END_WORD: END_ID}
    text: list[int] = []
    lengths: list[int] = []
    for number, sentence in enumerate(sentences, start=1):
        if START_WORD in sentence or END_WORD in sentence:
            raise ValueError(
                f"sentence {number} holds {START_WORD} or {END_WORD}, which are put around every "
                "sentence here; take them out of the text"
            )
        text.append(START_ID)
        text += [ids.setdefault(word, len(ids)) for word in sentence]
        text.append(END_ID)
        lengths.append(len(sentence) + 2)
    if len(ids) == 3:
        raise ValueError("there are no words to train a language model on")
    starts = np.cumsum(lengths) - lengths
    return list(ids), np.array(text), np.arange(len(text)) - np.repeat(starts, lengths)


def _count(text: np.ndarray, places: np.ndarray, *, order: int, num_words: int) -> list[_Grams]:
    """The n-grams of every length, without those that reach over the start of a sentence."""
    none = np.zeros(num_words, np.int64)
    levels = [
        _Grams(
            context=none,
            suffix=none,
            word=np.arange(num_words),
            raw=np.bincount(text, minlength=num_words),
            at_start=np.arange(num_words) == START_ID,
        )
    ]
    ending = text  # number of the n-gram that ends at each place, if one does
    for length in range(2, order + 1):
        (ends,) = np.nonzero(places >= length - 1)
        keys = ending[ends - 1] * num_words + text[ends]
        found, first, numbers, raw = np.unique(
            keys, return_index=True, return_inverse=True, return_counts=True
        )
        levels.append(
            _Grams(
                context=found // num_words,
                suffix=ending[ends[first]],
                word=found % num_words,
                raw=raw,
                at_start=places[ends[first]] == length - 1,
            )
        )
        ending = np.zeros(len(text), np.int64)
        ending[ends] = numbers
    return levels


def _adjusted(grams: _Grams, longer: _Grams | None) -> np.ndarray:
    """How many words an n-gram follows; of the longest, and at a start, how often it occurs."""
    if longer is None:
        return grams.raw.copy()
    followed = np.bincount(longer.suffix, minlength=len(grams.raw))
    return np.where(grams.at_start, grams.raw, followed)


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
    grams: _Grams,
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
