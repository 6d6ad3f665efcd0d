"""Greedy CTC decoding of one utterance, compiled by numba where this file is imported."""

from __future__ import annotations

import math

import numpy as np

from slue_ner.decoding.compiling import compiled


@compiled
def collapse(
    ids: np.ndarray, log_probs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Merge the runs of the best symbols of ``T`` frames, and drop blanks.

    Args:
        ids: best symbol of each frame, ``(T,)``; 0 is the blank.
        log_probs: its log-probability, ``(T,)``.

    Returns:
        Of ``N`` runs: symbols, first frames, last frames and one more, and mean probabilities in
        [0, 1], ``(N,)`` each.
    """
    symbols = np.empty(len(ids), np.int64)
    firsts, lasts = np.empty(len(ids), np.int64), np.empty(len(ids), np.int64)
    means = np.empty(len(ids))
    count, first = 0, 0
    while first < len(ids):
        last = first + 1
        while last < len(ids) and ids[last] == ids[first]:
            last += 1
        if ids[first] != 0:
            total = 0.0
            for t in range(first, last):
                total += math.exp(log_probs[t])
            symbols[count] = ids[first]
            firsts[count], lasts[count] = first, last
            means[count] = min(1.0, total / (last - first))
            count += 1
        first = last
    return symbols[:count], firsts[:count], lasts[:count], means[:count]
