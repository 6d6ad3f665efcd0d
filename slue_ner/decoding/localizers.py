"""When entities were spoken, worked out again from a prediction's tokens, without the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from slue_ner.core.labels import COMBINED, LABEL_SETS, LabelSet
from slue_ner.core.suggest import nearest
from slue_ner.core.time import FrameGrid, Seconds
from slue_ner.core.types import EntitySpan, Prediction, TokenSpan, Word
from slue_ner.decoding.transcript import read_tokens
from slue_ner.text.markup import DELIMITER

WORDS = "words"
TYPE_SYMBOLS = "type_symbols"
KINDS = (WORDS, TYPE_SYMBOLS)

_DROPPED = frozenset(".,!?;'")
"""What SLUE's NER form drops from the words of a recogniser that writes it."""

_MAX_SAMPLE_RATE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalizerOptions:
    """How entities get their times; the defaults are those that decoding gives, to 10 ms.

    Attributes:
        kind: ``words`` (from an entity's first word to its last) or ``type_symbols`` (from its
            type symbol to its ``]``).
        with_blanks: reach over the blanks at both ends; see ``localize``.
        offset: added to the start and the end of every entity, to neither end of a word.
    """

    kind: str = WORDS
    with_blanks: bool = False
    offset: Seconds = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"localizer kind {self.kind!r} is unknown; {nearest(self.kind, KINDS)}"
            )
        if not math.isfinite(self.offset):
            raise ValueError(f"the localizer's offset should be in seconds, got {self.offset}")


def localize(
    prediction: Prediction, options: LocalizerOptions, labels: LabelSet | None
) -> Prediction:
    """Give the words and entities of a prediction their times anew.

    A word lasts from its first letter to its last or, with ``with_blanks``, from the end of the
    ``|`` before it (or the first frame) to the start of the ``|`` after it (or the last frame).
    Where one recognised word was split in text (``eu's``), what follows the first piece is an
    instant at the word's end. An entity lasts, before its offset (see ``shift``), with

    - ``words``: from the start of its first word to the end of its last;
    - ``type_symbols``: from its first letter to the ``|`` before its ``]`` or, with
      ``with_blanks``, from the start of its type symbol to the end of its ``]``.

    These are slue-toolkit's rules for a cascade and for an end-to-end model. Its
    reader of type symbols takes marks that are glued to letters, and with ``with_blanks``
    entities without letters; here an entity is one that ``read_tagged`` reported, and what that
    repaired (an entity left open or empty, a stray ``]``) has no time because it is no entity.

    Without tokens the words keep the times they have, and entities follow them. An entity
    without a range of words (a frame head's) and a prediction without words stay as they are.
    Earlier times of entities play no role, so localizing twice is localizing once.

    Args:
        prediction: with ``tokens``, unless the options are ``words`` without blanks.
        options: the rule.
        labels: the set whose marks are among the tokens, see ``marks_of``; ``None`` when there
            are none, as in a cascade.

    Raises:
        ValueError: naming the prediction that lacks what the rule needs.
    """
    if prediction.error is not None or not prediction.words:
        return prediction
    if prediction.tokens is not None:
        found = _from_tokens(prediction, prediction.tokens, options, labels)
    elif options.kind == WORDS and not options.with_blanks:
        found = _from_words(prediction)
    else:
        raise ValueError(
            f"prediction {prediction.id} has no tokens, so its entities can only be localized "
            "with kind words and with_blanks false"
        )
    return shift(found, options.offset)


def shift(prediction: Prediction, offset: Seconds) -> Prediction:
    """Shift both ends of the entities that have a range of words, as slue-toolkit does.

    It rounds to 10 ms, adds the offset, cuts at 0 and rounds to 10 ms again. The last digit
    decides the bin that its scorer truncates a time to: 0.03 - 0.02 is 0.009999999999999998, of
    bin 0, and rounded 0.01, of bin 1. Times of words are neither rounded nor shifted.
    """
    return _with_entities(prediction, lambda entity: _shifted(entity, offset))


def marks_of(predictions: Iterable[Prediction]) -> LabelSet | None:
    """The label set in whose marks the entities of all predictions were decoded.

    A predictions file does not say it, and the sets share their symbols. The tokens tell: read
    in the right set, they give back the words and entities beside them.

    Returns:
        The set; ``None`` when neither reads back, as in a cascade.
    """
    sets = (COMBINED, *(known for known in LABEL_SETS.values() if known is not COMBINED))
    decoded = [p for p in predictions if p.tokens is not None and p.error is None]
    return next(
        (labels for labels in sets if all(_reads_back(p, labels) for p in decoded)),
        None,
    )


def _reads_back(prediction: Prediction, labels: LabelSet) -> bool:
    _, transcript = read_tokens(prediction.tokens or (), labels)
    there = [(entity.label, entity.words) for entity in prediction.entities or ()]
    return transcript.words == tuple(word.text for word in prediction.words or ()) and there == [
        (entity.label, entity.words) for entity in transcript.entities
    ]


def _from_words(prediction: Prediction) -> Prediction:
    words = prediction.words or ()
    return _with_entities(prediction, lambda entity: _over_words(entity, words))


