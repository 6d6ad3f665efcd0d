"""Token spans as words and entities with times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from slue_ner.core.labels import LabelSet
from slue_ner.core.time import FrameGrid
from slue_ner.core.types import EntitySpan, Prediction, TokenSpan, Word
from slue_ner.text.markup import DELIMITER, Transcript, read_tagged


def to_prediction(
    id: str,
    tokens: tuple[TokenSpan, ...],
    *,
    labels: LabelSet | None,
    grid: FrameGrid,
    num_frames: int,
) -> Prediction:
    """Read decoded tokens as a transcript with entities.

    A word lasts from its first letter's first frame to its last letter's last frame, and an
    entity from its first word to its last. The score of a word or an entity is the geometric
    mean of its tokens' scores, the marks of an entity included.

    Args:
        id: utterance id.
        tokens: decoded symbols in order.
        labels: the label set of the marks; ``None`` for plain ASR, which yields no entities.
        grid: frames to seconds.
        num_frames: frames of the utterance.
    """
    runs = _word_runs(tokens)
    tagged = ["".join(token.symbol for token in run) for run in runs]
    transcript = (
        read_tagged(tagged, labels)
        if labels is not None
        else Transcript(tuple(tagged), (), tuple(range(len(tagged))), (), 0)
    )
    words = tuple(
        _word(text, runs[source], grid)
        for text, source in zip(transcript.words, transcript.sources, strict=True)
    )
    entities = tuple(
        _timed(entity, words, [token for run in runs[first : last + 1] for token in run])
        for entity, (first, last) in zip(
            transcript.entities, transcript.entity_sources, strict=True
        )
    )
    return Prediction(
        id=id,
        text=" ".join(transcript.words),
        frame_seconds=grid.frame_seconds,
        num_frames=num_frames,
        entities=entities,
        words=words,
        tokens=tokens,
        num_repairs=transcript.num_repairs,
    )


def _word_runs(tokens: Sequence[TokenSpan]) -> list[list[TokenSpan]]:
    runs: list[list[TokenSpan]] = [[]]
    for token in tokens:
        if token.symbol == DELIMITER:
            runs.append([])
        else:
            runs[-1].append(token)
    return [run for run in runs if run]


def _word(text: str, run: Sequence[TokenSpan], grid: FrameGrid) -> Word:
    span = grid.span(run[0].first, run[-1].last)
    return Word(text, span.start, span.end, score=_score(run))


def _timed(entity: EntitySpan, words: Sequence[Word], tokens: Sequence[TokenSpan]) -> EntitySpan:
    assert entity.words is not None
    first, last = entity.words
    return replace(entity, start=words[first].start, end=words[last - 1].end, score=_score(tokens))


def _score(tokens: Sequence[TokenSpan]) -> float:
    return math.exp(sum(math.log(max(token.score, 1e-30)) for token in tokens) / len(tokens))
