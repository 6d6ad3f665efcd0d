"""The sentences of a synthetic corpus, names of dev and test kept out of training."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from slue_ner.core.labels import RAW_TO_COMBINED
from slue_ner.data.dataset import SPLITS
from slue_ner.data.grammar import MIN_WORDS, UNSEEN_SHARE, Sentence, SentenceWriter
from slue_ner.data.lexicon import load_lexicon

MAX_WORDS: Mapping[str, int] = {"easy": 9, "wide": 16}
"""Longest sentence of each preset, in words of the NER form."""

_NAME_LABELS = ("PERSON", "PLACE", "ORG", "LAW")


def write_sentences(
    num_sentences: Mapping[str, int],
    *,
    preset: str = "easy",
    seed: int = 0,
    max_words: int | None = None,
) -> dict[str, list[Sentence]]:
    """Sentences for every split; all of them are different.

    At least ``UNSEEN_SHARE`` of the entities of dev and test are names (of persons, places,
    organisations and laws) that no sentence of another split contains. What a split holds does
    not depend on how much the splits after it in the order test, dev, tune, fine-tune ask for.

    Args:
        num_sentences: how many per split.
        preset: ``easy`` (compact vocabulary, short) or ``wide`` (thousands of word types).
        seed: the same arguments give the same sentences.
        max_words: longest sentence in words; the preset's own when ``None``.

    Raises:
        ValueError: for an unknown preset or split, or limits that leave too few sentences.
    """
    lexicon = load_lexicon(preset, seed=seed)
    limit = MAX_WORDS[preset] if max_words is None else max_words
    if limit < MIN_WORDS:
        raise ValueError(f"max_words should be at least {MIN_WORDS}, got {limit}")
    order = tuple(reversed(SPLITS))
    for split, count in num_sentences.items():
        if split not in order:
            raise ValueError(f"unknown split {split!r}; the splits are {', '.join(order)}")
        if count < 0:
            raise ValueError(f"split {split}: the number of sentences is {count}, below 0")
    writer = SentenceWriter(lexicon, limit)
    written = {
        split: writer.write(split, num_sentences[split], random.Random(f"{preset} {seed} {split}"))
        for split in order
        if split in num_sentences
    }
    check_unseen(written)
    return {split: written[split] for split in num_sentences}


def check_unseen(sentences: Mapping[str, Sequence[Sentence]]) -> None:
    """Check what the corpus promises about its dev and test splits.

    Raises:
        ValueError: naming the split, for a sentence that training has too, or too few
            names that training does not have.
    """
    training = [s for split in ("fine-tune", "tune") for s in sentences.get(split, ())]
    known_texts = {sentence.text for sentence in training}
    known_phrases = {
        sentence.text[start : start + length]
        for sentence in training
        for _, start, length in sentence.spans
    }
    for split in ("dev", "test"):
        num_entities = num_unseen = 0
        for sentence in sentences.get(split, ()):
            if sentence.text in known_texts:
                raise ValueError(f"split {split} repeats a training sentence: {sentence.text!r}")
            num_entities += len(sentence.spans)
            num_unseen += sum(
                RAW_TO_COMBINED[label] in _NAME_LABELS
                and sentence.text[start : start + length] not in known_phrases
                for label, start, length in sentence.spans
            )
        if num_unseen < UNSEEN_SHARE * num_entities:
            raise ValueError(
                f"split {split}: {num_unseen} of {num_entities} entities are names unseen in "
                f"training, fewer than {UNSEEN_SHARE:.0%}; write more sentences or try another seed"
            )
