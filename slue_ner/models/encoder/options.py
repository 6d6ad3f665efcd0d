"""Options of an encoder, and the transformers config that they lead to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import CONFIG_MAPPING

from slue_ner.core.suggest import nearest
from slue_ner.models.encoder.families import Family
from slue_ner.models.encoder.whisper_mel import STRIDE, WhisperMel

_DROPOUTS = (
    *("hidden_dropout", "attention_dropout", "activation_dropout"),
    *("feat_proj_dropout", "conformer_conv_dropout", "dropout"),
)
_MASKING = ("mask_time_prob", "mask_time_length", "mask_feature_prob", "mask_feature_length")
_SIZES = (
    *("hidden_size", "num_attention_heads", "intermediate_size", "feature_projection_input_dim"),
    *("conv_dim", "conv_kernel", "conv_stride", "conv_depthwise_kernel_size"),
    *("num_conv_pos_embeddings", "num_conv_pos_embedding_groups", "conv_pos_kernel_size"),
    *("num_buckets", "max_bucket_distance"),
    *("encoder_ffn_dim", "num_mel_bins", "max_source_positions"),
)
_SHARERS = ("num_attention_heads", "num_conv_pos_embedding_groups")
_CONVOLUTIONS = ("conv_dim", "conv_kernel", "conv_stride")


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
        mask_feature_prob, mask_feature_length: the same over feature channels, which are Whisper's
            mel bins and others' projected features.
        normalize_waveform: ``None`` follows the checkpoint's feature extractor; without one, the
            model's style, which is a guess.
        dropout: of projected features, hidden states, attention, activations and conformer
            convolutions; ``None`` is the checkpoint's.
        pad_to: seconds to which Whisper's input is filled up with silence, 30 as the publisher
            trained it; ``None`` gives it each utterance's own length, which costs far less. Longer
            audio is heard in windows of it.
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
    pad_to: float | None = None


def build_config(found: Family, *, checkpoint: Mapping[str, Any], options: EncoderOptions) -> Any:
    """The transformers config: the checkpoint's values (or defaults) with ``options`` on top.

    Raises:
        ValueError: for an override that the family does not know, a value out of range, or a
            model with a convolutional adapter behind the encoder.
    """
    config_class = CONFIG_MAPPING[found.name]
    known = config_class().to_dict()
    alias = config_class.attribute_map
    values = {key: value for key, value in checkpoint.items() if alias.get(key) not in checkpoint}
    for key, value in options.overrides.items():
        key = alias.get(key, key)
        if key not in known:
            raise ValueError(
                f"overrides: {found.name} has no config value {key!r}; {nearest(key, known)}"
            )
        values[key] = value
    for key in _newly_on(values, known, options):
        values[key] = 0.0
    for key in _MASKING:
        if getattr(options, key) is not None:
            values[key] = getattr(options, key)
            if key == "mask_time_length" and found.log_mel == "whisper":
                values[key] *= STRIDE  # its config counts mel frames
            if key.endswith("prob"):  # a checkpoint may have masking off altogether
                values["apply_spec_augment"] = True
    if options.dropout is not None:
        if not 0.0 <= options.dropout < 1.0:
            raise ValueError(f"dropout must be in [0, 1), got {options.dropout}")
        values.update({key: options.dropout for key in _DROPOUTS if key in known})
    for key, value in values.items():  # transformers takes no 0 for 0.0
        if isinstance(known.get(key), float) and type(value) is int:
            values[key] = float(value)
    stacks: list[Any] = [values.get(key, known.get(key)) for key in _CONVOLUTIONS]
    if all(isinstance(stack, list) for stack in stacks) and len(set(map(len, stacks))) > 1:
        named = zip(_CONVOLUTIONS, stacks, strict=True)
        lengths = ", ".join(f"{key} {len(stack)}" for key, stack in named)
        raise ValueError(f"overrides: lists of convolutions should be equally long, got {lengths}")
    try:
        config = config_class.from_dict(values)
    except (StrictDataclassError, ValueError, TypeError) as error:
        raise not_a_model(found, error.__cause__ or error) from error
    _check_sizes(config, found)
    if getattr(config, "add_adapter", False):
        raise ValueError(
            f"{options.source or found.name} has add_adapter=true, which changes the frame rate "
            "after the encoder; set overrides={add_adapter: false} to use the encoder without it"
        )
    return config


def _newly_on(
    values: Mapping[str, Any], known: Mapping[str, Any], options: EncoderOptions
) -> list[str]:
    """Probabilities that had no effect and would get one when an option turns masking on."""
    probabilities = [key for key in _MASKING if key.endswith("prob")]
    asked = [key for key in probabilities if getattr(options, key) is not None]
    was_on = values.get("apply_spec_augment", known.get("apply_spec_augment", True))
    if was_on or not asked:
        return []
    return [key for key in probabilities if key not in asked and key not in options.overrides]


def chooses_depth(config: Any, options: EncoderOptions) -> bool:
    """Whether ``overrides`` say how many blocks there are, by either of their names."""
    own = config.attribute_map.get("num_hidden_layers")  # its name in Whisper's config
    return "num_hidden_layers" in options.overrides or own in options.overrides


def pad_frames(config: Any, found: Family, options: EncoderOptions) -> int | None:
    """Frames to which ``pad_to`` fills the input up with silence; ``None`` for its own length.

    Raises:
        ValueError: for another family, or a length that its positions do not reach.
    """
    if options.pad_to is None:
        return None
    if found.log_mel != "whisper":
        raise ValueError(
            f"{found.name} never sees padding, so it is filled up to no length; leave pad_to out"
        )
    exact = options.pad_to / WhisperMel.grid.frame_seconds
    num_frames = round(exact) if math.isfinite(exact) else 0
    if not 1 <= num_frames <= config.max_source_positions:
        longest = config.max_source_positions * WhisperMel.grid.frame_seconds
        raise ValueError(f"pad_to must be in (0, {longest:g}] seconds, got {options.pad_to}")
    return num_frames


def not_a_model(found: Family, error: BaseException) -> ValueError:
    """What to raise for a config of which transformers or torch can make no encoder."""
    words = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if isinstance(error, LookupError):
        words = f"unknown name {words}"
    return ValueError(
        f"no {found.name} can be made of this config ({words}); change encoder.overrides"
    )


def _check_sizes(config: Any, found: Family) -> None:
    """Refuse what would only fail at the first frame, or quietly mean something else."""
    for key in _SIZES:
        value = getattr(config, key, 1)
        if min(value if isinstance(value, list | tuple) else [value], default=0) < 1:
            raise ValueError(
                f"overrides: {key} must be at least 1, got {value}; correct encoder.overrides"
            )
    if config.num_hidden_layers < 0:
        raise ValueError(
            f"overrides: num_hidden_layers must not be negative, got {config.num_hidden_layers}"
        )
    for key in _SHARERS:
        if config.hidden_size % getattr(config, key, 1):
            raise ValueError(
                f"overrides: {key}={getattr(config, key)} does not divide hidden_size="
                f"{config.hidden_size} of {found.name}; change one of them"
            )
    for key, value in config.to_dict().items():
        is_number = isinstance(value, int | float)
        if key.endswith("dropout") and is_number and not 0.0 <= value < 1.0:
            raise ValueError(f"overrides: {key} must be in [0, 1), got {value}")
