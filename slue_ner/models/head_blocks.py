"""Blocks of a head: from mixed frames to what its last linear layer reads."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

KINDS = ("linear", "conv", "transformer")
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
        if self.kind not in KINDS:
            raise ValueError(f"head.kind={self.kind!r} should be linear, conv or transformer")
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
    blocks = _BLOCKS[options.kind](hidden_size, options, dropout)
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
            changed = convolution(seen.transpose(1, 2)).transpose(1, 2)
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


_BLOCKS = {"linear": _Nothing, "conv": _Convolutions, "transformer": _Attention}