def _with_entities(
    prediction: Prediction, change: Callable[[EntitySpan], EntitySpan]
) -> Prediction:
    """The prediction with every entity changed, if it has any."""
    if prediction.entities is None:
        return prediction
    return replace(prediction, entities=tuple(change(e) for e in prediction.entities))


def _from_tokens(
    prediction: Prediction,
    tokens: Sequence[TokenSpan],
    options: LocalizerOptions,
    labels: LabelSet | None,
) -> Prediction:
    grid = _grid(prediction)
    runs, transcript = read_tokens(tokens, labels)
    frames = [
        _word_frames(tokens, runs[source], prediction.num_frames, with_blanks=options.with_blanks)
        for source in transcript.sources
    ]
    pieces = _piece_frames(prediction, transcript.words, frames)
    words = tuple(
        replace(word, start=span.start, end=span.end)
        for word, span in zip(
            prediction.words or (), (grid.span(*piece) for piece in pieces), strict=True
        )
    )
    found = _from_words(replace(prediction, words=words))
    if options.kind == WORDS:
        return found
    between = {
        entity.words: _mark_frames(tokens, runs[first], runs[last], with_blanks=options.with_blanks)
        for entity, (first, last) in zip(
            transcript.entities, transcript.entity_sources, strict=True
        )
    }
    return _with_entities(found, lambda entity: _at_marks(entity, between, found, grid))


def _word_frames(
    tokens: Sequence[TokenSpan], run: tuple[int, int], num_frames: int | None, *, with_blanks: bool
) -> tuple[int, int]:
    """Frames of the word that is tokens ``run``; what is beside a word is a ``|`` or nothing."""
    first, last = run
    if not with_blanks:
        return tokens[first].first, tokens[last - 1].last
    start = tokens[first - 1].last if first else 0
    if last < len(tokens):
        return start, tokens[last].first
    return start, max(num_frames or 0, tokens[-1].last)


def _mark_frames(
    tokens: Sequence[TokenSpan],
    type_run: tuple[int, int],
    end_run: tuple[int, int],
    *,
    with_blanks: bool,
) -> tuple[int, int]:
    """Frames of the entity between two marks, each a word of one token with ``|`` beside it."""
    type_symbol, end_symbol = type_run[0], end_run[0]
    if with_blanks:
        return tokens[type_symbol].first, tokens[end_symbol].last
    letters = (token for token in tokens[type_symbol + 1 :] if token.symbol != DELIMITER)
    return next(letters).first, tokens[end_symbol - 1].first


def _piece_frames(
    prediction: Prediction, spoken: Sequence[str], frames: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Frames of the words of a prediction, each a recognised word or a piece of one."""
    texts = [word.text for word in prediction.words or ()]
    pieces: list[tuple[int, int]] = []
    for whole, (first, last) in zip(spoken, frames, strict=True):
        rest, start = whole, first
        while rest:
            text = texts[len(pieces)] if len(pieces) < len(texts) else ""
            if text and rest.startswith(text):
                pieces.append((start, last))
                rest, start = rest[len(text) :], last
            elif rest[0] in _DROPPED:
                rest = rest[1:]
            else:
                raise _no_match(prediction, whole)
    if len(pieces) < len(texts):
        raise _no_match(prediction, texts[len(pieces)])
    return pieces


def _no_match(prediction: Prediction, word: str) -> ValueError:
    return ValueError(
        f"prediction {prediction.id}: words and tokens differ at {word!r}, so its times cannot be "
        "worked out again; predict it again"
    )


def _over_words(entity: EntitySpan, words: Sequence[Word]) -> EntitySpan:
    if not _has_words(entity):
        return entity
    assert entity.words is not None
    first, last = entity.words
    return replace(entity, start=words[first].start, end=words[last - 1].end)


def _at_marks(
    entity: EntitySpan,
    between: dict[tuple[int, int] | None, tuple[int, int]],
    prediction: Prediction,
    grid: FrameGrid,
) -> EntitySpan:
    if not _has_words(entity):
        return entity
    if entity.words not in between:
        raise ValueError(
            f"prediction {prediction.id}: entity {entity.phrase!r} was not found by type symbols; "
            "localize it with kind words"
        )
    span = grid.span(*between[entity.words])
    return replace(entity, start=span.start, end=span.end)


def _shifted(entity: EntitySpan, offset: Seconds) -> EntitySpan:
    if entity.start is None or entity.end is None or not _has_words(entity):
        return entity
    start, end = (round(max(0.0, round(t, 2) + offset), 2) for t in (entity.start, entity.end))
    return replace(entity, start=start, end=end)


def _has_words(entity: EntitySpan) -> bool:
    return entity.words is not None and entity.words[0] < entity.words[1]


def _grid(prediction: Prediction) -> FrameGrid:
    """The grid of the tokens: the one fraction of whole samples that is this many seconds."""
    if not prediction.frame_seconds or prediction.frame_seconds < 0:
        raise ValueError(
            f"prediction {prediction.id} has tokens but no frame_seconds; predict it again"
        )
    exact = Fraction(prediction.frame_seconds).limit_denominator(_MAX_SAMPLE_RATE)
    return FrameGrid(hop=exact.numerator, window=exact.numerator, sample_rate=exact.denominator)
