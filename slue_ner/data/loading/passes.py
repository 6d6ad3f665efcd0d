"""One pass of a model over utterances: the only loop that does not train."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from slue_ner.core.time import Seconds
from slue_ner.core.types import Utterance
from slue_ner.data.loading.batch import Batch
from slue_ner.data.loading.loaders import evaluation_loader

Output = TypeVar("Output")


def run_over(
    utterances: Sequence[Utterance],
    forward: Callable[[Tensor, Tensor], Output],
    *,
    batch_seconds: Seconds,
    min_samples: int,
    filled_to: Seconds = 0.0,
    device: torch.device | str = "cpu",
    num_workers: int = 0,
) -> Iterator[tuple[Batch, Output | None]]:
    """What a model makes of every batch, longest utterances first, without gradients.

    Args:
        utterances: what to read.
        forward: from waveforms ``(B, S)`` and numbers of samples ``(B,)``, both on ``device``.
        batch_seconds: padded seconds of audio a batch; changes speed and memory, not results.
        min_samples: shorter audio counts as unreadable.
        filled_to: see ``evaluation_loader``.
        device: where ``forward`` computes.
        num_workers: loader processes.

    Yields:
        Each batch as it was read, and what ``forward`` made of it; ``None`` of a batch in which
        nothing could be read. ``batch.unreadable`` has ids and reasons of what could not.
    """
    loader = evaluation_loader(
        utterances,
        batch_seconds=batch_seconds,
        num_workers=num_workers,
        min_samples=min_samples,
        filled_to=filled_to,
    )
    for batch in loader:
        output = None
        if len(batch):
            moved = batch.to(device)
            with torch.inference_mode():
                output = forward(moved.waveforms, moved.num_samples)
        yield batch, output
