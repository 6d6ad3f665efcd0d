"""Mixing: which of an encoder's hidden states the head reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from slue_ner.models.encoder.frames import Frames

Layers = Sequence[int] | Literal["last"]
"""Indices into the encoder's states (0 = input of the first block), or its last hidden state."""


class MixingKind(Enum):
    """The ways to mix."""

    last = "last"
    layer = "layer"
    weighted_sum = "weighted_sum"


@dataclass(kw_only=True)
class MixingOptions:
    """Which states, and how they become one.

    Attributes:
        kind: ``last`` (last hidden state), ``layer`` (one state) or ``weighted_sum``.
        layer: for ``layer``: index in [0, number of blocks]; ``None`` is the highest.
        layers: for ``weighted_sum``: indices to sum over; ``None`` is all of them.
        normalize: for ``weighted_sum``: normalise each layer (no learned scale) before the sum.
    """

    kind: MixingKind = MixingKind.last
    layer: int | None = None
    layers: list[int] | None = None
    normalize: bool = False

    def layers_needed(self, num_layers: int) -> Layers:
        """States to ask an encoder of ``num_layers`` blocks for.

        Raises:
            ValueError: naming the index and the allowed range.
        """
        if self.layer is not None and self.kind is not MixingKind.layer:
            raise ValueError(
                f"mixing={self.kind.value} takes no layer, got layer={self.layer}; "
                "use mixing=layer or leave it out"
            )
        if self.kind is not MixingKind.weighted_sum and (self.layers is not None or self.normalize):
            raise ValueError(
                f"mixing={self.kind.value} takes no layers and no normalize; "
                "use mixing=weighted_sum or leave them out"
            )
        if self.kind is MixingKind.last:
            return "last"
        if self.kind is MixingKind.layer:
            indices = [num_layers if self.layer is None else self.layer]
        else:
            indices = list(range(num_layers + 1)) if self.layers is None else list(self.layers)
        check_layers(indices, num_layers=num_layers, what=f"mixing={self.kind.value}")
        return indices


def check_layers(indices: Sequence[int], *, num_layers: int, what: str) -> None:
    """Raise ``ValueError`` unless ``indices`` are distinct states of ``num_layers`` blocks."""
    outside = [index for index in indices if not 0 <= index <= num_layers]
    if outside or not indices:
        raise ValueError(
            f"{what} needs layers in [0, {num_layers}] (0 is the input of the first block), "
            f"got {list(indices)}"
        )
    if len(set(indices)) != len(indices):
        raise ValueError(f"{what} needs distinct layers, got {list(indices)}")


class LastLayer(nn.Module):
    """The encoder's last hidden state as it is."""

    layers_needed: Layers = "last"

    def forward(self, frames: Frames) -> Tensor:
        """``(B, T, D)``."""
        return frames.values


class SingleLayer(nn.Module):
    """One hidden state; nothing above it is computed."""

    def __init__(self, layer: int) -> None:
        super().__init__()
        self.layers_needed: Layers = [layer]

    def forward(self, frames: Frames) -> Tensor:
        """``(B, T, D)``."""
        return _layers(frames, self.layers_needed)[0].to(frames.values.dtype)


class WeightedSum(nn.Module):
    """Softmax-weighted average of hidden states (SUPERB, arXiv:2105.01051).

    Weights start equal, so an untrained mix is the plain mean over layers.
    """

    def __init__(self, layers: Sequence[int], *, normalize: bool = False) -> None:
        super().__init__()
        self.layers_needed: Layers = list(layers)
        self.normalize = normalize
        self.logits = nn.Parameter(torch.zeros(len(layers)))

    @property
    def weights(self) -> Tensor:
        """Share of each layer, ``(L,)``, summing to 1."""
        return self.logits.softmax(dim=0)

    def forward(self, frames: Frames) -> Tensor:
        """``(B, T, D)``.

        Raises:
            ValueError: if the frames hold other than the layers asked for.
        """
        layers = _layers(frames, self.layers_needed)  # (L, B, T, D)
        if not layers.requires_grad:
            mixed: Tensor = _SumOfFixed.apply(layers, self.weights, self.normalize)  # type: ignore[no-untyped-call]
            return mixed
        if self.normalize:
            layers = functional.layer_norm(layers, layers.shape[-1:])
        weights = self.weights.to(layers.dtype)
        return torch.einsum("l,lbtd->btd", weights, layers)


class _SumOfFixed(torch.autograd.Function):
    """The weighted sum of states that are not trained, of any type, in the type of the weights.

    On a CPU one utterance is read after another, so that what is converted stays in its caches.
    """

    @staticmethod
    def forward(ctx: Any, layers: Tensor, weights: Tensor, normalize: bool) -> Tensor:
        ctx.save_for_backward(layers)
        ctx.normalize = normalize
        mixed = weights.new_empty(layers.shape[1:])
        with torch.autocast(layers.device.type, enabled=False):
            for states, out in zip(_portions(layers, dim=1), _portions(mixed, dim=0), strict=True):
                ready = _ready(states, weights.dtype, normalize=normalize)
                out.copy_(torch.tensordot(weights, ready, dims=1))
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        (layers,) = ctx.saved_tensors
        of_weights = grad.new_zeros(len(layers))
        with torch.autocast(layers.device.type, enabled=False):
            for states, part in zip(_portions(layers, dim=1), _portions(grad, dim=0), strict=True):
                ready = _ready(states, grad.dtype, normalize=ctx.normalize)
                of_weights += ready.flatten(1) @ part.flatten()  # (L,)
        return None, of_weights, None


def _portions(values: Tensor, *, dim: int) -> Sequence[Tensor]:
    """Utterance by utterance on a CPU, all at once elsewhere."""
    return torch.split(values, 1, dim=dim) if values.device.type == "cpu" else [values]


def _ready(states: Tensor, dtype: torch.dtype, *, normalize: bool) -> Tensor:
    states = states.to(dtype)
    return functional.layer_norm(states, states.shape[-1:]) if normalize else states


Mixing = LastLayer | SingleLayer | WeightedSum


def build_mixing(options: MixingOptions, *, num_layers: int) -> Mixing:
    """The mixing that ``options`` describe, for an encoder of ``num_layers`` blocks.

    Raises:
        ValueError: as ``MixingOptions.layers_needed``.
    """
    layers = options.layers_needed(num_layers)
    if isinstance(layers, str):
        return LastLayer()
    if options.kind is MixingKind.layer:
        return SingleLayer(layers[0])
    return WeightedSum(layers, normalize=options.normalize)


def _layers(frames: Frames, needed: Layers) -> Tensor:
    if frames.layers is None or len(frames.layers) != len(needed):
        held = "no layers" if frames.layers is None else f"{len(frames.layers)} layers"
        raise ValueError(
            f"mixing needs layers {needed} but got {held}; call the encoder with "
            "layers=mix.layers_needed"
        )
    return frames.layers
