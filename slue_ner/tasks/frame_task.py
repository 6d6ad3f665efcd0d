"""Frame heads: which frames lie in an entity, and how a head learns to tell them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from slue_ner.core.labels import label_set
from slue_ner.core.records import read_manifest
from slue_ner.core.run_files import FRAMES_FILE
from slue_ner.core.time import FrameGrid, Seconds
from slue_ner.core.types import EntitySpan, Prediction, Utterance
from slue_ner.data.corpora.dataset import check_labelled
from slue_ner.data.loading.batch import Batch
from slue_ner.decoding.frame_spans import ANY_ENTITY, OUTSIDE
from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.score import score
from slue_ner.inference.frame_reading import FramePredictor, tune_predictor
from slue_ner.inference.transcribing import transcripts
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.models.frame_model import (
    IGNORED,
    FrameLogits,
    FrameModel,
    claimed_probabilities,
    counted_frames,
    entity_presence,
    entity_probabilities,
    frame_losses,
    overlap_losses,
)
from slue_ner.models.heads import BlockOptions, FrameHead
from slue_ner.models.mixing import build_mixing
from slue_ner.tasks.ctc_task import (
    characters,
    ctc_head,
    ctc_losses,
    select,
    target_ids,
    tunable,
)
from slue_ner.text.vocabulary import Vocabulary
from slue_ner.training.module import SpeechModule
from slue_ner.training.ranks import gather
from slue_ner.training.run_folder import RunFolder
from slue_ner.training.speech import (
    SpeechConfig,
    adapted_encoder,
    built_speech,
    check_heard_at_once,
    limits,
    restored_encoder,
)
from slue_ner.training.task import Built, Task, TrainingData

UNTIMED = "entities without times, run `slue-ner align` first"


@dataclass(kw_only=True)
class FrameClassification(Task):
    """Training of frame heads: every encoder frame is inside an entity, or it is not.

    Attributes:
        scheme: ``binary`` (entity or not), ``bio`` (one class a frame: outside, or beginning or
            inside of a type) or ``per_label`` (a binary question a type, so that entities may
            overlap).
        labels: label set, ``combined``, ``raw`` or one's own; entities that it drops are no
            entities, also under ``binary``.
        head: what stands between the encoder and the classes.
        gamma: of the focal loss; 0 for plain cross-entropy.
        positive_weight: factor of the loss of entity frames, which are few.
        iou_weight: of the temporal-IoU term; 0 leaves it out.
        ctc_weight: of the CTC loss of a second head on the same frames, which then gives the
            entities their words; 0 for no such head.
        ctc_target: what the second head writes, ``plain`` or ``tagged``.
    """

    config_type: ClassVar[type[SpeechConfig]] = SpeechConfig
    instead: ClassVar[str] = "classifies frames; load it as a run of task=frames"

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
        """Names of the classes; those of ``decoding.frame_spans.spans``."""
        if self.scheme == "binary":
            return (ANY_ENTITY,)
        labels = label_set(self.labels).labels
        if self.scheme == "per_label":
            return labels
        return (OUTSIDE, *(f"{tag}-{label}" for label in labels for tag in "BI"))

    def build(self, config: SpeechConfig, data: TrainingData) -> Built:
        """As ``Task.build``."""
        check_labelled(data.train)
        encoder, report = adapted_encoder(config)
        within = limits(config)
        kept, left_out = select_timed(data.train, encoder.grid, labels=self.labels, **within)
        tune, not_tuned = select_timed(data.tune, encoder.grid, labels=self.labels)
        left_out |= {f"on tune, {reason}": ids for reason, ids in not_tuned.items()}
        vocabulary = None
        if self.ctc_weight:
            marks = self.labels if self.ctc_target == "tagged" else None
            vocabulary = data.vocabulary or characters(data.train, marks)
            kept, too_short = select(kept, vocabulary, encoder.grid, **within)
            left_out |= too_short
            tune = tunable(tune, vocabulary, left_out, split=config.data.tune)
        check_heard_at_once(kept, encoder, config)
        for what, split, utterances in (
            ("train", config.data.train, kept),
            ("tune", config.data.tune, tune),
        ):
            if not any(entity.start is not None for u in utterances for entity in u.entities):
                raise ValueError(
                    f"data.{what}={split} has no entity with times; frame heads learn from word "
                    "times, so run `slue-ner align` on the manifest first"
                )
        module = FrameModule(
            _model(config, self, encoder, vocabulary),
            options=self,
            vocabulary=vocabulary,
            report=report,
            optim=config.optim,
            max_updates=config.trainer.max_updates,
            tune=tune,
            num_train=len(kept),
        )
        return built_speech(
            config, module, kept, data.tune, left_out=left_out, vocabulary=vocabulary
        )

    def finish(
        self, config: SpeechConfig, folder: RunFolder, *, device: torch.device, console: Console
    ) -> None:
        """Tune how its frames are read, see ``inference.frame_reading``."""
        tune_predictor(
            self.restore(config, folder),
            read_manifest(config.data.tune_manifest),
            split=config.data.tune,
            path=folder.path / FRAMES_FILE,
            device=device,
            console=console,
        )

    def restore(
        self, config: SpeechConfig, folder: RunFolder, *, weights: str = "best"
    ) -> FramePredictor:
        """As ``Task.restore``."""
        vocabulary = folder.vocabulary() if self.ctc_weight else None
        model = _model(config, self, restored_encoder(config, folder, weights=weights), vocabulary)
        folder.load_into(model, weights=weights, vocabulary=vocabulary)
        return FramePredictor(
            model.eval(),
            vocabulary,
            run_dir=folder.path,
            batch_seconds=config.data.batch_seconds,
        )

    def restore_encoder(
        self, config: SpeechConfig, folder: RunFolder, *, weights: str = "best"
    ) -> SpeechEncoder:
        """As ``Task.restore_encoder``."""
        return self.restore(config, folder, weights=weights).model.encoder


NUM_BINS = 100
"""Thresholds that the frame F1 on tune is computed at: 1 / 100, 2 / 100, ..."""


class FrameModule(SpeechModule):
    """Trains a ``FrameModel``; the best weights are those with the best frame F1 on tune.

    That F1 is over encoder frames, of counts summed over labels (a binary head knows one), at the
    threshold that is best for it: where the threshold lies says more about the loss than about
    the model, and decoding is tuned later.

    Args:
        model: encoder, mixing and heads, already adapted.
        options: losses and their weights.
        vocabulary: of the CTC head; ``None`` without one.
        common: as ``SpeechModule``; every tune utterance must have times for its entities.
    """

    model: FrameModel
    frame_labels: FrameTargets
    reads_states = True
    maximize = True

    def __init__(
        self,
        model: FrameModel,
        *,
        options: FrameClassification,
        vocabulary: Vocabulary | None,
        **common: Any,
    ) -> None:
        super().__init__(model, **common)
        self.options = options
        self.vocabulary = vocabulary
        self.frame_labels = FrameTargets(options.scheme, options.labels, model.grid)
        self._start_validation()

    def target(self, utterance: Utterance) -> list[int]:
        """What the CTC head writes; nothing without one."""
        return [] if self.vocabulary is None else target_ids(utterance, self.vocabulary)

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean loss a frame, plus weighted IoU and CTC terms, and each utterance's own part."""
        parts = self._parts(self._logits(batch), batch)
        loss, of_utterances = self._combine(_total(parts)), parts["frames"]
        if self.options.iou_weight:
            of_utterances = of_utterances + parts["overlap"]
        if self.vocabulary is not None:
            of_utterances = of_utterances + parts["ctc"]
        return loss, of_utterances.detach()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add up losses and count the frames of one batch of the tune split."""
        for id, reason in batch.unreadable:
            self._tune_predictions.append(Prediction(id=id, text="", error=reason))
            utterance = self._by_id[id]
            missed = self.frame_labels(utterance, utterance.num_samples or 0)
            num_types = len(label_set(self.options.labels).labels)
            shape = (1, len(missed), 1 if self.options.scheme == "binary" else num_types)
            self._count(torch.zeros(shape), missed[None])
        if not len(batch):
            return
        logits = self._logits(batch)
        parts = self._parts(logits, batch)
        self.check_finite(batch.ids, ~parts["frames"].isnan())
        if logits.emissions is not None:
            assert self.vocabulary is not None
            self.check_finite(batch.ids, ~parts["ctc"].isnan())
            fits = ~parts["ctc"].isposinf()  # targets longer than the audio still count in WER
            parts["ctc"], parts["symbols"] = parts["ctc"][fits], parts["symbols"][fits]
            self._tune_predictions += transcripts(
                logits.emissions, batch.ids, self.model.grid, self.vocabulary
            )
        for name, value in _total(parts).items():
            self._tune_sums[name] = self._tune_sums.get(name, 0.0) + float(value)
        assert batch.frame_labels is not None
        claims = claimed_probabilities(logits.values, exclusive=self.model.exclusive)
        self._count(claims, batch.frame_labels)

    def on_validation_epoch_end(self) -> None:
        """Log the loss and the best frame F1 of the whole tune split."""
        sums: dict[str, float] = {}
        for part in gather(self._tune_sums):
            for name, value in part.items():
                sums[name] = sums.get(name, 0.0) + value
        frames = torch.stack(gather(self._tune_frames)).sum(0)
        predictions = [p for part in gather(self._tune_predictions) for p in part]
        self._start_validation()
        counts, threshold = best_counts(frames)
        metrics = {
            "step": float(self.global_step),
            "val_loss": float(self._combine(sums)) if sums else 0.0,
            "val_frame_f1": counts.f1,
            "val_frame_precision": counts.precision,
            "val_frame_recall": counts.recall,
            "val_threshold": threshold,
            "val_monitor": counts.f1,
        }
        if self.vocabulary is not None:
            scores = score(self.tune, predictions, intervals=None).to_json()
            metrics["val_wer"] = scores.get("wer", 0.0)
        self.log_dict(metrics, sync_dist=True)  # equal on every rank; saying so is required

    def _logits(self, batch: Batch) -> FrameLogits:
        if batch.states is not None:
            return self.model.read_states(batch.states, batch.num_samples)
        logits: FrameLogits = self.model(batch.waveforms, batch.num_samples)
        return logits

    def _parts(self, logits: FrameLogits, batch: Batch) -> dict[str, Tensor]:
        """Summed losses of each utterance, and what to divide them by, ``(B,)`` each."""
        assert batch.frame_labels is not None
        labels, options = batch.frame_labels, self.options
        frames = frame_losses(
            logits.values, labels, gamma=options.gamma, positive_weight=options.positive_weight
        )
        counted = counted_frames(labels)  # (B, T)
        parts = {"frames": frames.sum(1), "num_frames": counted.sum(1)}
        if options.iou_weight:
            probabilities = entity_probabilities(logits.values, exclusive=self.model.exclusive)
            presence = entity_presence(labels, num_types=probabilities.shape[-1])
            parts["overlap"] = overlap_losses(probabilities, presence, counted).sum(1)
            parts["types"] = presence.any(1).sum(1)
        if logits.emissions is not None:
            parts["ctc"] = ctc_losses(logits.emissions, batch)
            parts["symbols"] = batch.num_targets
        return parts

    def _combine(self, sums: dict[str, Any]) -> Any:
        """Means of the summed losses, weighted; numbers or scalars alike."""
        loss = sums["frames"] / max(1, sums["num_frames"])
        if "overlap" in sums:
            loss = loss + self.options.iou_weight * sums["overlap"] / max(1, sums["types"])
        if "ctc" in sums:
            loss = loss + self.options.ctc_weight * sums["ctc"] / max(1, sums["symbols"])
        return loss

    def _count(self, probabilities: Tensor, labels: Tensor) -> None:
        """Sort frames into bins of probability, once for each type, its own frames apart.

        Args:
            probabilities: of every type, ``(B, T, K)``.
            labels: as ``models.frame_model``.
        """
        counted = counted_frames(labels)[..., None]  # (B, T, 1)
        present = entity_presence(labels, num_types=probabilities.shape[-1]) > 0  # (B, T, K)
        bins = (probabilities * NUM_BINS).long().clamp(0, NUM_BINS - 1)
        for row, of_kind in enumerate((counted & ~present, counted & present)):
            self._tune_frames[row] += torch.bincount(bins[of_kind].cpu(), minlength=NUM_BINS)

    def _start_validation(self) -> None:
        self._by_id = {utterance.id: utterance for utterance in self.tune}
        self._tune_sums: dict[str, float] = {}
        self._tune_frames = torch.zeros(2, NUM_BINS, dtype=torch.long)
        self._tune_predictions: list[Prediction] = []


def best_counts(frames: Tensor) -> tuple[Counts, float]:
    """The counts with the best F1 over all thresholds, and that threshold.

    Args:
        frames: how many frames fall into each bin of probability, ``(2, NUM_BINS)``: those
            outside entities, then those inside, added up over types.
    """
    above = frames.flip(1).cumsum(1).flip(1).tolist()  # frames in this bin or a higher one
    num_positive = int(frames[1].sum())
    found = [Counts(tp, fp, num_positive - tp) for fp, tp in zip(*above, strict=True)]
    best = max(range(1, NUM_BINS), key=lambda bin: found[bin].f1)
    return found[best], best / NUM_BINS


def _total(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: values.sum() for name, values in parts.items()}


@dataclass(frozen=True, slots=True)
class FrameTargets:
    """Turns the entity times of an utterance into labels of frames.

    A frame is inside an entity when its centre is, the centre of frame ``i`` being at
    ``(i + 0.5) * frame_seconds``; an entity too short to hold one gets the frame of its middle.
    Frames of words whose times are only estimated are ignored.

    Attributes:
        scheme, labels: as ``FrameClassification``.
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
            ``(T,)`` long under ``bio``, else ``(T, C)`` float, as ``models.frame_model`` reads
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


def _model(
    config: SpeechConfig,
    options: FrameClassification,
    encoder: SpeechEncoder,
    vocabulary: Vocabulary | None,
) -> FrameModel:
    """The encoder with a frame head, and a CTC head where there is a vocabulary for it."""
    head = FrameHead(
        encoder.hidden_size,
        num_classes=len(options.symbols),
        options=options.head,
        dropout=config.head.dropout,
    )
    return FrameModel(
        encoder,
        build_mixing(config.mixing, num_layers=encoder.num_layers),
        head,
        symbols=options.symbols,
        exclusive=options.exclusive,
        head=None if vocabulary is None else ctc_head(config, encoder, vocabulary),
    )
