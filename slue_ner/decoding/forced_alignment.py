"""CTC forced alignment: the frames of every symbol of a known text (Viterbi, arXiv:2007.09127)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from slue_ner.decoding.ctc import BLANK_ID, min_frames
from slue_ner.decoding.viterbi import best_path


@dataclass(frozen=True)
class Alignment:
    """Where each of ``U`` target symbols is emitted.

    Attributes:
        firsts, lasts: frames ``[first, last)`` of each symbol, ``(U,)``; blanks lie between.
        scores: mean posterior of each symbol over its frames, ``(U,)``, in [0, 1].
        log_prob: score of the whole path, blanks included, after priors.
    """

    firsts: np.ndarray
    lasts: np.ndarray
    scores: np.ndarray
    log_prob: float


def align(
    log_probs: np.ndarray,
    targets: Sequence[int],
    *,
    blank: int = BLANK_ID,
    priors: np.ndarray | None = None,
    block: int | None = None,
) -> Alignment:
    """The most probable path that emits ``targets``.

    Memory beside the emissions is about ``16 * T * U / block`` bytes, and ``block`` is ``sqrt(T)``:
    120 MB for half an hour of speech (20 ms frames, 14 letters a second).

    Args:
        log_probs: log-probabilities, ``(T, V)``.
        targets: symbol ids, ``U`` of them.
        blank: id of the blank.
        priors: ``(V,)``, subtracted from every frame before the search; see ``estimate_priors``.
            The scores stay posteriors.
        block: frames between kept rows of scores; changes memory and speed, not results.

    Raises:
        ValueError: when the targets do not fit into ``T`` frames, are not symbols, or have
            probability 0.
    """
    emissions = np.ascontiguousarray(log_probs, np.float32)
    num_frames, num_symbols = emissions.shape
    symbols = np.asarray(targets, np.int32)
    if len(symbols) and not (symbols.min() >= 0 and symbols.max() < num_symbols):
        raise ValueError(
            f"targets hold the symbols {symbols.min()} to {symbols.max()} but the emissions have "
            f"{num_symbols}; they belong to different vocabularies"
        )
    if blank in targets:
        raise ValueError(f"targets hold symbol {blank}, the blank, which cannot be aligned")
    if (needed := min_frames(targets)) > num_frames:
        raise ValueError(f"{len(symbols)} symbols need {needed} frames, the audio has {num_frames}")
    searched = emissions if priors is None else emissions - np.asarray(priors, np.float32)
    if num_frames == 0:
        none = np.zeros(0, np.int64)
        return Alignment(none, none, np.zeros(0), 0.0)
    size = block or math.isqrt(num_frames - 1) + 1
    path, log_prob = best_path(searched, symbols, blank, size)
    if not math.isfinite(log_prob):
        raise ValueError("no path through the symbols has a probability above 0")
    frames = np.flatnonzero(path % 2)
    positions = path[frames] // 2  # 0, ..., 0, 1, ..., U - 1
    order = np.arange(len(symbols))
    starts = np.searchsorted(positions, order)
    ends = np.searchsorted(positions, order, side="right")
    posteriors = np.exp(emissions[frames, symbols[positions]], dtype=np.float64)
    totals = np.concatenate([[0.0], posteriors.cumsum()])
    scores = np.clip((totals[ends] - totals[starts]) / (ends - starts), 0.0, 1.0)
    return Alignment(frames[starts], frames[ends - 1] + 1, scores, log_prob)


def estimate_priors(emissions: Iterable[np.ndarray]) -> np.ndarray:
    """Log of every symbol's mean posterior, ``(V,)``; nothing is known about the text.

    A CTC model says blank nearly everywhere and each letter for a frame or so. Subtracting a part
    of these priors takes that habit away, and letters fill the time they last (the idea of
    arXiv:2406.02560, here at alignment only). A symbol counts as emitted once at least.

    Args:
        emissions: log-probabilities ``(T, V)`` of each utterance.

    Raises:
        ValueError: when there is no frame at all.
    """
    total: np.ndarray | None = None
    num_frames = 0
    for log_probs in emissions:
        summed = np.exp(log_probs, dtype=np.float64).sum(axis=0)
        total = summed if total is None else total + summed
        num_frames += len(log_probs)
    if total is None or num_frames == 0:
        raise ValueError("no frame to estimate symbol priors from; give utterances with audio")
    priors: np.ndarray = np.log(np.maximum(total, 1.0) / num_frames).astype(np.float32)
    return priors
