"""What a frame head is trained to say, and which utterances it can be trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from slue_ner.core.labels import label_set
from slue_ner.core.time import FrameGrid, Seconds
from slue_ner.core.types import EntitySpan, Utterance
from slue_ner.decoding.frames import ANY_ENTITY, OUTSIDE
from slue_ner.models.frame_losses import IGNORED
from slue_ner.models.head_blocks import BlockOptions

UNTIMED = "entities without times, run `slue-ner align` first"


@dataclass(kw_only=True)
class FrameOptions:
    """How the frames of an encoder are classified.

    Attributes:
        scheme: ``binary`` (entity or not), ``bio`` (one class a frame: outside, or beginning or
            inside of a type) or ``per_label`` (a binary question a type, so that entities may
            overlap).
        labels: label set, ``combined`` or ``raw``; entities that it drops are no entities, also
            under ``binary``.
        head: what stands between the encoder and the classes.
        gamma: of the focal loss; 0 for plain cross-entropy.
        positive_weight: factor of the loss of entity frames, which are few.
        iou_weight: of the temporal-IoU term; 0 leaves it out.
        ctc_weight: of the CTC loss of a second head on the same frames, which then gives the
            entities their words; 0 for no such head.
        ctc_target: what the second head writes, ``plain`` or ``tagged``.
    """

    scheme: str
    labels: str
    head: BlockOptions
    gamma: float
    positive_weight: float
    iou_weight: float
    ctc_weight: float
    ctc_target: str

    def __post_init__(self) -> None:
        for name, allowed in (
            ("scheme", ("binary", "bio", "per_label")),
            ("labels", ("combined", "raw")),
            ("ctc_target", ("plain", "tagged")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"task.{name}={getattr(self, name)!r} should be {' or '.join(allowed)}"
                )
        for name in ("gamma", "iou_weight", "ctc_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"task.{name}={getattr(self, name)} must not be negative")
        if self.positive_weight <= 0:
            raise ValueError(f"task.positive_weight={self.positive_weight} must be positive")

    @property
    def exclusive(self) -> bool:
        """Whether a frame has one class only."""
        return self.scheme == "bio"

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the classes; those of ``decoding.frames.spans``."""
        if self.scheme == "binary":
            return (ANY_ENTITY,)
        labels = label_set(self.labels).labels
        if self.scheme == "per_label":
            return labels
        return (OUTSIDE, *(f"{tag}-{label}" for label in labels for tag in "BI"))


@dataclass(frozen=True, slots=True)
class FrameTargets:
    """Turns the entity times of an utterance into labels of frames.

    A frame is inside an entity when its centre is, the centre of frame ``i`` being at
    ``(i + 0.5) * frame_seconds``; an entity too short to hold one gets the frame of its middle.
    Frames of words whose times are only estimated are ignored.

    Attributes:
        scheme, labels: as ``FrameOptions``.
        grid: of the encoder.
    """

    scheme: str
    labels: str
    grid: FrameGrid

    def __call__(self, utterance: Utterance, num_samples: int, stretch: float = 1.0) -> Tensor:
        """The labels of an utterance whose entities all have times.

        Args:
            utterance: what was said when.
            num_samples: length of the audio that the encoder hears.
            stretch: that length over the length of the utterance's own audio.

        Returns:
            ``(T,)`` long under ``bio``, else ``(T, C)`` float, as ``models.frame_losses`` reads
            them, with ``T = grid.num_frames(num_samples)``.
        """
        types = {label: k for k, label in enumerate(label_set(self.labels).labels)}
        num_frames = self.grid.num_frames(num_samples)
        present = np.zeros((num_frames, len(types)), dtype=np.float32)
        tags = np.zeros(num_frames, dtype=np.int64)
        for entity in timed_entities(utterance, labels=self.labels):
            first, last = self._inside(entity, stretch)
            k = types[entity.label or ""]
            present[first:last, k] = 1.0
            tags[first : first + 1] = 1 + 2 * k
            tags[first + 1 : last] = 2 + 2 * k
        values = tags if self.scheme == "bio" else present
        if self.scheme == "binary":
            values = present.max(axis=1, keepdims=True)
        for word in utterance.words or ():
            if word.estimated:
                first, last = frames_inside(self.grid, word.start * stretch, word.end * stretch)
                values[first:last] = IGNORED
        return torch.from_numpy(values)

    def _inside(self, entity: EntitySpan, stretch: float) -> tuple[int, int]:
        assert entity.start is not None and entity.end is not None
        start, end = entity.start * stretch, entity.end * stretch
        first, last = frames_inside(self.grid, start, end)
        if first == last:
            first = int((start + end) / 2 / self.grid.frame_seconds)
            last = first + 1
        return first, last


def frames_inside(grid: FrameGrid, start: Seconds, end: Seconds) -> tuple[int, int]:
    """Frames ``[first, last)`` whose centre lies in ``[start, end)``; both equal when none does."""
    scale = grid.sample_rate / grid.hop
    first = max(0, math.ceil(start * scale - 0.5 - 1e-9))
    return first, max(first, math.ceil(end * scale - 0.5 - 1e-9))


def timed_entities(utterance: Utterance, *, labels: str) -> list[EntitySpan]:
    """The entities that the label set has a place for, relabelled, by start.

    Raises:
        ValueError: naming the utterance with a combined label when raw ones are asked for.
    """
    known = label_set(labels)
    kept = []
    for entity in utterance.entities:
        try:
            label = None if entity.label is None else known.convert(entity.label)
        except ValueError as error:
            raise ValueError(f"utterance {utterance.id}: {error}") from error
        if label is not None:
            kept.append(EntitySpan(label, entity.phrase, start=entity.start, end=entity.end))
    return sorted(kept, key=lambda entity: entity.start or 0.0)


def select_timed(
    utterances: Sequence[Utterance],
    grid: FrameGrid,
    *,
    labels: str,
    max_seconds: Seconds | None = None,
    speed: float = 1.0,
) -> tuple[list[Utterance], dict[str, list[str]]]:
    """The utterances whose frames can be labelled, and the ids of the others by reason.

    An utterance without entities shows what is none, if it has a transcript; one whose only
    entities are of types that the label set drops must have word times, as any other.

    Args:
        utterances: of a split.
        grid: of the encoder.
        labels: label set.
        max_seconds: longest audio; ``None`` for any.
        speed: fastest that augmentation may play it.
    """
    kept: list[Utterance] = []
    left_out: dict[str, list[str]] = {}
    for utterance in utterances:
        entities = timed_entities(utterance, labels=labels)
        if not utterance.text:
            left_out.setdefault("no words", []).append(utterance.id)
        elif max_seconds is not None and utterance.duration > max_seconds:
            left_out.setdefault(f"longer than {max_seconds:g} s", []).append(utterance.id)
        elif not grid.num_frames(int((utterance.num_samples or 0) / speed)):
            left_out.setdefault("shorter than a frame", []).append(utterance.id)
        elif any(entity.start is None for entity in entities) or (
            utterance.entities and not entities and utterance.words is None
        ):
            left_out.setdefault(UNTIMED, []).append(utterance.id)
        else:
            kept.append(utterance)
    return kept, left_out
