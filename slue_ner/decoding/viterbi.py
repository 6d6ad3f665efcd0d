"""The best CTC path through given symbols, compiled, in memory that grows with ``sqrt(T)``.

A path starts in the gap before the first target and ends in the last target or the gap after it.
Cell ``2 * j`` is gap ``j``, where blanks are emitted; cell ``2 * j + 1`` is target ``j``. One pass
over the frames keeps the scores of every ``block``-th frame; the blocks are then walked from the
last to the first, each once more and with back-pointers. A path passes at most one target a
frame, so a block is repeated only for the ``block`` targets before the one in which it ends: the
second pass costs ``T * block`` cells instead of ``T * U``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from slue_ner.decoding.compiling import compiled


def best_path(
    log_probs: np.ndarray, targets: np.ndarray, blank: int, block: int
) -> tuple[np.ndarray, float]:
    """The cell of every frame on the best path, and the path's score.

    Args:
        log_probs: ``(T, V)`` float32, C-contiguous; any scores that add up, ``-inf`` allowed.
        targets: symbol ids, ``(U,)`` int32.
        blank: id of the blank.
        block: frames between two kept rows of scores, at least 1.

    Returns:
        Cells ``(T,)`` int32 and the sum of their scores; ``-inf`` when no path is possible, in
        which case the cells mean nothing. Of equally good ways the one that stays is taken, then
        the one through the gap.
    """
    num_frames, num_targets = len(log_probs), len(targets)
    symbols = np.append(targets, np.int32(blank)).astype(np.int32)
    skips = np.full(num_targets + 1, -np.inf)  # 0 where no blank is needed before the target
    skips[1:-1][targets[1:] != targets[:-1]] = 0.0
    width = min(block, num_targets) + 1
    path = np.empty(num_frames, np.int32)
    score = _compiled_search()(
        log_probs,
        symbols,
        skips,
        blank,
        block,
        np.empty((-(-num_frames // block), 2, num_targets + 2)),
        np.full((2, 2, num_targets + 2), -np.inf),
        np.empty((2, 2, width + 1)),
        np.empty((min(block, num_frames), 2, width), np.uint8),
        path,
    )
    return path, score


def _search(
    log_probs: np.ndarray,
    symbols: np.ndarray,
    skips: np.ndarray,
    blank: int,
    block: int,
    kept: np.ndarray,
    rows: np.ndarray,
    part: np.ndarray,
    pointers: np.ndarray,
    path: np.ndarray,
) -> float:
    """Fill ``path`` and return its score; the rest is room to work in.

    A row of scores is ``(2, U + 2)``: gap ``j`` at ``[0, j]`` and target ``j`` at ``[1, j + 1]``,
    so that ``[:, j]`` are the two ways into gap ``j``. All ``-inf`` in the beginning.
    """
    num_frames = len(log_probs)
    num_targets = len(symbols) - 1
    rows[0, 0, 0] = 0.0  # before the first frame
    for t in range(num_frames):
        now, then = (t + 1) % 2, t % 2
        if t % block == 0:
            for j in range(num_targets + 2):
                kept[t // block, 0, j] = rows[then, 0, j]
                kept[t // block, 1, j] = rows[then, 1, j]
        silence = log_probs[t, blank]
        first = max(0, num_targets - num_frames + t)  # earlier ones cannot reach the end
        last = min(num_targets, t)  # later ones cannot be reached
        for j in range(first, last + 1):
            waiting = rows[then, 0, j]
            before = rows[then, 1, j]
            staying = rows[then, 1, j + 1]
            skipping = before + skips[j]
            best = staying if staying >= waiting else waiting
            best = best if best >= skipping else skipping
            rows[now, 0, j] = (waiting if waiting >= before else before) + silence
            rows[now, 1, j + 1] = best + log_probs[t, symbols[j]]
    end = num_frames % 2
    cell = 2 * num_targets
    score: float = rows[end, 0, num_targets]
    if num_targets and rows[end, 1, num_targets] >= score:
        cell -= 1
        score = rows[end, 1, num_targets]
    for number in range(len(kept) - 1, -1, -1):
        start = number * block
        length = min(block, num_frames - start)
        low = max(0, cell // 2 - length)
        width = cell // 2 - low + 1
        for j in range(width + 1):
            part[0, 0, j] = kept[number, 0, low + j]
            part[0, 1, j] = kept[number, 1, low + j]
        part[1, 1, 0] = -np.inf  # never on a path that ends in cell
        for t in range(length):
            now, then = (t + 1) % 2, t % 2
            silence = log_probs[start + t, blank]
            for j in range(width):
                waiting = part[then, 0, j]
                before = part[then, 1, j]
                staying = part[then, 1, j + 1]
                skipping = before + skips[low + j]
                best = staying if staying >= waiting else waiting
                step = 0 if staying >= waiting else 1
                step = step if best >= skipping else 2
                best = best if best >= skipping else skipping
                pointers[t, 0, j] = 0 if waiting >= before else 1
                pointers[t, 1, j] = step
                part[now, 0, j] = (waiting if waiting >= before else before) + silence
                part[now, 1, j + 1] = best + log_probs[start + t, symbols[low + j]]
        for t in range(length - 1, -1, -1):
            path[start + t] = cell
            cell -= pointers[t, cell % 2, cell // 2 - low]
    return score


@cache
def _compiled_search() -> Callable[..., float]:
    return compiled(_search)
