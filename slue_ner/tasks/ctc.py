"""CTC training for speech recognition and end-to-end NER: one task, two alphabets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from slue_ner.core.types import Prediction, Utterance
from slue_ner.data.batch import Batch
from slue_ner.decoding.ctc import BLANK_ID, greedy
from slue_ner.decoding.transcript import to_prediction
from slue_ner.evaluation.score import score
from slue_ner.models.adaptation.freezing import freeze, unfreeze
from slue_ner.models.adaptation.report import AdaptationReport
from slue_ner.models.ctc_model import CTCModel, Emissions
from slue_ner.models.gradients import check_gradients
from slue_ner.tasks.optim import OptimOptions, build_optimizer, build_scheduler
from slue_ner.text.markup import to_symbols, write_tagged
from slue_ner.text.vocabulary import Vocabulary

MAX_UNREADABLE = 0.01
"""Share of the training utterances whose audio may be unreadable before the run stops."""


@dataclass(kw_only=True)
class CTCOptions:
    """What the CTC head learns to write.

    Attributes:
        target: ``plain`` words (speech recognition) or ``tagged`` ones (end-to-end NER).
        labels: label set of the entity marks, ``combined`` or ``raw``; unused when plain.
        monitor: ``f1`` or ``wer`` on tune; decides which checkpoint is best.
    """

    target: str
    labels: str
    monitor: str

    def __post_init__(self) -> None:
        if self.target not in ("plain", "tagged"):
            raise ValueError(f"task.target={self.target!r} should be plain or tagged")
        if self.labels not in ("combined", "raw"):
            raise ValueError(f"task.labels={self.labels!r} should be combined or raw")
        if self.monitor not in ("f1", "wer"):
            raise ValueError(f"task.monitor={self.monitor!r} should be f1 or wer")
        if self.target == "plain" and self.monitor == "f1":
            raise ValueError("task.monitor=f1 needs task.target=tagged; use task.monitor=wer")


def target_words(utterance: Utterance, vocabulary: Vocabulary) -> list[str]:
    """The words to write: tagged when the vocabulary has entity marks, else plain."""
    labels = vocabulary.label_set
    return utterance.text.split() if labels is None else write_tagged(utterance, labels)


def target_ids(utterance: Utterance, vocabulary: Vocabulary) -> list[int]:
    """The symbol ids a CTC head is trained on, ``U`` of them."""
    return vocabulary.encode(to_symbols(target_words(utterance, vocabulary)))


def ctc_losses(emissions: Emissions, batch: Batch) -> Tensor:
    """Negative log-likelihood of each target, ``(B,)`` float32; inf where it cannot fit."""
    with torch.autocast(emissions.log_probs.device.type, enabled=False):
        return torch.nn.functional.ctc_loss(
            emissions.log_probs.float().transpose(0, 1),  # (T, B, V)
            batch.targets,
            emissions.num_frames,
            batch.num_targets,
            blank=BLANK_ID,
            reduction="none",
        )


class CTCTask(pl.LightningModule):
    """Trains a ``CTCModel``; the best weights are chosen on the tune split.

    Args:
        model: encoder, mixing and head, already adapted.
        vocabulary: what the head's outputs mean.
        report: what the adaptation strategy made trainable.
        optim: optimizer and schedule.
        max_updates: length of the schedule in updates.
        tune: references of the validation loader.
        num_train: training utterances, for the limit on unreadable audio.
        monitor: ``f1`` or ``wer``.
    """

    def __init__(
        self,
        model: CTCModel,
        *,
        vocabulary: Vocabulary,
        report: AdaptationReport,
        optim: OptimOptions,
        max_updates: int,
        tune: Sequence[Utterance],
        num_train: int,
        monitor: str,
    ) -> None:
        super().__init__()
        self.model = model
        self.vocabulary = vocabulary
        self.report = report
        self.optim = optim
        self.max_updates = max_updates
        self.tune = tune
        self.num_train = num_train
        self.monitor = monitor
        self.num_batches = 0
        self.unreadable: dict[str, str] = {}
        self._promised = [n for n, p in model.named_parameters() if p.requires_grad]
        self._encoder_is_frozen = False
        self._unchecked = True
        self._random_state: dict[str, Tensor] | None = None
        self._tune_predictions: list[Prediction] = []
        self._tune_loss = [0.0, 0.0]  # summed loss, symbols

    def configure_optimizers(self) -> Any:
        """AdamW over the promised parameters and its schedule, one step an update."""
        promised = dict(self.model.named_parameters())
        encoder = [promised[n] for n in self._promised if n.startswith("encoder.")]
        head = [promised[n] for n in self._promised if not n.startswith("encoder.")]
        optimizer = build_optimizer(self.optim, encoder=encoder, head=head)
        scheduler = build_scheduler(self.optim, optimizer, max_updates=self.max_updates)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Freeze the encoder for the first updates and release it when they are over."""
        frozen = self.global_step < self.report.encoder_frozen_until
        if frozen == self._encoder_is_frozen:
            return
        if frozen:
            freeze(self.model.encoder)
        else:
            unfreeze(self.model.encoder, report=self.report)
        self._encoder_is_frozen = frozen
        self._unchecked = True

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Mean loss per target symbol; a batch without readable audio gives none."""
        self.num_batches += 1
        self._count_unreadable(batch)
        if not len(batch):
            return None
        losses = ctc_losses(self.model(batch.waveforms, batch.num_samples), batch)
        finite = losses.isfinite()
        if not bool(finite.all()):
            bad = [id for id, ok in zip(batch.ids, finite.tolist(), strict=True) if not ok]
            raise ValueError(
                f"the loss of {', '.join(bad)} is not finite at update {self.global_step}; "
                "lower optim.lr, or look at this audio and text"
            )
        loss = losses.sum() / batch.num_targets.sum()
        self.log("train_loss", loss.detach(), batch_size=len(batch))
        return loss

    def on_after_backward(self) -> None:
        """After the first backward pass everything promised must have a gradient."""
        if self._unchecked:
            parameters = dict(self.model.named_parameters())
            check_gradients(
                self.model,
                promised=[name for name in self._promised if parameters[name].requires_grad],
                what=f"adaptation={self.report.strategy}",
            )
            self._unchecked = False

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Decode one batch of the tune split."""
        self._tune_predictions += [
            Prediction(id=id, text="", error=reason) for id, reason in batch.unreadable
        ]
        if not len(batch):
            return
        emissions = self.model(batch.waveforms, batch.num_samples)
        losses = ctc_losses(emissions, batch)
        fits = losses.isfinite()
        self._tune_loss[0] += float(losses[fits].sum())
        self._tune_loss[1] += float(batch.num_targets[fits].sum())
        self._tune_predictions += decode(emissions, batch.ids, self.model, self.vocabulary)

    def on_validation_epoch_end(self) -> None:
        """Score the whole tune split and log ``val_monitor``."""
        predictions, loss = _gather(self._tune_predictions, self._tune_loss)
        self._tune_predictions, self._tune_loss = [], [0.0, 0.0]
        if self.trainer.sanity_checking:
            return
        scores = score(self.tune, predictions, intervals=None).to_json()
        metrics = {
            "val_loss": loss[0] / max(1.0, loss[1]),
            "val_wer": scores.get("wer", 0.0),
            "val_cer": scores.get("cer", 0.0),
        }
        if self.vocabulary.labels is not None:
            metrics["val_f1"] = scores["ner"]["micro"]["f1"]
            metrics["val_label_f1"] = scores["ner_label"]["micro"]["f1"]
        metrics["val_monitor"] = metrics[f"val_{self.monitor}"]
        self.log_dict(metrics)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember how far into the stream of batches the run is."""
        checkpoint["num_batches"] = self.num_batches
        checkpoint["unreadable"] = dict(self.unreadable)
        checkpoint["random_state"] = _random_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The inverse of ``on_save_checkpoint``."""
        self.num_batches = checkpoint["num_batches"]
        self.unreadable = checkpoint["unreadable"]
        self._random_state = checkpoint["random_state"]

    def on_train_start(self) -> None:
        """Dropout goes on where the interrupted run stopped."""
        if self._random_state is not None:
            _set_random_state(self._random_state)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move a batch."""
        return batch.to(device)

    def _count_unreadable(self, batch: Batch) -> None:
        self.unreadable.update(batch.unreadable)
        if len(self.unreadable) > max(1, MAX_UNREADABLE * self.num_train):
            reasons = "; ".join(list(self.unreadable.values())[:5])
            raise ValueError(
                f"{len(self.unreadable)} of {self.num_train} training files cannot be read, more "
                f"than {MAX_UNREADABLE:.0%}: {reasons}"
            )


def decode(
    emissions: Emissions, ids: Sequence[str], model: CTCModel, vocabulary: Vocabulary
) -> list[Prediction]:
    """Greedy transcripts with entities of one batch."""
    tokens = greedy(emissions.log_probs, emissions.num_frames, vocabulary.symbols)
    return [
        to_prediction(
            id,
            spans,
            labels=vocabulary.label_set,
            grid=model.encoder.grid,
            num_frames=num_frames,
        )
        for id, spans, num_frames in zip(ids, tokens, emissions.num_frames.tolist(), strict=True)
    ]


def _random_state() -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    return {**state, "cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else state


def _set_random_state(state: dict[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())


def _gather(
    predictions: list[Prediction], loss: list[float]
) -> tuple[list[Prediction], list[float]]:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return predictions, loss
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, (predictions, loss))
    gathered = [prediction for part, _ in parts for prediction in part]
    return gathered, [sum(part[1][i] for part in parts) for i in range(2)]
