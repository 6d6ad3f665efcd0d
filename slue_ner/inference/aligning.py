"""Word times by forced alignment: for the text of a manifest, or for what a system predicted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from slue_ner.core.time import FrameGrid, Seconds
from slue_ner.core.types import EntitySpan, Prediction, Progress, Utterance, Word
from slue_ner.decoding.forced_alignment import (
    MOST_COST,
    TimedText,
    estimate_priors,
    mean_score,
    time_text,
)
from slue_ner.inference.emitting import Emitted
from slue_ner.text.vocabulary import Vocabulary

Failures = dict[str, str]
"""Id and reason of every utterance that could not be aligned."""


@dataclass(frozen=True)
class Aligner:
    """Texts and emissions to words with times.

    Attributes:
        vocabulary: symbols of the emissions.
        grid: frames to seconds.
        priors: ``(V,)``, already weighted, to subtract from the emissions; ``None`` for none.
        min_score: an utterance whose words score less on average is not aligned.
        offset: added to all times, within the frames there are. Nothing in CTC training keeps a
            model from emitting letters late (or early) by a constant time.
    """

    vocabulary: Vocabulary
    grid: FrameGrid
    priors: np.ndarray | None = None
    min_score: float = 0.0
    offset: Seconds = 0.0

    def time(self, text: str, log_probs: np.ndarray) -> TimedText:
        """Time the words of a text.

        Raises:
            ValueError: saying why they have no times.
        """
        timed = time_text(text, self.vocabulary, log_probs, self.grid, priors=self.priors)
        if timed.words and (score := mean_score(timed.words)) < self.min_score:
            raise ValueError(f"the words score {score:.3f}, which is below {self.min_score:g}")
        end = self.grid.span(0, len(log_probs)).end
        words = tuple(
            replace(word, start=self._shifted(word.start, end), end=self._shifted(word.end, end))
            for word in timed.words
        )
        return replace(timed, words=words)

    def _shifted(self, time: Seconds, end: Seconds) -> Seconds:
        return min(max(0.0, time + self.offset), end)


def align_utterances(
    utterances: Sequence[Utterance],
    emitted: Emitted,
    aligner: Aligner,
    *,
    progress: Progress | None = None,
    doubt: Callable[[str], None] | None = None,
) -> tuple[list[Utterance], Failures]:
    """Give utterances word times, and their entities the words and times that follow.

    What they had before is replaced. One that cannot be aligned is left without: ``words`` and
    the words and times of its entities become ``None``.

    Args:
        utterances: with text.
        emitted: emissions of all of them.
        aligner: does the work.
        progress: told how far it is.
        doubt: called with the id of each that got times although its text is hardly what was
            heard (``MOST_COST``).

    Returns:
        The utterances in their order, and why some have no times.
    """
    texts = {utterance.id: utterance.text for utterance in utterances}
    times, failures = _align(texts, emitted, aligner, progress, doubt)
    return [_with_words(utterance, times.get(utterance.id)) for utterance in utterances], failures


def align_predictions(
    predictions: Sequence[Prediction],
    emitted: Emitted,
    aligner: Aligner,
    *,
    progress: Progress | None = None,
    doubt: Callable[[str], None] | None = None,
) -> tuple[list[Prediction], Failures]:
    """Give predicted words and entities the times of a forced alignment with their own text.

    A prediction that cannot be aligned keeps its text and entities and loses their times; a failed
    one stays as it is, and so does an entity without words (of a frame head).

    Args:
        predictions: of any system.
        emitted: emissions of all of them.
        aligner: does the work.
        progress: told how far it is.
        doubt: called with the id of each that got times although its text is hardly what was
            heard (``MOST_COST``).

    Returns:
        The predictions in their order, and why some have no times.
    """
    texts = {p.id: p.text for p in predictions if p.error is None}
    times, failures = _align(texts, emitted, aligner, progress, doubt)
    aligned: list[Prediction] = []
    for prediction in predictions:
        if prediction.error is None:
            words = times.get(prediction.id)
            spoken = _spoken(prediction)
            if words is not None and [word.text for word in words] != spoken:
                failures[prediction.id] = "its words are not those of its text"
                words = None
            prediction = _retimed(prediction, words)
        aligned.append(prediction)
    return aligned, failures


def weighted_priors(emitted: Emitted, weight: float) -> np.ndarray:
    """``weight`` times the label priors of a model on a data set; see ``estimate_priors``."""
    return weight * estimate_priors(emitted[id] for id in emitted)


def _align(
    texts: dict[str, str],
    emitted: Emitted,
    aligner: Aligner,
    progress: Progress | None,
    doubt: Callable[[str], None] | None,
) -> tuple[dict[str, tuple[Word, ...]], Failures]:
    times: dict[str, tuple[Word, ...]] = {}
    failures: Failures = {}
    for id in emitted:
        if id not in texts:
            continue
        log_probs = emitted[id]  # damaged ones end the command
        try:
            timed = aligner.time(texts[id], log_probs)
            times[id] = timed.words
            if timed.cost > MOST_COST and doubt is not None:
                doubt(id)
        except ValueError as error:
            failures[id] = str(error)
        if progress is not None:
            progress(len(times) + len(failures), len(texts))
    for id in texts:
        if id not in times and id not in failures:
            failures[id] = emitted.why_not(id)
            if progress is not None:
                progress(len(times) + len(failures), len(texts))
    return times, failures


def _with_words(utterance: Utterance, words: tuple[Word, ...] | None) -> Utterance:
    entities = []
    for entity in utterance.entities:
        place = None
        if words is not None:
            first = len(utterance.text[: entity.start_char].split())
            place = (first, len(utterance.text[: entity.end_char].split()))
        entities.append(_timed(replace(entity, words=place), words))
    return replace(utterance, words=words, entities=tuple(entities))


def _retimed(prediction: Prediction, words: tuple[Word, ...] | None) -> Prediction:
    """The prediction with other times; silences among its words go, so ranges may shift."""
    index = [0]
    for word in prediction.words or ():
        index.append(index[-1] + bool(word.text))
    entities = []
    for entity in prediction.entities or ():
        if entity.words is not None:
            if prediction.words is not None:
                entity = replace(entity, words=(index[entity.words[0]], index[entity.words[1]]))
            entity = _timed(entity, words)
        entities.append(entity)
    # the tokens go, since their frames tell other times
    known = None if prediction.entities is None else tuple(entities)
    return replace(prediction, words=words, tokens=None, entities=known)


def _spoken(prediction: Prediction) -> list[str]:
    if prediction.words is None:
        return prediction.text.split()
    return [word.text for word in prediction.words if word.text]


def _timed(entity: EntitySpan, words: tuple[Word, ...] | None) -> EntitySpan:
    """The entity from its first word's start to its last one's end; no words, no times."""
    if not words or entity.words is None or not entity.words[0] < entity.words[1] <= len(words):
        return replace(entity, start=None, end=None)
    first, last = entity.words
    return replace(entity, start=words[first].start, end=words[last - 1].end)
