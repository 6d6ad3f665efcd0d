"""Times of an aligner made those of a manifest: in order, without overlap, inside the audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from slue_ner.core.time import Seconds
from slue_ner.core.types import Word
from slue_ner.core.validation import TIME_SLACK
from slue_ner.data.alignment_marks import is_mark

MOST_OVERRUN: Seconds = 0.1
"""A word may end so much after the audio and be cut; later, it is of another recording."""

_SAME: Seconds = 1e-6


@dataclass(frozen=True, slots=True)
class TimeChanges:
    """What was changed, in one utterance or added up over many.

    Attributes:
        num_overlaps: pairs of words that overlapped.
        num_overlapping: utterances with such a pair.
        most_overlap: longest time that two words had in common.
        num_cut: utterances whose last words ended after the audio.
        num_sorted: utterances whose words were not in order of time.
    """

    num_overlaps: int = 0
    num_overlapping: int = 0
    most_overlap: Seconds = 0.0
    num_cut: int = 0
    num_sorted: int = 0

    def __add__(self, other: TimeChanges) -> TimeChanges:
        """The changes of both."""
        return TimeChanges(
            self.num_overlaps + other.num_overlaps,
            self.num_overlapping + other.num_overlapping,
            max(self.most_overlap, other.most_overlap),
            self.num_cut + other.num_cut,
            self.num_sorted + other.num_sorted,
        )

    def notes(self) -> list[str]:
        """Sentences for the user; none where nothing was changed."""
        notes = []
        if self.num_overlaps:
            notes.append(
                f"{self.num_overlaps} pairs of words in {self.num_overlapping} utterances "
                f"overlapped, by {1000 * self.most_overlap:.0f} ms at most; each pair now meets "
                "in the middle of what it shared"
            )
        if self.num_cut:
            notes.append(
                f"{self.num_cut} utterances had words or entities that end up to "
                f"{1000 * MOST_OVERRUN:.0f} ms after the audio; they now end with it"
            )
        if self.num_sorted:
            notes.append(f"the words of {self.num_sorted} utterances were put in order of time")
        return notes


def settled(
    words: Sequence[Word], *, duration: Seconds | None = None
) -> tuple[list[Word], TimeChanges]:
    """Put words in order, share out overlaps and cut what lies after the audio.

    Two words that overlap meet in the middle of what they share; a silence gives way to a
    word. Words that touch, gaps and words of no length stay as they are.

    Args:
        words: of an aligner, in any order.
        duration: of the audio; ``None`` when it is not known.

    Raises:
        ValueError: for three words at one time, or one that is not in the audio.
    """
    is_sorted = all(one.start <= other.start for one, other in pairwise(words))
    ordered = list(words) if is_sorted else sorted(words, key=lambda word: (word.start, word.end))
    inside, is_cut = _inside(ordered, duration)
    spoken, overlaps = _shared_out([word for word in inside if not is_mark(word.text)])
    changes = TimeChanges(
        num_overlaps=len(overlaps),
        num_overlapping=int(bool(overlaps)),
        most_overlap=max(overlaps, default=0.0),
        num_cut=int(is_cut),
        num_sorted=int(not is_sorted),
    )
    return _between(inside, spoken), changes


def _inside(words: Sequence[Word], duration: Seconds | None) -> tuple[list[Word], bool]:
    if duration is None:
        return list(words), False
    inside: list[Word] = []
    is_cut = False
    for word in words:
        if word.end > duration + TIME_SLACK:
            if is_mark(word.text):
                if word.start >= duration:
                    continue
            elif word.start > duration or word.end > duration + MOST_OVERRUN:
                raise ValueError(
                    f"word {word.text!r} is at {word.start:.2f} to {word.end:.2f}s "
                    f"but the audio lasts {duration:.2f}s"
                )
            else:
                is_cut = True
            word = replace(word, end=duration)
        inside.append(word)
    return inside, is_cut


def _shared_out(words: Sequence[Word]) -> tuple[list[Word], list[Seconds]]:
    spoken: list[Word] = []
    overlaps: list[Seconds] = []
    for word in words:
        if spoken and word.start < spoken[-1].end - _SAME:
            before = spoken[-1]
            last = min(before.end, word.end)
            border = (word.start + last) / 2
            if word.start < before.start:
                raise ValueError(
                    f"three words are spoken at {word.start:.2f}s, among them {before.text!r} "
                    f"and {word.text!r}; which comes first cannot be told"
                )
            overlaps.append(last - word.start)
            spoken[-1] = replace(before, end=border)
            word = replace(word, start=border)
        spoken.append(word)
    return spoken, overlaps


def _between(words: Sequence[Word], spoken: Sequence[Word]) -> list[Word]:
    """The words with the new times, and marks of silence cut to the gaps between them."""
    starts = [word.start for word in spoken]
    placed: list[Word] = []
    position = 0
    for word in words:
        if not is_mark(word.text):
            placed.append(spoken[position])
            position += 1
            continue
        first = max(word.start, placed[-1].end if placed else 0.0)
        last = min([word.end, *starts[position : position + 1]])
        if first < last or (first, last) == (word.start, word.end):
            placed.append(replace(word, start=first, end=last))
    return placed
