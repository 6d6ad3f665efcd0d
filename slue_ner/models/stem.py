"""The stem: from projected features to the input of the first block."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

NARROW = 16  # channels a group


def enter_blocks(model: Any, hidden: Tensor, valid: Tensor | None) -> tuple[Tensor, dict[str, Any]]:
    """Input of the first block, and the keyword arguments that every block takes.

    Args:
        model: a transformers speech model.
        hidden: projected (and in training masked) features, ``(B, T, D)``.
        valid: True at real frames, ``(B, T)``; ``None`` when there is no padding.
    """
    if valid is not None:
        hidden = hidden.masked_fill(~valid[..., None], 0.0)
    if model.config.model_type == "whisper":
        hidden = hidden + model.embed_positions.weight[: hidden.shape[1]]
        training = model.embed_positions.training  # off where the stem is kept as it is
        hidden = functional.dropout(hidden, p=model.dropout, training=training)
        return hidden, {"attention_mask": _attention_mask(valid)}
    encoder = model.encoder
    if hasattr(encoder, "embed_positions"):
        return _enter_conformer(encoder, hidden, valid)
    exact = hidden.device.type == "cpu" and _is_narrow(encoder.pos_conv_embed)
    with torch.autocast("cpu", enabled=False) if exact else nullcontext():
        hidden = hidden.float() if exact else hidden
        hidden = hidden + positional_embedding(encoder.pos_conv_embed, hidden, valid)
    if not getattr(model.config, "do_stable_layer_norm", False):
        hidden = encoder.layer_norm(hidden)
    hidden = encoder.dropout(hidden)
    if model.config.model_type == "wavlm":  # takes the plain mask, and a bias of its own making
        return hidden, {"attention_mask": valid, "position_bias": None}
    return hidden, {"attention_mask": _attention_mask(valid)}


def convolve_mel(model: Any, features: Tensor, valid: Tensor | None) -> Tensor:
    """Whisper's two convolutions over mel frames, with silence of zeros beyond each end.

    Args:
        model: transformers' ``WhisperEncoder``.
        features: two mel frames side by side, ``(B, T, 2 * M)``, zero at padding.
        valid: True at real frames, ``(B, T)``; ``None`` when there is no padding.

    Returns:
        ``(B, T, D)``.
    """
    mel = features.reshape(len(features), 2 * features.shape[1], -1).transpose(1, 2)  # (B, M, 2T)
    values = functional.gelu(model.conv1(mel))
    if valid is not None:  # the second convolution would read what the first left behind the end
        values = values * valid.repeat_interleave(2, dim=1)[:, None]
    return functional.gelu(model.conv2(values)).transpose(1, 2)


def positional_embedding(embedding: Any, hidden: Tensor, valid: Tensor | None) -> Tensor:
    """Convolutional position embedding that sees zeros beyond each utterance's end.

    An utterance alone meets the zero padding of every convolution at its own end. In a batch the
    same must hold, so padding is zeroed before each convolution: data2vec stacks several with
    normalisations between them, and some HuBERT models put a batch norm in front.

    Args:
        embedding: transformers' ``pos_conv_embed``.
        hidden: ``(B, T, D)``, zero at padding.
        valid: True at real frames, ``(B, T)``; ``None`` when there is no padding.

    Returns:
        ``(B, T, D)``.
    """
    stacked = hasattr(embedding, "layers")
    batch_norm = getattr(embedding, "batch_norm", None)
    if valid is None or not (stacked or batch_norm is not None):
        embedded: Tensor = embedding(hidden)
        return embedded
    padding = ~valid[:, None]  # (B, 1, T)
    values = hidden.transpose(1, 2)  # (B, D, T)
    if batch_norm is None:
        for layer in embedding.layers:
            values = layer(values).masked_fill(padding, 0.0)
    else:
        values = batch_norm(values).masked_fill(padding, 0.0)
        values = embedding.activation(embedding.padding(embedding.conv(values)))
    return values.transpose(1, 2)


def _is_narrow(embedding: nn.Module) -> bool:
    """Whether a convolution has groups so narrow that torch 2.11's bfloat16 kernel fails.

    On CPUs with AMX it then returns noise (seen up to 12 channels a group; real models have 48).
    """
    return any(
        isinstance(part, nn.Conv1d) and part.in_channels // part.groups < NARROW
        for part in embedding.modules()
    )


def _enter_conformer(
    encoder: Any, hidden: Tensor, valid: Tensor | None
) -> tuple[Tensor, dict[str, Any]]:
    hidden = encoder.dropout(hidden)
    positions = None
    if encoder.embed_positions is not None:
        # rotary tables made under inference mode cannot be trained through, so never reuse them
        encoder.embed_positions.cached_sequence_length = None
        positions = encoder.embed_positions(hidden)
    return hidden, {
        "attention_mask": _attention_mask(valid),
        "relative_position_embeddings": positions,
        "conv_attention_mask": valid,
    }


def _attention_mask(valid: Tensor | None) -> Tensor | None:
    """What ``scaled_dot_product_attention`` takes, ``(B, 1, 1, T)`` bool.

    transformers' own function asks the device whether there is any padding, which stalls it.
    """
    return None if valid is None else valid[:, None, None, :]
