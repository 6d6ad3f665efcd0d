"""When each word of a known text was spoken, from the emissions of a CTC model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slue_ner.core.time import FrameGrid
from slue_ner.core.types import Word
from slue_ner.decoding.ctc import BLANK_ID
from slue_ner.decoding.forced_alignment import align
from slue_ner.text.markup import DELIMITER
from slue_ner.text.vocabulary import BLANK, UNKNOWN, Vocabulary

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
