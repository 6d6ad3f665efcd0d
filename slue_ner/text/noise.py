"""Spoil written words in the way a recogniser does, entities included but never lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from slue_ner.core.types import EntitySpan

_ALIKE = ("aeiou", "bp", "dt", "ckgq", "fv", "sz", "mn", "lr", "jy", "wu")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def spoil(
    words: Sequence[str],
    entities: Sequence[EntitySpan],
    *,
    noise: float,
    random: np.random.Generator,
) -> tuple[list[str], tuple[EntitySpan, ...]]:
    """Words with letters replaced (mostly by ones that sound alike), left out or put in, or joined.

    Every letter is hit with probability ``noise``, and every gap between two words closes with
    it, but never a gap between two entities. A word keeps at least one letter, so each entity
    is still there, over the words that its own became.

    Args:
        words: of a sentence.
        entities: with ``words`` as ranges of ``words``, none overlapping another.
        noise: probability in [0, 1].
        random: source of randomness.
    """
    owner = [-1] * len(words)
    for number, entity in enumerate(entities):
        assert entity.words is not None
        for index in range(*entity.words):
            owner[index] = number
    spoiled: list[str] = []
    place: list[int] = []  # of each word among the spoiled ones
    last_owner = -1
    for index, word in enumerate(words):
        text = _spoil_letters(word, noise, random)
        apart = -1 not in (last_owner, owner[index]) and last_owner != owner[index]
        if index and not apart and random.random() < noise:
            spoiled[-1] += text
            last_owner = max(last_owner, owner[index])
        else:
            spoiled.append(text)
            last_owner = owner[index]
        place.append(len(spoiled) - 1)
    moved: list[EntitySpan] = []
    for entity in entities:
        assert entity.words is not None
        first, last = place[entity.words[0]], place[entity.words[1] - 1] + 1
        moved.append(replace(entity, words=(first, last), phrase=" ".join(spoiled[first:last])))
    return spoiled, tuple(moved)


def _spoil_letters(word: str, noise: float, random: np.random.Generator) -> str:
    hit = random.random(len(word)) < noise
    if not hit.any():
        return word
    letters: list[str] = []
    for letter, is_hit in zip(word, hit.tolist(), strict=True):
        kind = int(random.integers(3)) if is_hit else -1
        if kind == 0:
            letter = _another(letter, random)
        elif kind == 1:
            letter = ""
        elif kind == 2:
            letter += _another(letter, random)
        letters.append(letter)
    return "".join(letters) or word[0]


def _another(letter: str, random: np.random.Generator) -> str:
    """A letter that sounds like ``letter``, or now and then any other."""
    group = next((group for group in _ALIKE if letter in group), _LETTERS)
    if random.random() < 0.2:
        group = _LETTERS
    choices = group.replace(letter, "")
    return choices[int(random.integers(len(choices)))]
