"""The CTC head: frames to log-probabilities of symbols."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CTCHead(nn.Module):
    """Dropout and one linear layer, as the SLUE baselines use it."""

    def __init__(self, hidden_size: int, *, vocabulary_size: int, dropout: float = 0.0) -> None:
        super().__init__()
        if vocabulary_size < 2:
            raise ValueError(
                f"CTCHead needs a blank and at least one symbol, got vocabulary_size="
                f"{vocabulary_size}"
            )
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"CTCHead needs a dropout in [0, 1), got {dropout}")
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(hidden_size, vocabulary_size)

    def forward(self, values: Tensor) -> Tensor:
        """Log-probabilities of every symbol at every frame.

        Args:
            values: mixed frames, ``(B, T, D)``.

        Returns:
            ``(B, T, V)`` float32, also under autocast: CTC in half precision overflows.
        """
        logits = self.projection(self.dropout(values))
        return torch.log_softmax(logits.float(), dim=-1)
