"""Greedy CTC decoding: the best symbol of every frame, repeats merged, blanks dropped."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from torch import Tensor

from slue_ner.core.types import TokenSpan

BLANK_ID = 0


def greedy(
    log_probs: Tensor, num_frames: Tensor, symbols: Sequence[str]
) -> list[tuple[TokenSpan, ...]]:
    """Decode a batch of emissions.

    Args:
        log_probs: log-probabilities, ``(B, T, V)``; symbol 0 is the blank.
        num_frames: real frames of each utterance, ``(B,)``.
        symbols: the ``V`` symbols.

    Returns:
        Token spans of each utterance. A token fills the frames of its run, and its score is
        its mean probability over them.

    Raises:
        ValueError: when ``V`` differs from the number of symbols.
    """
    if log_probs.shape[-1] != len(symbols):
        raise ValueError(
            f"emissions have {log_probs.shape[-1]} symbols but the vocabulary has {len(symbols)}; "
            "they belong to different models"
        )
    best, ids = log_probs.max(dim=-1)  # (B, T)
    probabilities = best.float().exp().cpu().numpy()
    lengths = num_frames.tolist()
    return [
        _merge(row[:length], scores[:length], symbols)
        for row, scores, length in zip(ids.cpu().numpy(), probabilities, lengths, strict=True)
    ]


def _merge(ids: np.ndarray, scores: np.ndarray, symbols: Sequence[str]) -> tuple[TokenSpan, ...]:
    if not len(ids):
        return ()
    firsts = np.flatnonzero(np.diff(ids, prepend=-1))
    lasts = np.append(firsts[1:], len(ids))
    means = np.add.reduceat(scores, firsts) / (lasts - firsts)
    runs = zip(ids[firsts].tolist(), firsts.tolist(), lasts.tolist(), means.tolist(), strict=True)
    return tuple(
        TokenSpan(symbols[i], first, last, min(1.0, score))
        for i, first, last, score in runs
        if i != BLANK_ID
    )


def min_frames(target: Sequence[int]) -> int:
    """Fewest frames that can emit ``target``: one a symbol, and a blank between equal ones."""
    return len(target) + sum(a == b for a, b in pairwise(target))
