"""The cascade: what a recogniser wrote, with the entities that text NER finds in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from slue_ner.core.labels import COMBINED, LabelSet
from slue_ner.core.types import EntitySpan, Prediction, Utterance, Word
from slue_ner.tasks.tagging import WordTagger, tag_words
from slue_ner.text.apostrophes import match_words, split_possessive, split_possessives

Progress = Callable[[int, int], None]


def cascade(
    predictions: Sequence[Prediction],
    tagger: WordTagger,
    *,
    labels: LabelSet = COMBINED,
    batch_size: int = 32,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> list[Prediction]:
    """Find entities in recognised words.

    A possessive ``'s`` becomes a word of its own, as in the text that taggers are trained on,
    and lasts an instant; nothing else is normalised. An entity lasts from the start of its first
    word to the end of its last; without word times it has none. Entities that the recogniser
    brought along are replaced; its tokens stay, so that words can be localized again.

    Args:
        predictions: of a recogniser.
        tagger: text NER.
        labels: what entities are called in the result.
        batch_size: sentences a batch; changes speed and memory, not results.
        device: where to run; spaCy stays on the CPU.
        progress: called with utterances done and in all.

    Returns:
        One prediction each, in the same order; one with an error, or without words, has no
        entities.

    Raises:
        ValueError: naming a prediction whose words do not spell its text, or are out of order.
    """
    read = [_split(prediction) for prediction in predictions]
    found = tag_words(
        tagger,
        [[] if prediction.error else prediction.text.split() for prediction in read],
        labels=labels,
        batch_size=batch_size,
        device=device,
        progress=progress,
    )
    return [
        replace(prediction, entities=placed(entities, prediction.words))
        for prediction, entities in zip(read, found, strict=True)
    ]


def gold_text(
    utterances: Sequence[Utterance],
    tagger: WordTagger,
    *,
    labels: LabelSet = COMBINED,
    batch_size: int = 32,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> list[Prediction]:
    """Find entities in what was really said: the topline, and the oracle of localization.

    Where the manifest has word times, words and entities get them; where these words do not
    spell the text (after cutting them where the text is cut, ``eu's`` into ``eu`` and ``'s``),
    there are no times.

    Args:
        utterances: their ``text`` is read; their entities are not.
        tagger: text NER.
        labels: what entities are called in the result.
        batch_size: sentences a batch; changes speed and memory, not results.
        device: where to run; spaCy stays on the CPU.
        progress: called with utterances done and in all.
    """
    found = tag_words(
        tagger,
        [utterance.text.split() for utterance in utterances],
        labels=labels,
        batch_size=batch_size,
        device=device,
        progress=progress,
    )
    predictions: list[Prediction] = []
    for utterance, entities in zip(utterances, found, strict=True):
        words = None
        if utterance.words is not None:
            words = match_words(utterance.words, utterance.text.split())
        predictions.append(
            Prediction(
                id=utterance.id,
                text=utterance.text,
                entities=placed(entities, words),
                words=words,
            )
        )
    return predictions


def placed(entities: Sequence[EntitySpan], words: Sequence[Word] | None) -> tuple[EntitySpan, ...]:
    """Entities over spoken words as entities over a record's words, with their times.

    Args:
        entities: their ``words`` count no silences.
        words: of the record, silences included; ``None`` leaves the entities as they are.
    """
    if words is None:
        return tuple(entities)
    spoken = [index for index, word in enumerate(words) if word.text]
    timed: list[EntitySpan] = []
    for entity in entities:
        assert entity.words is not None
        first, last = spoken[entity.words[0]], spoken[entity.words[1] - 1]
        start, end = words[first].start, words[last].end
        timed.append(replace(entity, words=(first, last + 1), start=start, end=end))
    return tuple(timed)


def _split(prediction: Prediction) -> Prediction:
    """A recogniser's prediction with possessives split off and no entities."""
    if prediction.words is None:
        pieces = [piece for word in prediction.text.split() for piece in split_possessive(word)]
        return replace(prediction, text=" ".join(pieces), entities=())
    spoken = [word.text for word in prediction.words if word.text]
    if spoken != prediction.text.split():
        raise ValueError(
            f"prediction {prediction.id}: its words are {spoken} but its text is "
            f"{prediction.text!r}; give every word of the text an entry of its own, or words: null "
            "where times are not known"
        )
    starts = [word.start for word in prediction.words]
    if starts != sorted(starts):
        raise ValueError(
            f"prediction {prediction.id}: its words are not in the order in which they start"
        )
    words = split_possessives(prediction.words)
    text = " ".join(word.text for word in words if word.text)
    return replace(prediction, text=text, words=words, entities=())
