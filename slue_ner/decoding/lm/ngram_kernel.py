"""Queries of an n-gram model, compiled by numba where this file is imported.

The arrays are those of ``ngram.NgramModel``. Numba keeps what it compiled on disk for the next
process; it looks at the file a function stands in, so what it keeps of functions that call
``advance`` from another file is not renewed when this one changes.
"""

from __future__ import annotations

import numpy as np

from slue_ner.decoding.compiling import compiled


@compiled
def advance(
    state: int,
    id: int,
    word: np.ndarray,
    log_prob: np.ndarray,
    back_off: np.ndarray,
    suffix: np.ndarray,
    first_child: np.ndarray,
) -> tuple[float, int]:
    """Score a word after a state.

    Returns:
        The word's log10 probability and the state after it.
    """
    score = 0.0
    found = 1 + id  # every word is a child of the root
    while state:
        low, high = int(first_child[state]), int(first_child[state + 1])
        while low < high:
            middle = (low + high) // 2
            if word[middle] < id:
                low = middle + 1
            else:
                high = middle
        if low < first_child[state + 1] and word[low] == id:
            found = low
            break
        score += back_off[state]
        state = int(suffix[state])
    score += log_prob[found]
    state = found
    # an end that no n-gram goes on from, and that costs nothing to leave, need not be told apart
    while state and first_child[state] == first_child[state + 1] and back_off[state] == 0.0:
        state = int(suffix[state])
    return score, state


@compiled
def score(
    state: int,
    ids: np.ndarray,
    word: np.ndarray,
    log_prob: np.ndarray,
    back_off: np.ndarray,
    suffix: np.ndarray,
    first_child: np.ndarray,
) -> np.ndarray:
    """Log10 probability of each of ``ids`` after a state and those before it, ``(n,)``."""
    scores = np.empty(len(ids))
    for index in range(len(ids)):
        scores[index], state = advance(
            state, ids[index], word, log_prob, back_off, suffix, first_child
        )
    return scores
