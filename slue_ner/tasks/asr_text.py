"""A recogniser's own output as training text, with the entities of what was really said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slue_ner.core.types import Prediction
from slue_ner.data.loading.text_batch import Sentence
from slue_ner.evaluation.projection import project
from slue_ner.text.apostrophes import split_possessive


@dataclass(frozen=True, slots=True)
class ASRSentences:
    """Recognised sentences with projected entities.

    Attributes:
        sentences: one for every recognised utterance with words; ids end in ``#asr``.
        num_unrecognised: gold sentences without a prediction, or with an empty one.
        num_lost: entities of which the recogniser left out every word.
    """

    sentences: list[Sentence]
    num_unrecognised: int
    num_lost: int


def asr_sentences(gold: Sequence[Sentence], predictions: Sequence[Prediction]) -> ASRSentences:
    """The words of ``predictions`` with the entities of ``gold``, joined by id.

    A recogniser knows the text that it was trained on better than any other, so what it makes
    of the training data has fewer errors than what the cascade will read; predictions by a
    recogniser that has not seen these utterances are better still.

    Args:
        gold: what was said.
        predictions: what was recognised, in any order; those of other utterances are passed over.

    Raises:
        ValueError: when no prediction has the id of a gold sentence.
    """
    recognised = {prediction.id: prediction for prediction in predictions}
    if not any(sentence.id in recognised for sentence in gold):
        raise ValueError(
            f"none of the {len(predictions)} predictions of task.asr_text has the id of a training "
            "utterance; run `slue-ner predict` on the training manifest"
        )
    sentences: list[Sentence] = []
    num_unrecognised = num_lost = 0
    for sentence in gold:
        prediction = recognised.get(sentence.id)
        text = "" if prediction is None or prediction.error else prediction.text
        words = [piece for word in text.split() for piece in split_possessive(word)]
        if not words:
            num_unrecognised += 1
            continue
        entities = project(sentence.entities, reference=sentence.words, hypothesis=words)
        num_lost += len(sentence.entities) - len(entities)
        sentences.append(Sentence(f"{sentence.id}#asr", tuple(words), entities))
    return ASRSentences(sentences, num_unrecognised, num_lost)
