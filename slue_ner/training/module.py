"""What is trained, as Lightning has it: updates, checks and resuming, whatever it reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console
from torch import Tensor, nn

from slue_ner.core.listing import counted, list_reasons
from slue_ner.core.types import Utterance
from slue_ner.data.loading.batch import Batch, FrameLabels
from slue_ner.models.adaptation.strategy import AdaptationReport, freeze, unfreeze
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.models.mixing import Layers
from slue_ner.models.training_checks import check_gradients, check_modes
from slue_ner.text.vocabulary import Vocabulary
from slue_ner.training.optim import OptimOptions, build_optimizer, build_scheduler
from slue_ner.training.ranks import gather, random_state, set_random_state, wrap_again


class TrainingModule(pl.LightningModule):
    """A model in training; the best weights are those with the best ``val_monitor`` on tune.

    A subclass computes the loss of a batch, validates, and says whether ``val_monitor`` should
    grow. A batch has ``ids``, a length and ``to(device)``.

    Args:
        model: everything that is trained.
        what: the choice to blame when a parameter gets no gradient, ``adaptation=lora``.
        optim: optimizer and schedule.
        max_updates: length of the schedule in updates.
    """

    maximize: bool
    folder: Path
    """The run folder; set before training starts."""
    console: Console
    """Where to report; set before training starts."""
    heard = "this text"
    """What to look at when a loss is not finite."""
    vocabulary: Vocabulary | None = None
    """Symbols of the CTC head; ``None`` without one."""
    as_they_came: frozenset[str] = frozenset()
    """Weights that files of this run leave to the checkpoint they are from."""

    def __init__(
        self, model: nn.Module, *, what: str, optim: OptimOptions, max_updates: int
    ) -> None:
        super().__init__()
        self.model = model
        self.what = what
        self.optim = optim
        self.max_updates = max_updates
        self.num_batches = 0
        self._trainable = [n for n, p in model.named_parameters() if p.requires_grad]
        self._unchecked = True
        self._modes_unchecked = True
        self._batch_is_empty = False
        self._random_states: list[dict[str, Tensor]] = []

    def losses(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Loss of a batch that is not empty, scalar, and the part of it of each id, ``(B,)``."""
        raise NotImplementedError

    def is_encoder(self, name: str) -> bool:
        """Whether the parameter ``name`` is trained at the encoder's rate, not the head's."""
        return name.startswith("encoder.")

    def ended(self) -> list[str]:
        """Sentences for the user when training is over; every rank must call this."""
        return []

    def figures(self) -> dict[str, Any]:
        """Figures for ``metrics.json`` when training is over."""
        return {}

    def configure_optimizers(self) -> Any:
        """AdamW over the trainable parameters and its schedule, one step an update."""
        parameters = dict(self.model.named_parameters())
        encoder = [parameters[n] for n in self._trainable if self.is_encoder(n)]
        head = [parameters[n] for n in self._trainable if not self.is_encoder(n)]
        optimizer = build_optimizer(self.optim, encoder=encoder, head=head)
        scheduler = build_scheduler(self.optim, optimizer, max_updates=self.max_updates)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Loss of the batch; 0 when nothing is in it.

        An update over several batches (accumulation, several devices) follows the mean of their
        means, which is not the mean per symbol over all of them when they differ in length.
        """
        if self._modes_unchecked:
            check_modes(self, when=f"at update {self.global_step}")
            self._modes_unchecked = False
        self.num_batches += 1
        self._batch_is_empty = not len(batch)
        if self._batch_is_empty:
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
        """After the first backward pass everything trainable must have a gradient."""
        if self._unchecked and not self._batch_is_empty:
            parameters = dict(self.model.named_parameters())
            check_gradients(
                self.model,
                trainable=[name for name in self._trainable if parameters[name].requires_grad],
                what=self.what,
            )
            self._unchecked = False

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember how far into the stream of batches the run is."""
        checkpoint["num_batches"] = self.num_batches
        checkpoint["random_states"] = gather(random_state())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The inverse of ``on_save_checkpoint``."""
        self.num_batches = checkpoint["num_batches"]
        self._random_states = checkpoint["random_states"]

    def on_fit_start(self) -> None:
        """Loaded models are in eval mode, and Lightning would leave them there."""
        self.train()

    def on_validation_end(self) -> None:
        """Look again at the modes that Lightning has restored."""
        self._modes_unchecked = True

    def on_train_start(self) -> None:
        """Dropout goes on where the interrupted run stopped."""
        if self.trainer.global_rank < len(self._random_states):
            set_random_state(self._random_states[self.trainer.global_rank])

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Move a batch."""
        return batch.to(device)

    def check_finite(self, ids: Sequence[str], finite: Tensor) -> None:
        """Raise ``ValueError`` naming the utterances whose loss is not ``finite``, ``(B,)``."""
        if not bool(finite.all()):
            bad = [id for id, ok in zip(ids, finite.tolist(), strict=True) if not ok]
            raise ValueError(
                f"the loss of {', '.join(bad)} is not finite at update {self.global_step}; "
                f"lower optim.lr, or look at {self.heard}"
            )


MAX_UNREADABLE = 0.01
"""Share of the training utterances whose audio may be unreadable before the run stops."""


class SpeechModule(TrainingModule):
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
    reads_states = False
    """Whether it can be trained on states that a frozen encoder computed before."""
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

    @property
    def layers_needed(self) -> Layers:
        """The states that its mixing reads, see ``SpeechEncoder.forward``."""
        layers: Layers = self.model.mixing.layers_needed  # type: ignore[union-attr, assignment]
        return layers

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
        """As ``TrainingModule.training_step``; audio that cannot be read is counted."""
        self.unreadable.update(batch.unreadable)
        if len(self.unreadable) > max(1, MAX_UNREADABLE * self.num_train):
            raise ValueError(
                f"{len(self.unreadable)} of {self.num_train} training files cannot be read, more "
                f"than {MAX_UNREADABLE:.0%}:{list_reasons(self.unreadable)}"
            )
        return super().training_step(batch, batch_idx)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """As ``TrainingModule.on_save_checkpoint``, with what could not be read."""
        self._share_unreadable()
        super().on_save_checkpoint(checkpoint)
        checkpoint["unreadable"] = dict(self.unreadable)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The inverse of ``on_save_checkpoint``."""
        super().on_load_checkpoint(checkpoint)
        self.unreadable = checkpoint["unreadable"]

    def ended(self) -> list[str]:
        """Whose audio could not be read."""
        self._share_unreadable()
        if not self.unreadable:
            return []
        return [f"trained without {counted(list(self.unreadable))}, whose audio cannot be read"]

    def figures(self) -> dict[str, Any]:
        """As ``TrainingModule.figures``: the reason of every utterance that could not be read."""
        return {"unreadable": self.unreadable}

    def _share_unreadable(self) -> None:
        """Let every rank know what the others could not read."""
        for part in gather(self.unreadable):
            self.unreadable.update(part)
