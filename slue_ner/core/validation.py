"""Checks at the border: what a record promises about itself, with the numbers in the message."""

from __future__ import annotations

from itertools import pairwise

from slue_ner.core.time import Seconds
from slue_ner.core.types import Prediction, Utterance, Word

TIME_SLACK: Seconds = 0.02
"""An alignment may run past the audio by a frame: aligners round up to their own grid."""


def check_utterance(utterance: Utterance) -> None:
    """Check that positions, phrases and times of an utterance fit together.

    Raises:
        ValueError: naming the utterance and the numbers that do not fit.
    """
    where = f"utterance {utterance.id}"
    if not utterance.id:
        raise ValueError("an utterance needs a non-empty id")
    if isinstance(utterance.sample_rate, bool) or not isinstance(utterance.sample_rate, int):
        raise ValueError(f"{where}: sample_rate {utterance.sample_rate!r} is not a whole number")
    if utterance.sample_rate <= 0:
        raise ValueError(f"{where}: sample_rate {utterance.sample_rate} must be positive")
    if utterance.num_samples is not None and utterance.num_samples < 0:
        raise ValueError(f"{where}: num_samples {utterance.num_samples} must not be negative")
    if utterance.audio is not None and utterance.num_samples is None:
        raise ValueError(f"{where}: has audio but no num_samples; run `slue-ner prepare` again")
    _check_entities(utterance, where)
    limit = None if utterance.num_samples is None else utterance.duration
    for kind, words in (("word", utterance.words), ("phone", utterance.phones)):
        if words is not None:
            _check_order(words, where, kind, limit)


def check_prediction(prediction: Prediction) -> None:
    """Check that word ranges and token frames of a prediction exist.

    Raises:
        ValueError: naming the prediction and the numbers that do not fit.
    """
    where = f"prediction {prediction.id}"
    num_words = None if prediction.words is None else len(prediction.words)
    if prediction.num_repairs < 0:
        raise ValueError(f"{where}: num_repairs {prediction.num_repairs} must not be negative")
    for entity in prediction.entities or ():
        if entity.words is not None and num_words is not None:
            first, last = entity.words
            if not 0 <= first <= last <= num_words:
                raise ValueError(
                    f"{where}: entity {entity.phrase!r} covers words [{first}, {last}) "
                    f"but there are {num_words}"
                )
    for token in prediction.tokens or ():
        if not 0 <= token.first < token.last:
            raise ValueError(
                f"{where}: token {token.symbol!r} covers frames [{token.first}, {token.last})"
            )


def _check_entities(utterance: Utterance, where: str) -> None:
    text = utterance.text
    spans: list[tuple[int, int, str]] = []
    for entity in utterance.entities:
        name = f"entity {entity.label} {entity.phrase!r}"
        if entity.label is None or entity.phrase is None:
            raise ValueError(f"{where}: {name} needs a label and a phrase in a manifest")
        if entity.start_char is None or entity.end_char is None:
            raise ValueError(f"{where}: {name} needs start_char and end_char in a manifest")
        start, end = entity.start_char, entity.end_char
        if not 0 <= start < end <= len(text):
            raise ValueError(
                f"{where}: {name} covers characters [{start}, {end}) "
                f"but the text has {len(text)} characters"
            )
        if text[start:end] != entity.phrase:
            raise ValueError(
                f"{where}: {name} is not what the text has at [{start}, {end}): {text[start:end]!r}"
            )
        if not covers_whole_words(text, start, end):
            raise ValueError(f"{where}: {name} does not cover whole words at [{start}, {end})")
        if entity.end is not None and utterance.num_samples is not None:
            _check_end(entity.end, utterance.duration, f"{where}: {name}")
        if entity.words is not None:
            _check_word_range(utterance.words, entity.words, f"{where}: {name}")
        spans.append((start, end, name))
    spans.sort()
    for (_, end, name), (start, _, other) in pairwise(spans):
        if start < end:
            raise ValueError(f"{where}: {name} and {other} overlap at character {start}")


def covers_whole_words(text: str, start: int, end: int) -> bool:
    """An entity that cuts a word could not be written as a tagged transcript."""
    padded = f" {text} "
    inside = text[start:end]
    return padded[start] == padded[end + 1] == " " and inside == inside.strip()


def _check_word_range(
    words: tuple[Word, ...] | None, word_range: tuple[int, int], where: str
) -> None:
    first, last = word_range
    num_words = 0 if words is None else len(words)
    if not 0 <= first < last <= num_words:
        raise ValueError(f"{where} covers words [{first}, {last}) but there are {num_words}")


def _check_order(words: tuple[Word, ...], where: str, kind: str, limit: Seconds | None) -> None:
    previous = 0.0
    for word in words:
        if word.start < previous - 1e-6:
            raise ValueError(
                f"{where}: {kind} {word.text!r} starts at {word.start:.3f}s, "
                f"before the previous one ends at {previous:.3f}s"
            )
        previous = word.end
        if limit is not None:
            _check_end(word.end, limit, f"{where}: {kind} {word.text!r}")


def _check_end(end: Seconds, limit: Seconds, where: str) -> None:
    if end > limit + TIME_SLACK:
        raise ValueError(f"{where} ends at {end:.2f}s but the audio lasts {limit:.2f}s")
