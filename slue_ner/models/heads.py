"""The CTC head: frames to log-probabilities of symbols."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from slue_ner.models.frames import valid_positions
from slue_ner.models.head_blocks import BlockOptions, head_blocks


class CTCHead(nn.Module):
    """Dropout and one linear layer, as the SLUE baselines use it, behind blocks where asked for.

    Args:
        hidden_size: width of the encoder.
        vocabulary_size: symbols, the blank included.
        dropout: before the linear layer and within the blocks.
        blocks: what stands in front; ``None`` for nothing.
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        vocabulary_size: int,
        dropout: float = 0.0,
        blocks: BlockOptions | None = None,
    ) -> None:
        super().__init__()
        if vocabulary_size < 2:
            raise ValueError(
                f"CTCHead needs a blank and at least one symbol, got vocabulary_size="
                f"{vocabulary_size}"
            )
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"CTCHead needs a dropout in [0, 1), got {dropout}")
        self.blocks: nn.Module | None = None
        size = hidden_size
        if blocks is not None and blocks.kind != "linear":
            self.blocks, size = head_blocks(hidden_size, blocks, dropout)
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(size, vocabulary_size)

    def forward(self, values: Tensor, num_frames: Tensor) -> Tensor:
        """Log-probabilities of every symbol at every frame.

        Args:
            values: mixed frames, ``(B, T, D)``.
            num_frames: real frames of each utterance, ``(B,)``.

        Returns:
            ``(B, T, V)`` float32, also under autocast: CTC in half precision overflows.
        """
        if self.blocks is not None:
            values = self.blocks(values, valid_positions(num_frames, values.shape[1]))
        logits = self.projection(self.dropout(values))
        return torch.log_softmax(logits.float(), dim=-1)
