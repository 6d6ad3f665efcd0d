"""How far word times are from those of a reference, in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein

from slue_ner.core.types import Prediction, Utterance, Word

TOLERANCES_MS = (20, 50, 100)


@dataclass(frozen=True, slots=True)
class BoundaryErrors:
    """Distances between the starts and ends of the same words in two alignments.

    Attributes:
        num_words: words compared; each has a start and an end.
        num_missed: timed words of the reference that were not found, or not timed.
        median_ms: of the absolute differences.
        bias_start_ms, bias_end_ms: medians of found minus reference; negative is too early.
        within: by tolerance in ms, the share of starts and ends at most so far away, in [0, 1].
    """

    num_words: int
    num_missed: int
    median_ms: float
    bias_start_ms: float
    bias_end_ms: float
    within: dict[int, float]

    def __str__(self) -> str:
        """One line for the terminal."""
        shares = ", ".join(f"{100 * share:.1f}% within {ms}" for ms, share in self.within.items())
        return (
            f"boundary error: median {self.median_ms:.1f} ms, {shares} ms (starts "
            f"{self.bias_start_ms:+.1f} ms, ends {self.bias_end_ms:+.1f} ms at the median; "
            f"{self.num_words} words compared, {self.num_missed} not found)"
        )


def boundary_errors(
    found: Sequence[Utterance] | Sequence[Prediction],
    reference: Sequence[Utterance] | Sequence[Prediction],
) -> BoundaryErrors:
    """Compare word times, utterances joined by id.

    Words are brought together by an alignment of the two texts with the fewest edits, and those
    that are equal are compared. Silences and words whose times are estimated, on either side,
    are left out. Utterances of the reference without word times are left out as well; all words
    of one that ``found`` lacks or has not timed are missed.

    Raises:
        ValueError: when no word can be compared.
    """
    timed = {record.id: record.words for record in found if record.words is not None}
    differences: list[tuple[float, float]] = []
    num_missed = 0
    for record in reference:
        if record.words is None:
            continue
        pairs, missed = _equal_words(timed.get(record.id, ()), record.words)
        num_missed += missed
        differences += [
            (ours.start - theirs.start, ours.end - theirs.end) for ours, theirs in pairs
        ]
    if not differences:
        raise ValueError("no word has times on both sides, so there is no boundary to compare")
    errors = 1000 * np.array(differences)  # (words, 2)
    starts, ends = np.median(errors, axis=0).tolist()
    distances = np.abs(errors)
    return BoundaryErrors(
        num_words=len(errors),
        num_missed=num_missed,
        median_ms=float(np.median(distances)),
        bias_start_ms=starts,
        bias_end_ms=ends,
        # a nanosecond of slack, since a difference of two times is not exact
        within={ms: float((distances <= ms + 1e-6).mean()) for ms in TOLERANCES_MS},
    )


def equal_words(found: Sequence[Word], reference: Sequence[Word]) -> list[tuple[int, int]]:
    """Indices of the words that are the same, by an alignment of the texts with fewest edits."""
    ours = [index for index, word in enumerate(found) if word.text]
    theirs = [index for index, word in enumerate(reference) if word.text]
    edits = Levenshtein.opcodes([found[i].text for i in ours], [reference[i].text for i in theirs])
    pairs: list[tuple[int, int]] = []
    for edit in edits:
        if edit.tag == "equal":
            left = ours[edit.src_start : edit.src_end]
            pairs += zip(left, theirs[edit.dest_start : edit.dest_end], strict=True)
    return pairs


def _equal_words(
    found: Sequence[Word], reference: Sequence[Word]
) -> tuple[list[tuple[Word, Word]], int]:
    """Pairs of words to compare, and how many words of the reference have no partner."""
    pairs: list[tuple[Word, Word]] = []
    num_missed = sum(bool(word.text) and not word.estimated for word in reference)
    for ours, theirs in equal_words(found, reference):
        left, right = found[ours], reference[theirs]
        num_missed -= not right.estimated
        if not (left.estimated or right.estimated):
            pairs.append((left, right))
    return pairs, num_missed
