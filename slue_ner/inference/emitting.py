"""What a model emits for utterances, as a mapping: computed now, or read from a folder.

Everything that decodes, aligns, localizes or tunes takes such a mapping from utterance id to
log-probabilities and does not see the difference. ``decoding.emissions`` has the other one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slue_ner.core.time import FrameGrid, Seconds
from slue_ner.core.types import Utterance
from slue_ner.data.loading.passes import run_over

LogProbs = NDArray[np.float32]
"""Of every symbol or class at every frame of an utterance, ``(T, V)``."""

_Rows = dict[str, tuple[LogProbs, LogProbs | None]]
"""Of an utterance, and of it as a second head reads it."""

Keep = Callable[[str, LogProbs], None]


class Emitted(Protocol):
    """Log-probabilities by utterance id; iterating is the cheapest way through all of them."""

    @property
    def kind(self) -> str:
        """``ctc`` (log-probabilities of symbols, the first the blank) or ``frames``."""

    @property
    def symbols(self) -> Sequence[str]:
        """Names of the ``V`` columns."""

    @property
    def grid(self) -> FrameGrid:
        """Rows to seconds."""

    def __iter__(self) -> Iterator[str]: ...

    def __len__(self) -> int: ...

    def __contains__(self, id: object) -> bool: ...

    def __getitem__(self, id: str) -> LogProbs: ...

    def why_not(self, id: str) -> str:
        """Why an utterance that iterating left out has no emissions."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a model emits for a batch.

    Attributes:
        log_probs: ``(B, T, V)``; rows past an utterance's end are meaningless.
        num_frames: real frames of each utterance, ``(B,)``.
        words: of a second head over the same frames, which writes words; ``None`` without one.
    """

    log_probs: Tensor
    num_frames: Tensor
    words: Tensor | None = None


class LiveEmissions(Mapping[str, LogProbs]):
    """Emissions of a model, batch by batch as one iterates; only the current batch is kept.

    Iterating leaves out what cannot be read. An id out of turn is computed by itself. ``kind``,
    ``symbols`` and ``grid`` are as in ``Emitted``.

    Args:
        forward: the model, from waveforms ``(B, S)`` and numbers of samples ``(B,)``.
        utterances: whose emissions these are.
        batch_seconds: padded seconds of audio a batch; changes speed and memory, not results.
        filled_to: of the encoder.
        device: where to run.
        num_workers: loader processes.
        keep: called with id and emissions of each utterance that could be read, such as
            ``EmissionsWriter.add``.
    """

    def __init__(
        self,
        forward: Callable[[Tensor, Tensor], Outputs],
        utterances: Sequence[Utterance],
        *,
        kind: str,
        symbols: Sequence[str],
        grid: FrameGrid,
        batch_seconds: Seconds,
        filled_to: Seconds = 0.0,
        device: torch.device | str = "cpu",
        num_workers: int = 0,
        keep: Keep | None = None,
    ) -> None:
        self.kind, self.symbols, self.grid = kind, symbols, grid
        self._forward, self._keep = forward, keep
        self._utterances = {utterance.id: utterance for utterance in utterances}
        self._batch_seconds, self._filled_to = batch_seconds, filled_to
        self._device, self._num_workers = device, num_workers
        self._current: _Rows = {}
        self._alone: _Rows = {}  # the last one out of turn
        self._unreadable: dict[str, str] = {}

    def __iter__(self) -> Iterator[str]:
        for batch in self._batches(list(self._utterances.values()), self._num_workers):
            self._current = batch
            if self._keep is not None:
                for id, (rows, _) in batch.items():
                    self._keep(id, rows)
            yield from batch

    def __len__(self) -> int:
        return len(self._utterances)

    def __contains__(self, id: object) -> bool:
        return id in self._utterances and id not in self._unreadable

    def __getitem__(self, id: str) -> LogProbs:
        return self._of(id)[0]

    def words(self, id: str) -> LogProbs | None:
        """The same frames as the second head reads them, ``(T, V)``; ``None`` without one."""
        return self._of(id)[1]

    def why_not(self, id: str) -> str:
        """As ``Emitted.why_not``: the reason for which it could not be read."""
        return self._unreadable.get(id, "it has no emissions")

    def _of(self, id: str) -> tuple[LogProbs, LogProbs | None]:
        for place in (self._current, self._alone):
            if id in place:
                return place[id]
        self._alone = next(iter(self._batches([self._utterances[id]], 0)))
        if id not in self._alone:
            raise KeyError(f"{id}: {self.why_not(id)}")
        return self._alone[id]

    def _batches(self, utterances: Sequence[Utterance], num_workers: int) -> Iterator[_Rows]:
        """What could be read of each batch."""
        for batch, outputs in run_over(
            utterances,
            self._forward,
            batch_seconds=self._batch_seconds,
            min_samples=self.grid.window,
            filled_to=self._filled_to,
            device=self._device,
            num_workers=num_workers,
        ):
            self._unreadable.update(batch.unreadable)
            if outputs is None:
                yield {}
                continue
            rows = outputs.log_probs.float().cpu().numpy()  # (B, T, V)
            second = None if outputs.words is None else outputs.words.float().cpu().numpy()
            lengths = zip(batch.ids, outputs.num_frames.tolist(), strict=True)
            yield {
                id: (rows[i, :length], None if second is None else second[i, :length])
                for i, (id, length) in enumerate(lengths)
            }
