"""The waveform front end: convolutions and group norms whose real frames never see padding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from slue_ner.core.time import FrameGrid
from slue_ner.models.encoder.frames import valid_positions


def normalize_waveforms(waveforms: Tensor, num_samples: Tensor) -> Tensor:
    """Zero mean and unit variance over each utterance's own samples, zeros beyond its end.

    Source: transformers' Wav2Vec2FeatureExtractor with ``do_normalize``.

    Args:
        waveforms: ``(B, S)``.
        num_samples: ``(B,)``.
    """
    padding = ~valid_positions(num_samples, waveforms.shape[1])
    count = num_samples[:, None]
    mean = waveforms.masked_fill(padding, 0.0).sum(1, keepdim=True) / count
    centered = (waveforms - mean).masked_fill(padding, 0.0)
    variance = centered.square().sum(1, keepdim=True) / count
    return centered * (variance + 1e-7).rsqrt()


def convolution_grid(config: Any) -> FrameGrid:
    """The frame grid of a config's stack of waveform convolutions."""
    return FrameGrid.from_convolutions(config.conv_kernel, config.conv_stride)


def convolve(layers: Any, waveforms: Tensor, num_samples: Tensor, *, padded: bool) -> Tensor:
    """Run the waveform convolutions.

    They use no padding of their own, so a frame inside an utterance never sees samples beyond
    it; only a normalisation over time could, hence ``MaskedGroupNorm``.

    Args:
        layers: transformers' ``feature_extractor.conv_layers``.
        waveforms: ``(B, S)``.
        num_samples: ``(B,)``.
        padded: whether any row is shorter than ``S``.

    Returns:
        ``(B, T, C)``.
    """
    if waveforms.device.type == "cpu" and not _sees_padding(layers):
        return _row_by_row(layers, waveforms, num_samples)
    return _at_once(layers, waveforms, num_samples if padded else None)


def mask_group_norms(layers: Any) -> None:
    """Swap every GroupNorm of the waveform convolutions for its masked form, in place."""
    for layer in layers:
        if isinstance(getattr(layer, "layer_norm", None), nn.GroupNorm):
            layer.layer_norm = MaskedGroupNorm(layer.layer_norm)


def _sees_padding(layers: Any) -> bool:
    return any(isinstance(getattr(layer, "layer_norm", None), nn.GroupNorm) for layer in layers)


def _row_by_row(layers: Any, waveforms: Tensor, num_samples: Tensor) -> Tensor:
    """Each utterance alone: padding costs nothing, and the widest layer stays in the cache.

    At once it is many times the size above which the C library asks the kernel for fresh pages
    at every call, half the time of the whole front end.
    """
    lengths = num_samples.tolist()
    rows = [
        _at_once(layers, waveforms[row : row + 1, :length], None)
        for row, length in enumerate(lengths)
    ]
    num_frames = waveforms.shape[1]
    for layer in layers:
        num_frames = 1 + (num_frames - layer.conv.kernel_size[0]) // layer.conv.stride[0]
    return torch.cat([functional.pad(row, (0, 0, 0, num_frames - row.shape[1])) for row in rows])


def _at_once(layers: Any, waveforms: Tensor, num_samples: Tensor | None) -> Tensor:
    """The whole batch; ``num_samples`` is ``None`` when no row is padded."""
    values = waveforms[:, None]  # (B, 1, S)
    for layer in layers:
        norm = getattr(layer, "layer_norm", None)
        if isinstance(norm, MaskedGroupNorm):  # the first layer of base-style encoders
            [kernel], [stride] = layer.conv.kernel_size, layer.conv.stride
            num_steps = None if num_samples is None else 1 + (num_samples - kernel) // stride
            values = layer.activation(norm(layer.conv(values), num_steps))
        else:
            values = layer(values)
    return values.transpose(1, 2)  # (B, T, C)


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
