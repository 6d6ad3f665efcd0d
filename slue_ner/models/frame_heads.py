"""Frame heads: mixed frames to one logit a class at every frame."""

from __future__ import annotations

from torch import Tensor, nn

from slue_ner.models.frames import valid_positions
from slue_ner.models.head_blocks import BlockOptions, head_blocks


class FrameHead(nn.Module):
    """Classifies every frame; an utterance's logits do not depend on its batch mates.

    Args:
        hidden_size: width of the encoder.
        num_classes: logits a frame.
        options: kind and size.
        dropout: before the last linear layer and in every block.
    """

    def __init__(
        self, hidden_size: int, *, num_classes: int, options: BlockOptions, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"FrameHead needs a dropout in [0, 1), got {dropout}")
        self.blocks, size = head_blocks(hidden_size, options, dropout)
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(size, num_classes)

    def forward(self, values: Tensor, num_frames: Tensor) -> Tensor:
        """Logits of every class at every frame.

        Args:
            values: mixed frames, ``(B, T, D)``.
            num_frames: real frames of each utterance, ``(B,)``.

        Returns:
            ``(B, T, C)`` float32; rows past an utterance's end are meaningless.
        """
        hidden = self.blocks(values, valid_positions(num_frames, values.shape[1]))
        logits: Tensor = self.projection(self.dropout(hidden))
        return logits.float()
