"""When a run saves, which weights are its best, and when it stops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from slue_ner.tasks.checkpoint_files import BEST_WEIGHTS, LAST_STATE, save_weights
from slue_ner.tasks.resumable import ResumableTask


class Checkpoints(Callback):
    """Saves after every validation, every ``save_every`` updates, and when asked to stop.

    The best weights are those with the best ``val_monitor``; equal ones (an F1 of zero, early
    on) are told apart by ``val_loss``.

    Args:
        folder: where checkpoints go.
        maximize: whether a larger ``val_monitor`` is better.
        save_every: updates between two writes of the last state; 0 for validations only.
        patience: validations without improvement after which training stops; 0 for never.
        stop_requested: says that the run was asked to stop (a signal came in).
    """

    def __init__(
        self,
        folder: Path,
        *,
        maximize: bool,
        save_every: int,
        patience: int,
        stop_requested: Callable[[], bool],
    ) -> None:
        self.folder = folder
        self.maximize = maximize
        self.save_every = save_every
        self.patience = patience
        self.stop_requested = stop_requested
        self.best: list[float] | None = None
        self.best_update = 0
        self.num_worse = 0
        self.last_update: int | None = None
        self._stopping = False

    def state_dict(self) -> dict[str, Any]:
        """What the callback must remember across a restart."""
        return {
            "best": self.best,
            "best_update": self.best_update,
            "num_worse": self.num_worse,
            "last_update": self.last_update,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.best = state_dict["best"]
        self.best_update = state_dict["best_update"]
        self.num_worse = state_dict["num_worse"]
        self.last_update = state_dict["last_update"]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that had stopped early does not go on."""
        trainer.should_stop = self._patience_is_over()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop once the last update is logged, which Lightning does after saving."""
        if self._stopping:
            raise StopRequestedError(trainer.global_step)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save when it is time or a stop was asked for; a validation, when due, saves itself."""
        if _mid_accumulation(trainer) or _validation_is_due(trainer):
            return
        self._stopping = self._stop_is_due(trainer)
        if self._stopping or (self.save_every and trainer.global_step % self.save_every == 0):
            trainer.save_checkpoint(self.folder / LAST_STATE)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights when they are the best so far, then save the last state."""
        if trainer.sanity_checking:
            return
        self.last_update = trainer.global_step
        score = float(trainer.callback_metrics["val_monitor"])
        current = [score if self.maximize else -score, -float(trainer.callback_metrics["val_loss"])]
        if self.best is None or current > self.best:
            self.best, self.best_update, self.num_worse = current, trainer.global_step, 0
            if trainer.is_global_zero:
                assert isinstance(pl_module, ResumableTask)
                best = self.folder / BEST_WEIGHTS
                save_weights(pl_module.model, best, vocabulary=pl_module.vocabulary)
        else:
            self.num_worse += 1
            trainer.should_stop = self._patience_is_over()
        trainer.save_checkpoint(self.folder / LAST_STATE)
        self._stopping = self._stop_is_due(trainer)

    def _patience_is_over(self) -> bool:
        return 0 < self.patience <= self.num_worse

    def _stop_is_due(self, trainer: pl.Trainer) -> bool:
        """Whether any rank was asked to stop: all must save together."""
        stop: bool = trainer.strategy.reduce_boolean_decision(self.stop_requested(), all=False)
        return stop


class StopRequestedError(Exception):
    """The run was asked to stop and has saved its state.

    Attributes:
        update: optimizer updates done.
    """

    def __init__(self, update: int) -> None:
        super().__init__(f"stopped at update {update}; the same command goes on from there")
        self.update = update


def _mid_accumulation(trainer: pl.Trainer) -> bool:
    return trainer.fit_loop.epoch_loop._should_accumulate()


def _validation_is_due(trainer: pl.Trainer) -> bool:
    every = int(trainer.val_check_batch or 0)
    return every > 0 and (trainer.fit_loop.epoch_loop.total_batch_idx + 1) % every == 0
