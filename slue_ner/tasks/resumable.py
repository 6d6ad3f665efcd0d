"""What every training task does alike, whatever it reads: updates, checks, resuming."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from slue_ner.models.gradients import check_gradients
from slue_ner.models.modes import check_modes
from slue_ner.tasks.optim import OptimOptions, build_optimizer, build_scheduler
from slue_ner.tasks.ranks import gather, random_state, set_random_state
from slue_ner.text.vocabulary import Vocabulary


class ResumableTask(pl.LightningModule):
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
    heard = "this text"
    """What to look at when a loss is not finite."""
    vocabulary: Vocabulary | None = None
    """Symbols of the CTC head; ``None`` without one."""

    def __init__(
        self, model: nn.Module, *, what: str, optim: OptimOptions, max_updates: int
    ) -> None:
        super().__init__()
        self.model = model
        self.what = what
        self.optim = optim
        self.max_updates = max_updates
        self.num_batches = 0
        self._promised = [n for n, p in model.named_parameters() if p.requires_grad]
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

    def configure_optimizers(self) -> Any:
        """AdamW over the promised parameters and its schedule, one step an update."""
        promised = dict(self.model.named_parameters())
        encoder = [promised[n] for n in self._promised if self.is_encoder(n)]
        head = [promised[n] for n in self._promised if not self.is_encoder(n)]
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
        """After the first backward pass everything promised must have a gradient."""
        if self._unchecked and not self._batch_is_empty:
            parameters = dict(self.model.named_parameters())
            check_gradients(
                self.model,
                promised=[name for name in self._promised if parameters[name].requires_grad],
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
