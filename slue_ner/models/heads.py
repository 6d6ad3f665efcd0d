"""Heads: mixed frames to log-probabilities of symbols, or to a logit a class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from slue_ner.models.encoder.frames import valid_positions


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


NUM_ATTENTION_HEADS = 4


@dataclass(kw_only=True)
class BlockOptions:
    """What stands between the encoder and a head's last linear layer.

    Attributes:
        kind: ``linear`` (nothing), ``conv`` (residual convolutions over time) or ``transformer``
            (self-attention over the utterance; the encoder's frames must tell their order).
        size: width of the blocks; unused when linear.
        num_layers: blocks; unused when linear.
        kernel: frames that a convolution sees, odd; for ``conv``.
    """

    kind: str
    size: int
    num_layers: int
    kernel: int

    def __post_init__(self) -> None:
        if self.kind not in BLOCKS:
            *others, last = BLOCKS
            kinds = f"{', '.join(others)} or {last}"
            raise ValueError(f"head.kind={self.kind!r} should be {kinds}")
        if min(self.size, self.num_layers, self.kernel) < 1 or self.kernel % 2 == 0:
            raise ValueError(
                "head needs size, num_layers and kernel of at least 1 and an odd kernel, got "
                f"{self.size}, {self.num_layers} and {self.kernel}"
            )
        if self.kind == "transformer" and self.size % NUM_ATTENTION_HEADS:
            raise ValueError(
                f"head.size={self.size} of a transformer must be a multiple of "
                f"{NUM_ATTENTION_HEADS}, its attention heads"
            )


def head_blocks(hidden_size: int, options: BlockOptions, dropout: float) -> tuple[nn.Module, int]:
    """Blocks that take ``(B, T, hidden_size)`` and ``(B, T)`` valid positions, and their width.

    An utterance's output does not depend on its batch mates.

    Args:
        hidden_size: width of the encoder.
        options: kind and size.
        dropout: within every block.
    """
    blocks = BLOCKS[options.kind](hidden_size, options, dropout)
    return blocks, hidden_size if options.kind == "linear" else options.size


class _Nothing(nn.Module):
    def __init__(self, hidden_size: int, options: BlockOptions, dropout: float) -> None:
        super().__init__()

    def forward(self, values: Tensor, valid: Tensor) -> Tensor:
        return values


class _Convolutions(nn.Module):
    """Blocks of layer norm, convolution over time and GELU, each added to its input."""

    def __init__(self, hidden_size: int, options: BlockOptions, dropout: float) -> None:
        super().__init__()
        size, kernel = options.size, options.kernel
        self.enter = nn.Linear(hidden_size, size)
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(options.num_layers))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size, size, kernel, padding=kernel // 2) for _ in range(options.num_layers)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: Tensor, valid: Tensor) -> Tensor:
        hidden: Tensor = self.enter(values)  # (B, T, size)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            seen = norm(hidden).masked_fill(~valid[..., None], 0.0)
            changed = convolution(seen.transpose(1, 2)).transpose(1, 2)  # (B, T, size)
            hidden = hidden + self.dropout(functional.gelu(changed))
        return hidden


class _Attention(nn.Module):
    """Stock transformer blocks, normalised before attention and feed-forward."""

    def __init__(self, hidden_size: int, options: BlockOptions, dropout: float) -> None:
        super().__init__()
        self.enter = nn.Linear(hidden_size, options.size)
        block = nn.TransformerEncoderLayer(
            options.size,
            NUM_ATTENTION_HEADS,
            dim_feedforward=4 * options.size,
            dropout=dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(
            block,
            options.num_layers,
            norm=nn.LayerNorm(options.size),
            enable_nested_tensor=False,  # warns, and leaves the padded rows out
        )

    def forward(self, values: Tensor, valid: Tensor) -> Tensor:
        hidden: Tensor = self.encoder(self.enter(values), src_key_padding_mask=~valid)
        return hidden


BLOCKS: dict[str, Callable[[int, BlockOptions, float], nn.Module]] = {
    "linear": _Nothing,
    "conv": _Convolutions,
    "transformer": _Attention,
}
"""Kinds of blocks by name; each is made of the encoder's width, its options and its dropout."""
