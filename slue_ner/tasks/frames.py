"""Training of frame heads: every encoder frame is inside an entity, or it is not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from slue_ner.core.labels import label_set
from slue_ner.core.types import Prediction, Utterance
from slue_ner.data.loading.batch import Batch
from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.score import score
from slue_ner.models.frame_losses import (
    claimed_probabilities,
    counted_frames,
    entity_presence,
    entity_probabilities,
    frame_losses,
    overlap_losses,
)
from slue_ner.models.frame_model import FrameLogits, FrameModel
from slue_ner.tasks.base import Task
from slue_ner.tasks.emissions import ctc_losses, decode
from slue_ner.tasks.frame_targets import FrameOptions, FrameTargets
from slue_ner.tasks.ranks import gather
from slue_ner.tasks.targets import target_ids
from slue_ner.text.vocabulary import Vocabulary

NUM_BINS = 100
"""Thresholds that the frame F1 on tune is computed at: 1 / 100, 2 / 100, ..."""


class FrameTask(Task):
    """Trains a ``FrameModel``; the best weights are those with the best frame F1 on tune.

    That F1 is over encoder frames, of counts summed over labels (a binary head knows one), at the
    threshold that is best for it: where the threshold lies says more about the loss than about
    the model, and decoding is tuned later.

    Args:
        model: encoder, mixing and heads, already adapted.
        options: losses and their weights.
        vocabulary: of the CTC head; ``None`` without one.
        common: as ``Task``; every tune utterance must have times for its entities.
    """

    model: FrameModel
    frame_labels: FrameTargets
    maximize = True

    def __init__(
        self,
        model: FrameModel,
        *,
        options: FrameOptions,
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
            self._tune_predictions += decode(
                logits.emissions, batch.ids, self.model, self.vocabulary
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
            labels: as ``models.frame_losses``.
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
