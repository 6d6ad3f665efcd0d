"""Greedy CTC decoding: the best symbol of every frame, repeats merged, blanks dropped."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

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
    from slue_ner.decoding.ctc_kernel import collapse  # numba takes half a second to import

    best, ids = log_probs.max(dim=-1)  # (B, T)
    log_probs_of_best = best.float().cpu().numpy()
    ids_of_best = ids.cpu().numpy()
    found: list[tuple[TokenSpan, ...]] = []
    for row, scores, length in zip(
        ids_of_best, log_probs_of_best, num_frames.tolist(), strict=True
    ):
        columns = collapse(row[:length], scores[:length])
        tokens, firsts, lasts, means = (column.tolist() for column in columns)
        written = [symbols[token] for token in tokens]
        found.append(tuple(map(TokenSpan, written, firsts, lasts, means)))
    return found


def min_frames(target: Sequence[int]) -> int:
    """Fewest frames that can emit ``target``: one a symbol, and a blank between equal ones."""
    return len(target) + sum(a == b for a, b in pairwise(target))
