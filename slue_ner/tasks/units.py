"""What an encoder is pre-trained to write and to guess, and on which utterances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slue_ner.core.time import FrameGrid, Seconds
from slue_ner.core.types import Utterance
from slue_ner.decoding.ctc import min_frames
from slue_ner.text.marks import survives
from slue_ner.text.markup import DELIMITER, to_symbols
from slue_ner.text.vocabulary import BLANK, UNKNOWN, Vocabulary


@dataclass(kw_only=True)
class PretrainOptions:
    """How an encoder is pre-trained.

    Attributes:
        objective: ``masked`` (guess the clusters of hidden frames, as HuBERT does),
            ``supervised`` (CTC on units) or ``both`` (their sum; utterances without units take
            part in the first only). How much is hidden is the encoder's own
            ``mask_time_prob`` and ``mask_time_length``.
        units: what CTC writes: ``letters`` of the transcript or ``phones`` of the manifest.
        num_clusters: classes of masked prediction.
        teacher: encoder (folder or hub id) whose states are clustered; ``None`` for MFCCs.
        teacher_layer: which of its states; ``None`` for the one with the highest phone purity.
        fit_frames: frames of training audio that the clusters are fitted on.
    """

    objective: str
    units: str
    num_clusters: int
    teacher: str | None
    teacher_layer: int | None
    fit_frames: int

    def __post_init__(self) -> None:
        if self.objective not in ("masked", "supervised", "both"):
            raise ValueError(
                f"task.objective={self.objective!r} should be masked, supervised or both"
            )
        if self.units not in ("letters", "phones"):
            raise ValueError(f"task.units={self.units!r} should be letters or phones")
        if self.num_clusters < 2 or self.fit_frames < self.num_clusters:
            raise ValueError(
                f"task.num_clusters={self.num_clusters} needs at least 2 clusters and as many "
                f"frames to fit them on, task.fit_frames={self.fit_frames}"
            )
        if self.teacher is None and self.teacher_layer is not None:
            raise ValueError("task.teacher_layer needs a task.teacher; MFCCs have no layers")

    @property
    def guesses_clusters(self) -> bool:
        """Whether frames are hidden and their clusters guessed."""
        return self.objective != "supervised"

    @property
    def writes_units(self) -> bool:
        """Whether there is a CTC head."""
        return self.objective != "masked"


def units(utterance: Utterance, kind: str) -> list[str]:
    """The units an utterance says; none when they are not known, or hold the end of a word.

    Args:
        utterance: with a transcript or phones.
        kind: ``letters`` or ``phones``.
    """
    if kind == "letters":
        return to_symbols(utterance.text.split()) if survives(utterance, None) else []
    return [phone.text for phone in utterance.phones or ()]


def unit_vocabulary(utterances: Sequence[Utterance], kind: str) -> Vocabulary:
    """A vocabulary of all units that occur.

    Raises:
        ValueError: when none does.
    """
    found = sorted({unit for utterance in utterances for unit in units(utterance, kind)})
    if not found:
        raise ValueError(
            f"no training utterance has {kind} to learn from; prepare data that has them, or use "
            "task.objective=masked"
        )
    special = (BLANK, UNKNOWN, DELIMITER)
    return Vocabulary((*special, *(unit for unit in found if unit not in special)), None)


def select_for_pretraining(
    utterances: Sequence[Utterance],
    options: PretrainOptions,
    grid: FrameGrid,
    *,
    max_seconds: Seconds | None,
    speed: float,
) -> tuple[list[Utterance], dict[str, list[str]]]:
    """The utterances that can be trained on, and the ids of the others by reason.

    Args:
        utterances: of the training splits.
        options: of the task.
        grid: of the encoder.
        max_seconds: longest audio to train on; ``None`` for any.
        speed: fastest that augmentation may play it.
    """
    kept: list[Utterance] = []
    left_out: dict[str, list[str]] = {}
    for utterance in utterances:
        num_frames = grid.num_frames(int((utterance.num_samples or 0) / speed))
        said = units(utterance, options.units) if options.writes_units else []
        if max_seconds is not None and utterance.duration > max_seconds:
            left_out.setdefault(f"longer than {max_seconds:g} s", []).append(utterance.id)
        elif not num_frames:
            left_out.setdefault("shorter than a frame", []).append(utterance.id)
        elif not said and not options.guesses_clusters:
            left_out.setdefault(f"no {options.units}", []).append(utterance.id)
        elif said and _min_frames(said) > num_frames:
            left_out.setdefault("more units than frames", []).append(utterance.id)
        else:
            kept.append(utterance)
    return kept, left_out


def _min_frames(said: Sequence[str]) -> int:
    numbers = {unit: number for number, unit in enumerate(dict.fromkeys(said))}
    return min_frames([numbers[unit] for unit in said])
