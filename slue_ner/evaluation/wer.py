"""Word and character edits, to be summed over a corpus before dividing.

The word error rate of a corpus is the sum of word edits over the sum of reference words, as jiwer
and SLUE compute it; the mean of the utterances' rates is another number.
"""

from __future__ import annotations

from dataclasses import dataclass

import jiwer
from rapidfuzz.distance import Levenshtein


@dataclass(frozen=True, slots=True)
class Edits:
    """Substitutions, insertions and deletions together, and the length of the reference."""

    edits: int
    length: int


class _SplitWords(jiwer.ReduceToListOfListOfWords):
    """Words as ``str.split`` has them; jiwer's own transform keeps a single tab inside a word."""

    def process_string(self, s: str) -> list[list[str]]:
        return [s.split()]


_WORDS = _SplitWords()


def word_edits(hypothesis: str, *, reference: str) -> Edits:
    """Edits between the whitespace-separated words.

    Nothing is normalised. Type symbols are words to this function: a ``Prediction``'s ``text``
    never has them.
    """
    if hypothesis == reference:  # frequent, and 20 times as quick
        return Edits(0, len(reference.split()))
    found = jiwer.process_words(reference, hypothesis, _WORDS, _WORDS)
    changed = found.substitutions + found.deletions
    return Edits(changed + found.insertions, changed + found.hits)


def character_edits(hypothesis: str, *, reference: str) -> Edits:
    """Edits between the characters, spaces between words included, outer ones not.

    Without jiwer, which aligns every character: scoring would take more than twice as long.
    """
    characters = reference.strip()
    return Edits(Levenshtein.distance(hypothesis.strip(), characters), len(characters))


def rejoin_apostrophes(text: str) -> str:
    """NER text turned back into ASR text: ``eu 's`` becomes ``eu's``.

    The NER form splits at apostrophes and the ASR form does not, so the two have different words.
    """
    return text.replace(" '", "'")
