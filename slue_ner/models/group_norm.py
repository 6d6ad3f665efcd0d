"""Group normalisation that does not see padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from slue_ner.models.frames import valid_positions


class MaskedGroupNorm(nn.Module):
    """Per-channel normalisation over an utterance's own time steps.

    Base-style encoders normalise each channel of their first convolution over time. The stock
    layer averages over the whole padded row, so an utterance's features depend on its batch
    mates (pytorch/audio#3094). Parameters keep the stock names, so checkpoints load as they are.
    """

    def __init__(self, stock: nn.GroupNorm) -> None:
        super().__init__()
        if stock.num_groups != stock.num_channels:
            raise ValueError(
                f"MaskedGroupNorm needs one group per channel, got {stock.num_groups} groups for "
                f"{stock.num_channels} channels; set stock_group_norm=true"
            )
        self.eps = stock.eps
        self.weight = stock.weight
        self.bias = stock.bias

    def forward(self, values: Tensor, num_valid: Tensor | None) -> Tensor:
        """Normalise ``values``.

        Args:
            values: ``(B, C, N)``.
            num_valid: real steps of each row, ``(B,)``; ``None`` when no row is padded.

        Returns:
            ``(B, C, N)``; beyond ``num_valid`` it holds the bias.
        """
        if num_valid is None:
            return functional.group_norm(values, len(self.weight), self.weight, self.bias, self.eps)
        padding = ~valid_positions(num_valid, values.shape[-1])[:, None]  # (B, 1, N)
        count = num_valid[:, None, None]
        with torch.autocast(values.device.type, enabled=False):
            exact = values.float()
            mean = exact.masked_fill(padding, 0.0).sum(-1, keepdim=True) / count
            centered = (exact - mean).masked_fill(padding, 0.0)
            variance = centered.square().sum(-1, keepdim=True) / count
            scale = self.weight[:, None] * (variance + self.eps).rsqrt()
            normalized = torch.addcmul(self.bias[:, None], centered, scale)
        return normalized.to(values.dtype)
