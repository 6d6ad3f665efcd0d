"""Word and character edits, to be summed over a corpus before dividing.

The word error rate of a corpus is the sum of word edits over the sum of reference words, as jiwer
and SLUE compute it; the mean of the utterances' rates is another number.
"""

from __future__ import annotations

from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein


@dataclass(frozen=True, slots=True)
class Edits:
    """Substitutions, insertions and deletions together, and the length of the reference."""

    edits: int
    length: int


def word_edits(hypothesis: str, *, reference: str) -> Edits:
    """Edits between the whitespace-separated words.

    Nothing is normalised. Type symbols are words to this function: a ``Prediction``'s ``text``
    never has them.
    """
    words = reference.split()
    if hypothesis == reference:
        return Edits(0, len(words))
    return Edits(Levenshtein.distance(hypothesis.split(), words), len(words))


def character_edits(hypothesis: str, *, reference: str) -> Edits:
    """Edits between the characters, spaces between words included, outer ones not."""
    characters = reference.strip()
    return Edits(Levenshtein.distance(hypothesis.strip(), characters), len(characters))


def rejoin_apostrophes(text: str) -> str:
    """NER text turned back into ASR text: ``eu 's`` becomes ``eu's``.

    The NER form splits at apostrophes and the ASR form does not, so the two have different words.
    """
    return text.replace(" '", "'")
