"""Options of an encoder, and the transformers config that they lead to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers import CONFIG_MAPPING

from slue_ner.core.suggest import nearest
from slue_ner.models.families import Family

_DROPOUTS = (
    *("hidden_dropout", "attention_dropout", "activation_dropout"),
    *("feat_proj_dropout", "conformer_conv_dropout"),
)
_MASKING = ("mask_time_prob", "mask_time_length", "mask_feature_prob", "mask_feature_length")


@dataclass(kw_only=True)
class EncoderOptions:
    """Which encoder, and how it runs.

    Attributes:
        family: a name from the family table; ``None`` reads it from the checkpoint.
        source: local folder or hub id; ``None`` gives random weights and needs ``family``.
        revision: branch, tag or commit of a hub id.
        overrides: values of the transformers config that replace the checkpoint's or defaults.
        gradient_checkpointing: trade compute for memory in training.
        layerdrop: probability of skipping a block in training; the checkpoint's is ignored.
        stock_group_norm: let normalisation see padding, as published base-style runs did.
        stock_attention: WavLM's own attention, which adapters cannot reach.
        mask_time_prob, mask_time_length: SpecAugment over frames; ``None`` is the checkpoint's.
        mask_feature_prob, mask_feature_length: the same over feature channels.
        normalize_waveform: ``None`` follows the checkpoint's feature extractor; without one, the
            model's style, which is a guess.
        dropout: of projected features, hidden states, attention, activations and conformer
            convolutions; ``None`` is the checkpoint's.
    """

    family: str | None = None
    source: str | None = None
    revision: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    gradient_checkpointing: bool = False
    layerdrop: float = 0.0
    stock_group_norm: bool = False
    stock_attention: bool = False
    mask_time_prob: float | None = None
    mask_time_length: int | None = None
    mask_feature_prob: float | None = None
    mask_feature_length: int | None = None
    normalize_waveform: bool | None = None
    dropout: float | None = None


def build_config(found: Family, *, checkpoint: Mapping[str, Any], options: EncoderOptions) -> Any:
    """The transformers config: the checkpoint's values (or defaults) with ``options`` on top.

    Raises:
        ValueError: for an override that the family does not know, a dropout out of range, or a
            model with a convolutional adapter behind the encoder.
    """
    config_class = CONFIG_MAPPING[found.name]
    values = dict(checkpoint)
    known = config_class().to_dict()
    for key, value in options.overrides.items():
        if key not in known:
            raise ValueError(
                f"overrides: {found.name} has no config value {key!r}; {nearest(key, known)}"
            )
        values[key] = value
    for key in _MASKING:
        if getattr(options, key) is not None:
            values[key] = getattr(options, key)
            if key.endswith("prob"):  # a checkpoint may have masking off altogether
                values["apply_spec_augment"] = True
    if options.dropout is not None:
        if not 0.0 <= options.dropout < 1.0:
            raise ValueError(f"dropout must be in [0, 1), got {options.dropout}")
        values.update({key: options.dropout for key in _DROPOUTS if key in known})
    config = config_class.from_dict(values)
    if getattr(config, "add_adapter", False):
        raise ValueError(
            f"{options.source or found.name} has add_adapter=true, which changes the frame rate "
            "after the encoder; set overrides={add_adapter: false} to use the encoder without it"
        )
    return config
