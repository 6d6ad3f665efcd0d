"""Checkpoint files: written whole or not at all, and read without running code.

``last.ckpt`` holds everything a resumed run needs; ``best.safetensors`` and
``last.safetensors`` hold weights alone. A failed write ends the run with the path named
(Lightning's own writer swallows it, Lightning #21800).
"""

from __future__ import annotations

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from slue_ner.core.files import atomic_path
from slue_ner.models.weight_files import UNREADABLE, damage, reason
from slue_ner.text.vocabulary import Vocabulary

LAST_STATE = "last.ckpt"
LAST_WEIGHTS = "last.safetensors"
BEST_WEIGHTS = "best.safetensors"

_VOCABULARY = "vocabulary"
"""Key of the digest in the metadata of weights; older files have none."""

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


def save_weights(module: nn.Module, path: Path, *, vocabulary: Vocabulary | None = None) -> None:
    """Write a module's weights as safetensors, and which symbols its CTC head writes.

    Raises:
        OSError: naming the path when it cannot be written.
    """
    state: dict[str, Tensor] = module.state_dict()
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with atomic_path(path) as temporary, _as_os_error():
        metadata = None if vocabulary is None else {_VOCABULARY: vocabulary.digest}
        save_file(tensors, temporary, metadata=metadata)


def load_weights(module: nn.Module, path: Path, *, vocabulary: Vocabulary | None = None) -> None:
    """Load what ``save_weights`` wrote.

    Raises:
        ValueError: naming the file when it is damaged, or belongs to another model or vocabulary.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; has the run written a checkpoint yet?")
    if (found := damage(path)) is not None:
        raise ValueError(f"{path} is damaged or does not fit the model of this run: it {found}")
    if vocabulary is not None:
        _check_vocabulary(path, vocabulary)
    try:
        module.load_state_dict(load_file(path), strict=True)
    except UNREADABLE as error:
        raise ValueError(
            f"{path} is damaged or does not fit the model of this run: {reason(error)}"
        ) from error


def _check_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """Refuse symbols that are not those of the weights, though as many: the text would be wrong."""
    with safe_open(path, framework="pt") as file:
        trained_with = (file.metadata() or {}).get(_VOCABULARY, vocabulary.digest)
    if trained_with != vocabulary.digest:
        raise ValueError(
            f"{path} was trained with other symbols than the vocabulary.json of its run holds; "
            "put back the file that the run wrote, or copy the run again"
        )


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
