"""Utterances as tensors: one batch of padded waveforms and targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from slue_ner.core.types import Utterance
from slue_ner.data.loading.audio import AudioError, at_16_khz, read_audio
from slue_ner.data.loading.augment import AugmentOptions, augment
from slue_ner.data.loading.states import States

FrameLabels = Callable[[Utterance, int, float], Tensor]
"""Labels of an utterance's frames, ``(T,)`` long or ``(T, C)`` float; negative ones are ignored.

Called with the number of samples heard and their ratio to those of the utterance's own audio.
"""


@dataclass(frozen=True)
class Batch:
    """A batch on its way to the encoder; lengths are exact and padding is zero.

    Attributes:
        ids: utterance ids, ``B`` of them.
        waveforms: mono 16 kHz audio, ``(B, S)`` float32.
        num_samples: real length of each waveform, ``(B,)``.
        targets: symbol ids padded with 0, ``(B, U)``.
        num_targets: real length of each target, ``(B,)``.
        frame_labels: one class a frame, ``(B, T)`` long, or a yes or no for every class,
            ``(B, T, C)`` float; -1 beyond an utterance's end; ``None`` for CTC alone.
        clean: the waveforms without the filter, reverberation and noise that augmentation gave
            them, ``(B, S)``; ``None`` without augmentation.
        states: of a frozen encoder, ``(L, B, T, D)``, instead of waveforms, which then have no
            samples; zero beyond an utterance's end.
        unreadable: ``(id, reason)`` of the utterances left out because their audio cannot be
            read; the caller must count them.
    """

    ids: tuple[str, ...]
    waveforms: Tensor
    num_samples: Tensor
    targets: Tensor
    num_targets: Tensor
    frame_labels: Tensor | None = None
    clean: Tensor | None = None
    states: Tensor | None = None
    unreadable: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        """Number of utterances that could be read."""
        return len(self.ids)

    def to(self, device: torch.device | str) -> Batch:
        """The batch with its tensors on ``device``."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, for faster copies to a GPU."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self,
            waveforms=change(self.waveforms),
            num_samples=change(self.num_samples),
            targets=change(self.targets),
            num_targets=change(self.num_targets),
            frame_labels=None if self.frame_labels is None else change(self.frame_labels),
            clean=None if self.clean is None else change(self.clean),
            states=None if self.states is None else change(self.states),
        )


@dataclass(frozen=True)
class Example:
    """One utterance as tensors; ``error`` instead of a waveform when it cannot be read."""

    id: str
    waveform: Tensor | None  # (S,)
    target: Tensor  # (U,)
    error: str | None = None
    clean: Tensor | None = None  # (S,)
    states: Tensor | None = None  # (L, T, D)
    num_samples: int = 0
    frame_labels: Tensor | None = None  # (T,) or (T, C)


