"""NEL scores as slue-toolkit computes them (``eval_utils_nel.py``), quirks included.

Counts are the official ones to the last bin and word; rates are made of them as everywhere in
this package, so they may differ from the official ones in the sixteenth digit. Labels play no
role: every predicted entity that has times counts, whatever its type, in the order in which the
prediction lists them. A prediction whose entities all lack times is an empty one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slue_ner.core.time import Seconds
from slue_ner.core.types import Prediction, Utterance, Word
from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.joining import join
from slue_ner.evaluation.nel_times import (
    TimeRange,
    gold_times,
    listed_times,
    mark_words,
    marked_times,
    merge,
    shared,
    size,
)

IntArray = NDArray[np.int64]

RHOS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Tolerances of the word metric; 0.8 is the one that papers print."""


def official_bin(time: Seconds) -> int:
    """The 10 ms bin of a time: 0.29 s is in 28, as the division is in floats and truncated."""
    return int(time / 0.01)


def frame_counts_official(
    references: Sequence[Utterance], predictions: Sequence[Prediction]
) -> Counts:
    """Official frame counts of a whole data set, for a search that needs nothing else.

    Raises:
        ValueError: for ids that do not join.
    """
    pairs = join(references, predictions).pairs
    tp, fp, fn = frame_rows_official(pairs).sum(axis=0).tolist()
    return Counts(tp, fp, fn)


def frame_rows_official(pairs: Sequence[tuple[Utterance, Prediction]]) -> IntArray:
    """Bins of 10 ms that are right, spurious and missed, ``(N, 3)``.

    An utterance ends with its last word or the end of the prediction listed last; what other
    predictions cover beyond is not counted. Gold bins are those of the entities' words and of
    silences inside an entity. Without an alignment each prediction is spurious, twice where two
    overlap; without a prediction each gold entity is missed from its start to its end.
    """
    rows = [_frame_row(reference, prediction) for reference, prediction in pairs]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def _frame_row(reference: Utterance, prediction: Prediction) -> tuple[int, int, int]:
    predicted = listed_times(prediction.entities or ())
    words = reference.words
    if not predicted:
        gold = [gold_times(entity, words) for entity in reference.entities]
        return 0, 0, _num_bins([times for times in gold if times is not None])
    if words is None:
        return 0, _num_bins(predicted), 0
    last = max([predicted[-1][1], *(word.end for word in words[-1:])])
    num_bins = official_bin(last)
    gold_bins = _bins(marked_times(words, reference.entities), num_bins)
    predicted_bins = _bins(predicted, num_bins)
    tp = shared(gold_bins, predicted_bins)
    return tp, size(predicted_bins) - tp, size(gold_bins) - tp


def _num_bins(times: Sequence[TimeRange]) -> int:
    return sum(official_bin(end) - official_bin(start) for start, end in times)


def _bins(times: Sequence[TimeRange], num_bins: int) -> list[tuple[int, int]]:
    return merge((official_bin(start), min(official_bin(end), num_bins)) for start, end in times)


def word_rows_official(pairs: Sequence[tuple[Utterance, Prediction]]) -> dict[float, IntArray]:
    """Words that are rightly covered, wrongly covered and missed, ``(N, 3)`` for each rho.

    A word is covered when the predictions overlap with at least rho of it, or when it has no
    length and a prediction touches it (0/0 is not below any rho). Words after the last
    prediction are not looked at, so entities there are never missed. Predictions without an
    alignment are not looked at either. In an utterance without a prediction, aligned or not,
    every token of every gold phrase, split at single spaces, is missed; the official list has
    timed entities alone, so one without times (of NER alone, see ``join_ner``) is not in it.
    """
    found = [_judge_words(reference, prediction) for reference, prediction in pairs]
    owner = np.repeat(np.arange(len(found)), [len(judged) for judged, _ in found])
    words = [word for judged, _ in found for word in judged]
    is_entity = np.array([is_entity for is_entity, _ in words], dtype=bool)
    overlap = np.array([overlap for _, overlap in words], dtype=float)
    rows: dict[float, IntArray] = {}
    for rho in RHOS:
        covered = ~(overlap < rho)  # NaN counts as covered
        kinds = (is_entity & covered, ~is_entity & covered, is_entity & ~covered)
        rows[rho] = np.stack([np.bincount(owner[k], minlength=len(found)) for k in kinds], axis=1)
        rows[rho][:, 2] += np.array([unheard for _, unheard in found], dtype=np.int64)
    return rows


_Judged = tuple[bool, float]
"""Whether a word belongs to an entity, and which share of it is covered."""


def _judge_words(reference: Utterance, prediction: Prediction) -> tuple[list[_Judged], int]:
    """The words that the official walk looks at, and the tokens missed without a look."""
    predicted = listed_times(prediction.entities or ())
    words = reference.words
    if not predicted:
        timed = [e for e in reference.entities if gold_times(e, words) is not None]
        return [], sum(len(e.phrase.split(" ")) for e in timed if e.phrase is not None)
    if words is None:
        return [], 0
    return _walk(words, mark_words(words, reference.entities), predicted), 0


def _walk(
    words: Sequence[Word], marked: Sequence[bool], predicted: Sequence[TimeRange]
) -> list[_Judged]:
    """Go through the words with a finger on one prediction; it never goes back."""
    judged: list[_Judged] = []
    finger = 0
    for word, is_entity in zip(words, marked, strict=True):
        if finger == len(predicted):
            break
        start, end = predicted[finger]
        if word.text == "":
            finger += end <= word.end
            continue
        if start >= word.end:
            judged.append((is_entity, -math.inf))
            continue
        overlap = min(end, word.end) - max(start, word.start)  # below 0 for one before the word
        while end <= word.end:
            finger += 1
            if finger == len(predicted):
                break
            start, end = predicted[finger]
            if start < word.end:
                overlap += min(end, word.end) - max(start, word.start)
        judged.append((is_entity, _divide(overlap, word.end - word.start)))
    return judged


def _divide(overlap: Seconds, length: Seconds) -> float:
    """The quotient as numpy has it: NaN for 0/0, minus infinity for a negative number over 0."""
    if length:
        return overlap / length
    return -math.inf if overlap else math.nan
