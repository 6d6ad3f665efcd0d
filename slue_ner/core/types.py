"""The records that flow through the whole program: one utterance, one prediction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from slue_ner.core.labels import check_label
from slue_ner.core.time import Seconds, TimeSpan

Progress = Callable[[int, int], None]
"""What long work calls with how many are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word (or a phone) and when it was spoken; text ``""`` is a silence.

    Attributes:
        estimated: the times are a guess; such a word is left out of NEL scoring.
        score: confidence in [0, 1], of a prediction or an aligner.
    """

    text: str
    start: Seconds
    end: Seconds
    estimated: bool = False
    score: float | None = None

    def __post_init__(self) -> None:
        TimeSpan(self.start, self.end)


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """A decoded CTC symbol that fills frames ``[first, last)``, with its confidence in [0, 1]."""

    symbol: str
    first: int
    last: int
    score: float


@dataclass(frozen=True, slots=True)
class EntitySpan:
    """A named entity. ``None`` means "not known", never "none".

    Attributes:
        label: entity type; ``None`` from a binary frame head.
        phrase: its words joined by single spaces.
        start_char, end_char: ``[start, end)`` in the utterance's ``text`` (references).
        words: ``[first, last)`` in the ``words`` of its own record.
        start, end: seconds.
        score: confidence in [0, 1] (predictions).
    """

    label: str | None
    phrase: str | None
    start_char: int | None = None
    end_char: int | None = None
    words: tuple[int, int] | None = None
    start: Seconds | None = None
    end: Seconds | None = None
    score: float | None = None

    def __post_init__(self) -> None:
        if self.label is not None:
            check_label(self.label)
        if (self.start is None) != (self.end is None):
            raise ValueError(
                f"entity {self.label!r} has start={self.start} and end={self.end}; "
                "give both or neither"
            )
        if self.start is not None and self.end is not None:
            TimeSpan(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of a manifest: audio, what was said, and the entities in it.

    Attributes:
        audio: file, relative to the manifest on disk and absolute once read; ``None`` for text.
        num_samples: length at ``sample_rate``, as found in the file.
        text: the transcript in SLUE's NER form; every position indexes it.
        asr_text: the transcript in SLUE's ASR form.
        raw_text: the transcript as published.
        words, phones: with times, silences included; ``None`` without an alignment.
    """

    id: str
    split: str
    audio: Path | None
    num_samples: int | None
    sample_rate: int
    text: str
    speaker: str | None = None
    asr_text: str | None = None
    raw_text: str | None = None
    words: tuple[Word, ...] | None = None
    phones: tuple[Word, ...] | None = None
    entities: tuple[EntitySpan, ...] = ()

    @property
    def duration(self) -> Seconds:
        """Length of the audio; 0 when there is none."""
        return (self.num_samples or 0) / self.sample_rate


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a system says about one utterance; the only thing a scorer sees.

    Attributes:
        frame_seconds, num_frames: the frame grid of ``tokens``.
        entities: ``None`` from a system that was not asked for any, such as a plain recogniser.
        tokens: decoded CTC symbols, so that entities can be localized again later.
        num_repairs: malformed tags that the reader of the tagged string repaired.
        error: why there is no prediction; the utterance then scores as missed.
    """

    id: str
    text: str
    frame_seconds: Seconds | None = None
    num_frames: int | None = None
    entities: tuple[EntitySpan, ...] | None = ()
    words: tuple[Word, ...] | None = None
    tokens: tuple[TokenSpan, ...] | None = None
    num_repairs: int = 0
    error: str | None = None
