"""Sentences that mean nothing: English words in random order, for pre-training an encoder.

Words are drawn by their frequency in real English (wordfreq, doi:10.5281/zenodo.7199437),
flattened so that rare words are heard too.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from slue_ner.data.synthesis.grammar import Sentence

RANDOM_WORDS = "words"
"""The preset's name."""

NUM_WORDS = 20_000
"""Word types, the most frequent ones."""

LENGTHS = (2, 14)
"""Words a sentence, shortest and longest."""

_FLATTENING = 0.5


def write_random_sentences(
    num_sentences: Mapping[str, int], *, seed: int, max_words: int | None = None
) -> dict[str, list[Sentence]]:
    """Random words for every split, without entities.

    Args:
        num_sentences: how many per split.
        seed: the same arguments give the same sentences.
        max_words: longest sentence in words.

    Raises:
        ValueError: when ``wordfreq`` is not installed.
    """
    try:
        from wordfreq import get_frequency_dict
    except ImportError as error:
        raise ValueError(
            "preset words needs the word list of wordfreq; run `pip install slue-ner[synth]`"
        ) from error
    frequencies = get_frequency_dict("en")
    words = [word for word in frequencies if word.replace("'", "").isalpha() and word.isascii()]
    words = sorted(words, key=lambda word: (-frequencies[word], word))[:NUM_WORDS]
    weights = [frequencies[word] ** _FLATTENING for word in words]
    shortest, longest = LENGTHS
    if max_words is not None:
        longest = max(shortest, max_words)
    written = {}
    for split, count in num_sentences.items():
        generator = random.Random(f"words {seed} {split}")
        written[split] = [
            Sentence(
                " ".join(generator.choices(words, weights, k=generator.randint(shortest, longest))),
                (),
            )
            for _ in range(count)
        ]
    return written