class UtteranceDataset(Dataset[Example]):
    """Utterances of a manifest; audio is read when it is asked for.

    Args:
        utterances: what to read.
        target: the symbol ids of an utterance; ``None`` for inference.
        min_samples: a shorter waveform gives the encoder no frame and is an error.
        max_kept_bytes: decoded waveforms kept in memory for the next epoch, first come first
            kept; decoding ogg costs about a tenth of training a small encoder on a CPU.
        augment: what is done to the audio of an index that comes with a seed.
        states: of a frozen encoder; audio is then not read at all.
        frame_labels: what the frames of an utterance are; ``None`` where nobody asks.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        *,
        target: Callable[[Utterance], list[int]] | None,
        min_samples: int,
        max_kept_bytes: int = 0,
        augment: AugmentOptions | None = None,
        states: States | None = None,
        frame_labels: FrameLabels | None = None,
    ) -> None:
        self.utterances = utterances
        self.frame_labels = frame_labels
        self.augment = augment
        self.states = states
        self.min_samples = min_samples
        self._kept: dict[int, Tensor] = {}
        self._free_bytes = max_kept_bytes
        self.targets = [
            torch.tensor(target(u) if target is not None else [], dtype=torch.long)
            for u in utterances
        ]

    def __len__(self) -> int:
        """Number of utterances."""
        return len(self.utterances)

    def __getitem__(self, key: int | tuple[int, Sequence[int]]) -> Example:
        """Read one utterance; unreadable audio comes back as an ``error``, never raised.

        Args:
            key: its index, or index and seed of its augmentation.
        """
        index, seed = (key, None) if isinstance(key, int) else key
        utterance = self.utterances[index]
        target = self.targets[index]
        if self.states is not None:
            example = _with_states(utterance, target, self.states)
            return self._labelled(example, utterance, example.num_samples)
        try:
            waveform = self._kept[index] if index in self._kept else self._read(utterance)
        except AudioError as error:
            return Example(utterance.id, None, target, str(error))
        if index not in self._kept and waveform.nbytes <= self._free_bytes:
            self._free_bytes -= waveform.nbytes
            self._kept[index] = waveform
        if self.augment is None or seed is None:
            return self._labelled(Example(utterance.id, waveform, target), utterance, len(waveform))
        clean, changed = augment(waveform.numpy(), self.augment, np.random.default_rng(seed))
        example = Example(
            utterance.id, torch.from_numpy(changed), target, clean=torch.from_numpy(clean)
        )
        return self._labelled(example, utterance, len(changed), len(changed) / len(waveform))

    def _labelled(
        self, example: Example, utterance: Utterance, num_samples: int, stretch: float = 1.0
    ) -> Example:
        if self.frame_labels is None or example.error is not None:
            return example
        return replace(example, frame_labels=self.frame_labels(utterance, num_samples, stretch))

    def _read(self, utterance: Utterance) -> Tensor:
        return torch.from_numpy(read_utterance(utterance, min_samples=self.min_samples))  # (S,)


def read_utterance(utterance: Utterance, *, min_samples: int) -> NDArray[np.float32]:
    """The audio of an utterance, as ``read_audio``.

    Raises:
        AudioError: as ``read_audio``; and when there is no audio, when it is shorter than
            ``min_samples``, or of another length than ``prepare`` found.
    """
    if utterance.audio is None:
        raise AudioError(f"utterance {utterance.id} has no audio: its manifest names none")
    waveform = read_audio(utterance.audio)
    expected = utterance.num_samples
    if expected is not None:
        expected = at_16_khz(expected, utterance.sample_rate)
    if expected not in (None, len(waveform)):
        raise AudioError(
            f"{utterance.audio}: {len(waveform)} samples at 16 kHz, but the manifest says "
            f"{expected}; it has changed since then, run `slue-ner prepare` again"
        )
    if len(waveform) < min_samples:
        raise AudioError(
            f"{utterance.audio}: {len(waveform)} samples are too few for one frame, "
            f"which takes {min_samples}"
        )
    return waveform


def _with_states(utterance: Utterance, target: Tensor, states: States) -> Example:
    if utterance.id in states.errors:
        return Example(utterance.id, None, target, states.errors[utterance.id])
    return Example(
        utterance.id,
        torch.zeros(0),
        target,
        states=states.read(utterance.id),
        num_samples=utterance.num_samples or 0,
    )


def collate(examples: Sequence[Example]) -> Batch:
    """Pad examples into a batch; those with an error are listed, not padded in."""
    readable = [(e, e.waveform) for e in examples if e.waveform is not None]
    waveforms = [waveform for _, waveform in readable]
    targets = [example.target for example, _ in readable]
    clean = [example.clean for example, _ in readable if example.clean is not None]
    states = [example.states for example, _ in readable if example.states is not None]
    labels = [e.frame_labels for e, _ in readable if e.frame_labels is not None]
    lengths = [example.num_samples or len(waveform) for example, waveform in readable]
    return Batch(
        ids=tuple(example.id for example, _ in readable),
        waveforms=_pad(waveforms, torch.float32),  # (B, S)
        num_samples=torch.tensor(lengths, dtype=torch.long),
        targets=_pad(targets, torch.long),  # (B, U)
        num_targets=torch.tensor([len(target) for target in targets], dtype=torch.long),
        frame_labels=pad_sequence(labels, batch_first=True, padding_value=-1) if labels else None,
        clean=_pad(clean, torch.float32) if clean else None,  # (B, S)
        states=_pad_states(states) if states else None,  # (L, B, T, D)
        unreadable=tuple((e.id, e.error) for e in examples if e.error is not None),
    )


def _pad(rows: list[Tensor], dtype: torch.dtype) -> Tensor:
    if not rows:
        return torch.zeros(0, 0, dtype=dtype)
    # numpy copies in this thread; torch would start its threads anew for every row
    padded = np.zeros((len(rows), max(len(row) for row in rows)), dtype=rows[0].numpy().dtype)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row.numpy()
    return torch.from_numpy(padded)


def _pad_states(rows: list[Tensor]) -> Tensor:
    num_layers, _, size = rows[0].shape
    longest = max(row.shape[1] for row in rows)
    padded = torch.zeros(num_layers, len(rows), longest, size, dtype=rows[0].dtype)
    for i, row in enumerate(rows):
        padded[:, i, : row.shape[1]] = row
    return padded
