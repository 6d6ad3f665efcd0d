"""Frames: what an encoder emits and every head reads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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
