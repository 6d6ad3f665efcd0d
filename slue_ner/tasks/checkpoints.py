"""Checkpoints: the last state to resume from, the best weights to predict with.

``last.ckpt`` holds everything a resumed run needs; ``best.safetensors`` and
``last.safetensors`` hold weights alone. Each is written whole or not at all, and a failed
write ends the run with the path named (Lightning's own writer swallows it, Lightning #21800).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.plugins.io import CheckpointIO
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from slue_ner.core.files import atomic_path

LAST_STATE = "last.ckpt"
LAST_WEIGHTS = "last.safetensors"
BEST_WEIGHTS = "best.safetensors"


class AtomicCheckpointIO(CheckpointIO):
    """Writes through a temporary file and reads without running code."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write ``checkpoint`` to ``path``."""
        with atomic_path(Path(path)) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read ``path``; only tensors and plain values are accepted, whatever is asked."""
        state: dict[str, Any] = torch.load(
            path, map_location=map_location or "cpu", weights_only=True
        )
        return state

    def remove_checkpoint(self, path: Any) -> None:
        """Delete ``path``."""
        Path(path).unlink(missing_ok=True)


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a module's weights as safetensors."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _state(module).items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)


def load_weights(module: nn.Module, path: Path) -> None:
    """Load what ``save_weights`` wrote.

    Raises:
        ValueError: naming the file when it is damaged or belongs to another model.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; has the run written a checkpoint yet?")
    try:
        module.load_state_dict(load_file(path), strict=True)
    except Exception as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"{path} does not fit the model of this run: {first}") from error


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

    def state_dict(self) -> dict[str, Any]:
        """What the callback must remember across a restart."""
        return {"best": self.best, "best_update": self.best_update, "num_worse": self.num_worse}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.best = state_dict["best"]
        self.best_update = state_dict["best_update"]
        self.num_worse = state_dict["num_worse"]

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save when it is time; stop when asked, unless a validation (which saves) is due."""
        if _mid_accumulation(trainer) or _validation_is_due(trainer):
            return
        stop = self.stop_requested()
        if stop or (self.save_every and trainer.global_step % self.save_every == 0):
            trainer.save_checkpoint(self.folder / LAST_STATE)
        if stop:
            raise StopRequestedError(trainer.global_step)

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
                save_weights(pl_module.model, self.folder / BEST_WEIGHTS)  # type: ignore[arg-type]
        else:
            self.num_worse += 1
            if self.patience and self.num_worse >= self.patience:
                trainer.should_stop = True
        trainer.save_checkpoint(self.folder / LAST_STATE)
        if self.stop_requested():
            raise StopRequestedError(trainer.global_step)


class StopRequestedError(Exception):
    """The run was asked to stop and has saved its state.

    Attributes:
        update: optimizer updates done.
    """

    def __init__(self, update: int) -> None:
        super().__init__(f"stopped at update {update}; the same command goes on from there")
        self.update = update


def _state(module: nn.Module) -> dict[str, Tensor]:
    return module.state_dict()


def _mid_accumulation(trainer: pl.Trainer) -> bool:
    return trainer.fit_loop.epoch_loop._should_accumulate()


def _validation_is_due(trainer: pl.Trainer) -> bool:
    every = int(trainer.val_check_batch or 0)
    return every > 0 and (trainer.fit_loop.epoch_loop.total_batch_idx + 1) % every == 0
