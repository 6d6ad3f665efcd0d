"""Checkpoints: when a run saves, which weights are its best, and files read without running code.

``last.ckpt`` holds everything a resumed run needs; ``best.safetensors`` and
``last.safetensors`` hold weights alone. A failed write ends the run with the path named
(Lightning's own writer swallows it, Lightning #21800).
"""

from __future__ import annotations

import errno
import hashlib
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.plugins.io import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from slue_ner.core.files import atomic_path
from slue_ner.core.run_files import BEST_WEIGHTS, LAST_STATE, LAST_WEIGHTS
from slue_ner.models.encoder.weight_files import UNREADABLE, damage, reason
from slue_ner.text.vocabulary import Vocabulary
from slue_ner.training.module import TrainingModule


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
                assert isinstance(pl_module, TrainingModule)
                best = self.folder / BEST_WEIGHTS
                save_module(pl_module, best)
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


_VOCABULARY = "vocabulary"
"""Key of the digest in the metadata of weights; older files have none."""

_AS_THEY_CAME = "as_they_came"
"""Key of the hash of the weights that the file leaves to a checkpoint of others."""

_STATE = frozenset({"state_dict", "global_step", "num_batches", "random_states"})
"""What every saved state holds, among other things."""


class AtomicCheckpointIO(CheckpointIO):
    """Writes through a temporary file and reads without running code."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write ``checkpoint`` to ``path``.

        Raises:
            OSError: naming the path when it cannot be written.
        """
        with atomic_path(Path(path)) as temporary, _as_os_error():
            torch.save(checkpoint, temporary)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read ``path``; only tensors and plain values are accepted, whatever is asked.

        Raises:
            ValueError: naming the file when it is damaged or holds anything else.
        """
        try:
            with warnings.catch_warnings(action="ignore"):  # torch wonders before it refuses
                state: dict[str, Any] = torch.load(
                    path, map_location=map_location or "cpu", weights_only=True
                )
        except Exception as error:  # bytes at random raise whatever they happen to spell
            # a file that is cut short has no end to be looked for, which is no fault of the disk
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            raise _no_state(path) from error
        return state

    def remove_checkpoint(self, path: Any) -> None:
        """Delete ``path``."""
        Path(path).unlink(missing_ok=True)


def read_state(path: Path) -> dict[str, Any] | None:
    """The state that a run goes on from; ``None`` when it has saved none.

    Raises:
        ValueError: naming the file when it is damaged or holds something else.
    """
    if not path.is_file():
        return None
    state = AtomicCheckpointIO().load_checkpoint(path)
    if not isinstance(state, dict) or not _STATE.issubset(state):
        raise _no_state(path)
    return state


def save_module(module: TrainingModule, path: Path) -> None:
    """Write the weights of what is trained; see ``save_weights``."""
    save_weights(module.model, path, vocabulary=module.vocabulary, as_they_came=module.as_they_came)


def save_weights(
    module: nn.Module,
    path: Path,
    *,
    vocabulary: Vocabulary | None = None,
    as_they_came: Collection[str] = (),
) -> None:
    """Write a module's weights as safetensors, and which symbols its CTC head writes.

    Args:
        module: whose weights.
        path: file to write.
        vocabulary: of its CTC head.
        as_they_came: weights that a checkpoint of others holds; of these only a hash is written.

    Raises:
        OSError: naming the path when it cannot be written.
    """
    state: dict[str, Tensor] = module.state_dict()
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in state.items()
        if name not in as_they_came
    }
    metadata = {} if vocabulary is None else {_VOCABULARY: vocabulary.digest}
    if as_they_came:
        metadata[_AS_THEY_CAME] = _digest({name: state[name] for name in as_they_came})
    with atomic_path(path) as temporary, _as_os_error():
        save_file(tensors, temporary, metadata=metadata or None)


def check_written(path: Path) -> None:
    """Refuse weights that are not there.

    Raises:
        ValueError: saying why they may not be.
    """
    if not path.is_file():
        why = "has the run written a checkpoint yet?"
        if path.name == LAST_WEIGHTS and path.with_name(BEST_WEIGHTS).is_file():
            why = "a finished run keeps its best weights alone, unless it had trainer.keep=all"
        raise ValueError(f"{path}: no such file; {why}")


def holds_all(path: Path) -> bool:
    """Whether a file of weights needs no checkpoint beside it; true of one that is not there.

    Raises:
        ValueError: naming the file when it is damaged.
    """
    return not path.is_file() or _AS_THEY_CAME not in _metadata(path)


def load_weights(module: nn.Module, path: Path, *, vocabulary: Vocabulary | None = None) -> None:
    """Load what ``save_weights`` wrote.

    Raises:
        ValueError: naming the file when it is damaged, or belongs to another model or vocabulary.
    """
    check_written(path)
    metadata = _metadata(path)
    trained_with = metadata.get(_VOCABULARY)
    if vocabulary is not None and trained_with not in (None, vocabulary.digest):
        # as many symbols, but others: the text would be wrong
        raise ValueError(
            f"{path} was trained with other symbols than the vocabulary.json of its run holds; "
            "put back the file that the run wrote, or copy the run again"
        )
    rest: dict[str, Tensor] = {}
    if _AS_THEY_CAME in metadata:
        rest = _rest(module, path, trained_on=metadata[_AS_THEY_CAME])
    try:
        tensors = {**load_file(path), **rest}
        module.load_state_dict(tensors, strict=True)
    except UNREADABLE as error:
        raise ValueError(
            f"{path} is damaged or does not fit the model of this run: {reason(error)}"
        ) from error


def _metadata(path: Path) -> dict[str, str]:
    """What the header of a file of weights says beside names.

    Raises:
        ValueError: naming the file when it is damaged.
    """
    if (found := damage(path)) is not None:
        raise ValueError(f"{path} is damaged or does not fit the model of this run: it {found}")
    with safe_open(path, framework="pt") as file:
        return file.metadata() or {}


def _rest(module: nn.Module, path: Path, *, trained_on: str) -> dict[str, Tensor]:
    """The weights that a module has from elsewhere, which must hash to ``trained_on``.

    Raises:
        ValueError: when they are others.
    """
    with safe_open(path, framework="pt") as file:
        known = set(file.keys())
    rest = {name: value for name, value in module.state_dict().items() if name not in known}
    if _digest(rest) != trained_on:
        raise ValueError(
            f"{path} holds only what was trained, and encoder.source of its run has other weights "
            "now than then; put back the checkpoint it was trained on"
        )
    return rest


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 of names, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(values.shape)} {values.dtype}".encode())
        digest.update(values.view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _no_state(path: Any) -> ValueError:
    return ValueError(
        f"{path} is not a checkpoint of this program or is damaged; remove it to train this run "
        "from the start"
    )


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Torch and safetensors have exceptions of their own for a disk that is full."""
    try:
        yield
    except (RuntimeError, SafetensorError) as error:
        raise OSError(str(error).splitlines()[0]) from error
