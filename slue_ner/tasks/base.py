"""What every training task does alike: optimizer, freezing, checks, resuming, unreadable audio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from slue_ner.core.types import Utterance
from slue_ner.data.batch import Batch
from slue_ner.models.adaptation.freezing import freeze, unfreeze
from slue_ner.models.adaptation.report import AdaptationReport
from slue_ner.models.encoder import SpeechEncoder
from slue_ner.models.gradients import check_gradients
from slue_ner.tasks.optim import OptimOptions, build_optimizer, build_scheduler
from slue_ner.tasks.ranks import gather, random_state, set_random_state

MAX_UNREADABLE = 0.01
"""Share of the training utterances whose audio may be unreadable before the run stops."""


class Task(pl.LightningModule):
    """A model in training; the best weights are those with the best ``val_monitor`` on tune.

    A subclass computes the loss of a batch that holds audio, validates, and says what its
    targets are and whether ``val_monitor`` should grow.

    Args:
        model: everything that is trained; its ``encoder`` is already adapted.
        report: what the adaptation strategy made trainable.
        optim: optimizer and schedule.
        max_updates: length of the schedule in updates.
        tune: references of the validation loader.
        num_train: training utterances, for the limit on unreadable audio.
    """

    maximize: bool

    def __init__(
        self,
        model: nn.Module,
        *,
        report: AdaptationReport,
        optim: OptimOptions,
        max_updates: int,
        tune: Sequence[Utterance],
        num_train: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.report = report
        self.optim = optim
        self.max_updates = max_updates
        self.tune = tune
        self.num_train = num_train
        self.num_batches = 0
        self.unreadable: dict[str, str] = {}
        self._promised = [n for n, p in model.named_parameters() if p.requires_grad]
        self._encoder_is_frozen = False
        self._unchecked = True
        self._batch_has_audio = False
        self._random_states: list[dict[str, Tensor]] = []

    @property
    def encoder(self) -> SpeechEncoder:
        """The model's encoder."""
        encoder: SpeechEncoder = self.model.encoder  # type: ignore[assignment]
        return encoder

    def target(self, utterance: Utterance) -> list[int]:
        """The symbol ids of an utterance, ``U`` of them."""
        raise NotImplementedError

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss of a batch with audio, scalar, and the part of it of each utterance, ``(B,)``."""
        raise NotImplementedError

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
            freeze(self.encoder)
        else:
            unfreeze(self.encoder, report=self.report)
        self._encoder_is_frozen = frozen
        self._unchecked = True

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of the batch; 0 when none of its audio can be read.

        An update over several batches (accumulation, several devices) follows the mean of their
        means, which is not the mean per symbol over all of them when they differ in length.
        """
        self.num_batches += 1
        self._count_unreadable(batch)
        self._batch_has_audio = len(batch) > 0
        if not len(batch):
            # every rank must take part in the backward pass
            values = [p.sum() for p in self.model.parameters() if p.requires_grad]
            return 0.0 * torch.stack(values).sum()
        loss, of_utterances = self.losses(batch)
        self.check_finite(batch.ids, of_utterances.isfinite())
        # Lightning counts updates from 0 when it logs
        self.log("step", float(self.global_step + 1), batch_size=len(batch))
        self.log("train_loss", loss.detach(), batch_size=len(batch))
        return loss

    def on_after_backward(self) -> None:
        """After the first backward pass everything promised must have a gradient."""
        if self._unchecked and self._batch_has_audio:
            parameters = dict(self.model.named_parameters())
            check_gradients(
                self.model,
                promised=[name for name in self._promised if parameters[name].requires_grad],
                what=f"adaptation={self.report.strategy}",
            )
            self._unchecked = False

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember how far into the stream of batches the run is."""
        self.share_unreadable()
        checkpoint["num_batches"] = self.num_batches
        checkpoint["unreadable"] = dict(self.unreadable)
        checkpoint["random_states"] = gather(random_state())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The inverse of ``on_save_checkpoint``."""
        self.num_batches = checkpoint["num_batches"]
        self.unreadable = checkpoint["unreadable"]
        self._random_states = checkpoint["random_states"]

    def on_train_start(self) -> None:
        """Dropout goes on where the interrupted run stopped."""
        if self.trainer.global_rank < len(self._random_states):
            set_random_state(self._random_states[self.trainer.global_rank])

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move a batch."""
        return batch.to(device)

    def share_unreadable(self) -> None:
        """Let every rank know what the others could not read."""
        for part in gather(self.unreadable):
            self.unreadable.update(part)

    def check_finite(self, ids: Sequence[str], finite: Tensor) -> None:
        """Raise ``ValueError`` naming the utterances whose loss is not ``finite``, ``(B,)``."""
        if not bool(finite.all()):
            bad = [id for id, ok in zip(ids, finite.tolist(), strict=True) if not ok]
            raise ValueError(
                f"the loss of {', '.join(bad)} is not finite at update {self.global_step}; "
                "lower optim.lr, or look at this audio and text"
            )

    def _count_unreadable(self, batch: Batch) -> None:
        self.unreadable.update(batch.unreadable)
        if len(self.unreadable) > max(1, MAX_UNREADABLE * self.num_train):
            reasons = "; ".join(list(self.unreadable.values())[:5])
            raise ValueError(
                f"{len(self.unreadable)} of {self.num_train} training files cannot be read, more "
                f"than {MAX_UNREADABLE:.0%}: {reasons}"
            )
