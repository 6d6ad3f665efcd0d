"""CTC forced alignment of a known text: the frames of every symbol, and when each word was spoken.

The best path (Viterbi, arXiv:2007.09127) is found by compiled code, in memory that grows with
``sqrt(T)``.

A path starts in the gap before the first target and ends in the last target or the gap after it.
Cell ``2 * j`` is gap ``j``, where blanks are emitted; cell ``2 * j + 1`` is target ``j``. One pass
over the frames keeps the scores of every ``block``-th frame; the blocks are then walked from the
last to the first, each once more and with back-pointers. A path passes at most one target a
frame, so a block is repeated only for the ``block`` targets before the one in which it ends: the
second pass costs ``T * block`` cells instead of ``T * U``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from slue_ner.core.time import FrameGrid
from slue_ner.core.types import Word
from slue_ner.decoding.compiling import compiled
from slue_ner.decoding.ctc import BLANK_ID, min_frames
from slue_ner.text.markup import DELIMITER
from slue_ner.text.vocabulary import BLANK, UNKNOWN, Vocabulary


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


CROSSING_COST = 0.1
"""Nats a frame for what should not but may be crossed. A wildcard pays them for a blank: it crosses
those inside a number and leaves the pauses around it alone. A blank of a tagged model pays them
for a delimiter: the model writes two of them around an entity mark, a text has one."""


MOST_COST = 4.0
"""Nats a symbol, see ``TimedText``. With the small encoder after 300 updates of the quickstart,
right texts cost at most 0.5, those that lack or add a word up to 4, texts of other utterances 4.4
to 10, and two words on 40 s of noise or of other speech 10 to 190."""


@dataclass(frozen=True, slots=True)
class TimedText:
    """The words of a text with their times.

    Attributes:
        words: one for each word of the text.
        cost: nats per symbol of the text by which the best path that writes it is less probable
            than the best path of all. It grows with letters that nobody says, and with speech (or
            noise that sounds like it) of which the text has no word.
    """

    words: tuple[Word, ...]
    cost: float


def word_times(
    text: str,
    vocabulary: Vocabulary,
    log_probs: np.ndarray,
    grid: FrameGrid,
    *,
    priors: np.ndarray | None = None,
) -> tuple[Word, ...]:
    """The words of ``time_text`` alone."""
    return time_text(text, vocabulary, log_probs, grid, priors=priors).words


def time_text(
    text: str,
    vocabulary: Vocabulary,
    log_probs: np.ndarray,
    grid: FrameGrid,
    *,
    priors: np.ndarray | None = None,
) -> TimedText:
    """Align the letters of a text, a word delimiter after each word as in training.

    A word lasts from its first letter's first frame to its last letter's last frame; its score is
    the geometric mean of its letters' scores. A character that the vocabulary lacks is passed
    over. A word of such characters alone (``1999``) is aligned as one wildcard, which stands for
    the best symbol of every frame, whatever it is; it is marked as estimated and has no score.
    Entity marks of a tagged vocabulary count as blanks, since a text has none, and so do the
    delimiters around them.

    Args:
        text: words joined by spaces, without entity marks.
        vocabulary: symbols of the emissions.
        log_probs: log-probabilities, ``(T, V)``.
        grid: frames to seconds.
        priors: see ``align``.

    Raises:
        ValueError: when the text does not fit into ``T`` frames.
    """
    words = text.split()
    if not words:
        return TimedText((), 0.0)
    letters = _letters(vocabulary)
    wildcard = len(vocabulary)
    spelled = [[letters[c] for c in word if c in letters] for word in words]
    (delimiter,) = vocabulary.encode([DELIMITER])
    targets: list[int] = []
    places: list[tuple[int, int]] = []
    for ids in spelled:
        places.append((len(targets), len(targets) + max(1, len(ids))))
        targets += [*(ids or [wildcard]), delimiter]
    emissions = _with_wildcard(_with_silent_marks(log_probs, vocabulary), priors)
    more = None if priors is None else np.append(priors, np.float32(0))
    alignment = align(emissions, targets, priors=more)
    best = (emissions if more is None else emissions - more).max(axis=1).sum(dtype=np.float64)
    timed = tuple(
        _word(word, grid, alignment.firsts[a], alignment.lasts[b - 1], alignment.scores[a:b])
        if ids
        else _word(word, grid, alignment.firsts[a], alignment.lasts[b - 1], None)
        for word, ids, (a, b) in zip(words, spelled, places, strict=True)
    )
    return TimedText(timed, max(0.0, float(best) - alignment.log_prob) / len(targets))


def mean_score(words: Sequence[Word]) -> float:
    """Mean score of the words that have one, in [0, 1]; 0 when none has."""
    scores = [word.score for word in words if word.score is not None]
    return sum(scores) / len(scores) if scores else 0.0


def _letters(vocabulary: Vocabulary) -> dict[str, int]:
    """Symbols that a text can hold, with their ids."""
    others = {BLANK, UNKNOWN, DELIMITER, *_marks(vocabulary)}
    return {s: i for i, s in enumerate(vocabulary.symbols) if s not in others}


def _marks(vocabulary: Vocabulary) -> tuple[str, ...]:
    labels = vocabulary.label_set
    return () if labels is None else labels.marks


def _with_silent_marks(log_probs: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """The emissions with the best of blank, entity marks and spare delimiters as the blank."""
    marks = vocabulary.encode(_marks(vocabulary))
    if not marks:
        return log_probs
    (delimiter,) = vocabulary.encode([DELIMITER])
    folded = log_probs.copy()
    folded[:, BLANK_ID] = np.maximum(
        log_probs[:, [BLANK_ID, *marks]].max(axis=1), log_probs[:, delimiter] - CROSSING_COST
    )
    return folded


def _with_wildcard(log_probs: np.ndarray, priors: np.ndarray | None) -> np.ndarray:
    """The emissions with one more column, ``(T, V + 1)``, from which no prior is subtracted."""
    scores = log_probs if priors is None else log_probs - priors
    heard = np.delete(scores, BLANK_ID, axis=1).max(axis=1)
    best = np.maximum(heard, scores[:, BLANK_ID] - CROSSING_COST)
    return np.column_stack([log_probs, best]).astype(np.float32)


def _word(text: str, grid: FrameGrid, first: int, last: int, scores: np.ndarray | None) -> Word:
    span = grid.span(int(first), int(last))
    if scores is None:
        return Word(text, span.start, span.end, estimated=True)
    return Word(text, span.start, span.end, score=_geometric_mean(scores))


def _geometric_mean(scores: np.ndarray) -> float:
    return math.exp(float(np.log(np.maximum(scores, 1e-30)).mean()))
