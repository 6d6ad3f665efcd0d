"""What every training task on audio does alike: freezing the encoder, unreadable files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from slue_ner.core.listing import list_reasons
from slue_ner.core.types import Utterance
from slue_ner.data.loading.batch import Batch, FrameLabels
from slue_ner.models.adaptation.freezing import freeze, unfreeze
from slue_ner.models.adaptation.report import AdaptationReport
from slue_ner.models.encoder import SpeechEncoder
from slue_ner.tasks.optim import OptimOptions
from slue_ner.tasks.ranks import gather, wrap_again
from slue_ner.tasks.resumable import ResumableTask

MAX_UNREADABLE = 0.01
"""Share of the training utterances whose audio may be unreadable before the run stops."""


class Task(ResumableTask):
    """A speech model in training; the best weights are those with the best ``val_monitor`` on tune.

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

    heard = "this audio and text"
    frame_labels: FrameLabels | None = None
    """What the frames of an utterance are; ``None`` where the loss does not ask."""

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
        super().__init__(
            model, what=f"adaptation={report.strategy}", optim=optim, max_updates=max_updates
        )
        self.report = report
        self.tune = tune
        self.num_train = num_train
        self.unreadable: dict[str, str] = {}
        self._encoder_is_frozen = False

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

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Freeze the encoder for the first updates and release it when they are over."""
        frozen = self.global_step < self.report.encoder_frozen_until
        if frozen == self._encoder_is_frozen:
            return
        if frozen:
            freeze(self.encoder)
        else:
            unfreeze(self.encoder, report=self.report)
        wrap_again(self.trainer.strategy)
        self._encoder_is_frozen = frozen
        self._unchecked = True

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """As ``ResumableTask.training_step``; audio that cannot be read is counted."""
        self.unreadable.update(batch.unreadable)
        if len(self.unreadable) > max(1, MAX_UNREADABLE * self.num_train):
            raise ValueError(
                f"{len(self.unreadable)} of {self.num_train} training files cannot be read, more "
                f"than {MAX_UNREADABLE:.0%}:{list_reasons(self.unreadable)}"
            )
        return super().training_step(batch, batch_idx)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """As ``ResumableTask.on_save_checkpoint``, with what could not be read."""
        self.share_unreadable()
        super().on_save_checkpoint(checkpoint)
        checkpoint["unreadable"] = dict(self.unreadable)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The inverse of ``on_save_checkpoint``."""
        super().on_load_checkpoint(checkpoint)
        self.unreadable = checkpoint["unreadable"]

    def share_unreadable(self) -> None:
        """Let every rank know what the others could not read."""
        for part in gather(self.unreadable):
            self.unreadable.update(part)
