"""The stem: from projected features to the input of the first block."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def enter_blocks(model: Any, hidden: Tensor, valid: Tensor | None) -> tuple[Tensor, dict[str, Any]]:
    """Input of the first block, and the keyword arguments that every block takes.

    Args:
        model: a transformers speech model.
        hidden: projected (and in training masked) features, ``(B, T, D)``.
        valid: True at real frames, ``(B, T)``; ``None`` when there is no padding.
    """
    if valid is not None:
        hidden = hidden.masked_fill(~valid[..., None], 0.0)
    encoder = model.encoder
    if hasattr(encoder, "embed_positions"):
        return _enter_conformer(encoder, hidden, valid)
    hidden = hidden + positional_embedding(encoder.pos_conv_embed, hidden, valid)
    if not getattr(model.config, "do_stable_layer_norm", False):
        hidden = encoder.layer_norm(hidden)
    hidden = encoder.dropout(hidden)
    if model.config.model_type == "wavlm":  # takes the plain mask, and a bias of its own making
        return hidden, {"attention_mask": valid, "position_bias": None}
    return hidden, {"attention_mask": _attention_mask(valid)}


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
