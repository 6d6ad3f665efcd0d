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
    entity from its first word to its last (``localize`` knows other rules). The score of a word
    or an entity is the geometric mean of its tokens' scores, the marks of an entity included.

    Args:
        id: utterance id.
        tokens: decoded symbols in order.
        labels: the label set of the marks; ``None`` for plain ASR, whose entities are ``None``.
        grid: frames to seconds.
        num_frames: frames of the utterance.
    """
    runs, transcript = read_tokens(tokens, labels)
    words = tuple(
        _word(text, tokens[slice(*runs[source])], grid)
        for text, source in zip(transcript.words, transcript.sources, strict=True)
    )
    entities = tuple(
        _timed(entity, words, _letters_and_marks(tokens[runs[first][0] : runs[last][1]]))
        for entity, (first, last) in zip(
            transcript.entities, transcript.entity_sources, strict=True
        )
    )
    return Prediction(
        id=id,
        text=" ".join(transcript.words),
        frame_seconds=grid.frame_seconds,
        num_frames=num_frames,
        entities=None if labels is None else entities,
        words=words,
        tokens=tokens,
        num_repairs=transcript.num_repairs,
    )


def read_tokens(
    tokens: Sequence[TokenSpan], labels: LabelSet | None
) -> tuple[list[tuple[int, int]], Transcript]:
    """Read decoded tokens as tagged words.

    Args:
        tokens: decoded symbols in order.
        labels: the label set of the marks; ``None`` when every word is a spoken one.

    Returns:
        The tokens ``[first, last)`` of each tagged word, and what the tagged words say;
        ``sources`` and ``entity_sources`` of the transcript index the former.
    """
    runs: list[tuple[int, int]] = []
    first = 0
    for index, token in enumerate(tokens):
        if token.symbol == DELIMITER:
            runs.append((first, index))
            first = index + 1
    runs.append((first, len(tokens)))
    runs = [(first, last) for first, last in runs if first < last]
    tagged = ["".join(token.symbol for token in tokens[slice(*run)]) for run in runs]
    if labels is not None:
        return runs, read_tagged(tagged, labels)
    return runs, Transcript(tuple(tagged), (), tuple(range(len(tagged))), (), 0)


def with_marks_apart(tokens: Sequence[TokenSpan], labels: LabelSet) -> tuple[TokenSpan, ...]:
    """The tokens with ``|`` on either side of every mark of ``labels``, where there was none.

    A mark that is glued to letters (``rossi]``) is read as letters otherwise, as the official
    scorer does. The new ``|`` fill the frames of the mark.
    """
    apart: list[TokenSpan] = []
    for i, token in enumerate(tokens):
        is_mark = token.symbol in labels.marks
        between = replace(token, symbol=DELIMITER)
        if is_mark and apart and apart[-1].symbol != DELIMITER:
            apart.append(between)
        apart.append(token)
        if is_mark and i + 1 < len(tokens) and tokens[i + 1].symbol != DELIMITER:
            apart.append(between)
    return tuple(apart)


def _word(text: str, run: Sequence[TokenSpan], grid: FrameGrid) -> Word:
    span = grid.span(run[0].first, run[-1].last)
    return Word(text, span.start, span.end, score=_score(run))


def _timed(entity: EntitySpan, words: Sequence[Word], tokens: Sequence[TokenSpan]) -> EntitySpan:
    assert entity.words is not None
    first, last = entity.words
    return replace(entity, start=words[first].start, end=words[last - 1].end, score=_score(tokens))


def _letters_and_marks(tokens: Sequence[TokenSpan]) -> list[TokenSpan]:
    return [token for token in tokens if token.symbol != DELIMITER]


def _score(tokens: Sequence[TokenSpan]) -> float:
    return math.exp(sum(math.log(max(token.score, 1e-30)) for token in tokens) / len(tokens))
