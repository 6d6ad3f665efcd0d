"""Frames, which an encoder emits and every head reads, and lengths of a padded batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from slue_ner.core.time import FrameGrid


@dataclass(frozen=True, slots=True)
class Frames:
    """Encoder output for a batch; positions beyond ``num_frames`` hold no information.

    Attributes:
        values: ``(B, T, D)``; the last hidden state, or the highest layer that was asked for.
        num_frames: real frames of each utterance, ``(B,)`` long, each in ``[1, T]``.
        layers: the layers asked for, in the order asked, ``(L, B, T, D)``; ``None`` for "last".
    """

    values: Tensor
    num_frames: Tensor
    layers: Tensor | None = None

    @property
    def valid(self) -> Tensor:
        """True where a frame is real, ``(B, T)``."""
        return valid_positions(self.num_frames, self.values.shape[1])


def valid_positions(num_valid: Tensor, total: int) -> Tensor:
    """True at the first ``num_valid[b]`` of ``total`` positions, ``(B, total)`` bool."""
    return torch.arange(total, device=num_valid.device) < num_valid[:, None]


def frames_of(num_samples: Tensor, grid: FrameGrid) -> Tensor:
    """``grid.num_frames`` of each utterance, ``(B,)``, for those of at least one window."""
    return 1 + (num_samples - grid.window) // grid.hop


def check_lengths(waveforms: Tensor, num_samples: Tensor, *, grid: FrameGrid) -> bool:
    """Check that every utterance fits the batch and fills at least one window.

    Args:
        waveforms: ``(B, S)``.
        num_samples: ``(B,)``.
        grid: the encoder's grid.

    Returns:
        Whether any row is padded.

    Raises:
        ValueError: naming the position in the batch and the lengths.
    """
    if waveforms.ndim != 2 or num_samples.shape != waveforms.shape[:1]:
        raise ValueError(
            "SpeechEncoder needs waveforms (B, S) and num_samples (B,), got shapes "
            f"{tuple(waveforms.shape)} and {tuple(num_samples.shape)}"
        )
    lengths: list[int] = num_samples.tolist()
    total = waveforms.shape[1]
    for position, length in enumerate(lengths):
        if not grid.window <= length <= total:
            raise ValueError(
                f"SpeechEncoder: utterance {position} of the batch has {length} samples but "
                f"needs at least {grid.window} (one window) and at most the batch's {total}; "
                "leave shorter utterances out"
            )
    return min(lengths, default=total) < total


def check_at_once(num_samples: Tensor, longest: int, *, grid: FrameGrid, name: str) -> None:
    """Check that an encoder in training can hear every utterance without windows.

    Args:
        num_samples: ``(B,)``.
        longest: most frames that it hears at once.
        grid: the encoder's grid.
        name: of its family.

    Raises:
        ValueError: naming the position in the batch, the length and the longest.
    """
    for position, length in enumerate(num_samples.tolist()):
        if grid.num_frames(length) > longest:
            raise ValueError(
                f"{name} hears {longest * grid.frame_seconds:g} s at once, but utterance "
                f"{position} of the batch has {length / grid.sample_rate:.2f} s; leave longer ones "
                "out of training with data.max_seconds"
            )
