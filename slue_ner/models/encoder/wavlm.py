"""WavLM's gated relative attention, with projections that adapters can reach.

transformers 5.23 hands ``q_proj.weight`` straight to a functional attention, around any adapter
that wraps the module (huggingface/transformers#48773), so LoRA would train nothing. This file can
go when the stock attention calls its projections.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class GatedRelativeAttention(nn.Module):
    """Drop-in for transformers' ``WavLMAttention``: same parameters, same values.

    Source: WavLM, arXiv:2110.13900, section on the gated relative position bias.
    """

    def __init__(self, stock: Any) -> None:
        super().__init__()
        self.num_heads: int = stock.num_heads
        self.head_dim: int = stock.head_dim
        self.dropout: float = stock.dropout
        self.num_buckets: int = stock.num_buckets
        self.max_distance: int = stock.max_distance
        self.q_proj: nn.Module = stock.q_proj
        self.k_proj: nn.Module = stock.k_proj
        self.v_proj: nn.Module = stock.v_proj
        self.out_proj: nn.Module = stock.out_proj
        self.gru_rel_pos_const: nn.Parameter = stock.gru_rel_pos_const
        self.gru_rel_pos_linear: nn.Linear = stock.gru_rel_pos_linear
        if hasattr(stock, "rel_attn_embed"):  # the first block only; the others share its bias
            self.rel_attn_embed: nn.Embedding = stock.rel_attn_embed

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_bias: Tensor | None = None,
        index: int = 0,
    ) -> tuple[Tensor, None, Tensor]:
        """Attend within each utterance.

        Args:
            hidden_states: ``(B, T, D)``.
            attention_mask: True at real frames, ``(B, T)``; ``None`` when there is no padding.
            position_bias: ``(H, T, T)`` from the first block; ``None`` in the first block.
            index: block number; part of the stock interface and not needed here.

        Returns:
            Output ``(B, T, D)``, ``None`` in place of attention weights, and the position bias.
        """
        num_frames = hidden_states.shape[1]
        if position_bias is None:
            position_bias = self._position_bias(num_frames)
        bias = self._gate(hidden_states) * position_bias  # (B, H, T, T)
        if attention_mask is not None:
            bias = bias.masked_fill(~attention_mask[:, None, None, :], -math.inf)
        query, key, value = (
            self._split(projection(hidden_states))
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        attended = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=bias.to(query.dtype),
            dropout_p=self.dropout if self.training else 0.0,
        )  # (B, H, T, D / H)
        attended = attended.transpose(1, 2).flatten(2)  # (B, T, D)
        return self.out_proj(attended), None, position_bias

    def _split(self, values: Tensor) -> Tensor:
        batch, num_frames, _ = values.shape
        return values.view(batch, num_frames, self.num_heads, self.head_dim).transpose(1, 2)

    def _gate(self, hidden_states: Tensor) -> Tensor:
        """How strongly each query frame follows the position bias, ``(B, H, T, 1)``."""
        projected = self.gru_rel_pos_linear(self._split(hidden_states))  # (B, H, T, 8)
        summed = projected.view(*projected.shape[:-1], 2, 4).sum(-1)  # (B, H, T, 2)
        update, reset = summed.sigmoid().chunk(2, dim=-1)
        gate: Tensor = update * (reset * self.gru_rel_pos_const - 1.0) + 2.0
        return gate

    def _position_bias(self, num_frames: int) -> Tensor:
        position = torch.arange(num_frames, device=self.rel_attn_embed.weight.device)
        distance = position[None, :] - position[:, None]  # key minus query
        buckets = _buckets(distance, self.num_buckets, self.max_distance)
        bias: Tensor = self.rel_attn_embed(buckets)
        return bias.permute(2, 0, 1)  # (H, T, T)


def replace_attention(blocks: Any) -> None:
    """Swap the attention of every WavLM block for ``GatedRelativeAttention``, in place."""
    for block in blocks:
        block.attention = GatedRelativeAttention(block.attention)


def _buckets(distance: Tensor, num_buckets: int, max_distance: int) -> Tensor:
    """Half the buckets per direction; half of those one frame wide, the rest logarithmic."""
    per_side = num_buckets // 2
    exact = per_side // 2
    length = distance.abs()
    # the stock order of operations, so that bucket edges fall on the same frames
    logarithm = torch.log(length.clamp(min=1).float() / exact) / math.log(max_distance / exact)
    wide = (exact + logarithm * (per_side - exact)).long().clamp(max=per_side - 1)
    side = (distance > 0).long() * per_side
    return side + torch.where(length < exact, length, wide)
