"""Encoders from options: a checkpoint on disk or on the hub, or random weights from a config."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import nn
from transformers import CONFIG_MAPPING

from slue_ner.models.encoder import whisper_mel
from slue_ner.models.encoder.families import Family, family, model_class
from slue_ner.models.encoder.front_end import mask_group_norms
from slue_ner.models.encoder.hub_checkpoints import (
    PREPROCESSOR_FILE,
    PROCESSOR_FILE,
    load_model,
    read_hub_config,
    read_preprocessor,
)
from slue_ner.models.encoder.kaldi_mel import SAMPLE_RATE, FilterBank
from slue_ner.models.encoder.masking import SpecAugment
from slue_ner.models.encoder.options import (
    EncoderOptions,
    build_config,
    chooses_depth,
    not_a_model,
    pad_frames,
)
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.models.encoder.wavlm import replace_attention
from slue_ner.models.encoder.whisper_mel import WhisperMel

_IMPOSSIBLE = (ValueError, RuntimeError, TypeError, LookupError, ArithmeticError)
"""What transformers and torch raise for a config whose values do not fit each other."""


def build_encoder(options: EncoderOptions) -> SpeechEncoder:
    """Build an encoder; its weights come from ``options.source`` or from torch's generator.

    Raises:
        ValueError: for an unknown family or config key, a checkpoint that cannot be had or lacks
            encoder weights, or an option out of range.
    """
    if options.source is None:
        if options.family is None:
            raise ValueError(
                "an encoder needs a source (a folder or a hub id) or a family to build with "
                "random weights, got neither"
            )
        raw: dict[str, Any] = {}
        preprocessor: dict[str, Any] = {}
        found = family(options.family)
    else:
        raw = read_hub_config(options.source, revision=options.revision)
        preprocessor = read_preprocessor(options.source, revision=options.revision)
        found = _family_of(raw, options)
    config = build_config(found, checkpoint=raw, options=options)
    left_out: list[str] = []
    if options.source is None:
        model = _random_model(config, found)
    else:
        model, left_out = load_model(
            options.source,
            config=config,
            found=found,
            revision=options.revision,
            attention=_attention_name(found),
            depth_chosen=chooses_depth(config, options),
        )
    _check_rate(preprocessor, options)
    normalizes = _normalizes(config, found, preprocessor, options)
    encoder = _assemble(
        model, found=found, preprocessor=preprocessor, options=options, normalizes=normalizes
    )
    _check_hears(encoder)
    encoder.left_out = tuple(left_out)
    encoder.guess = _guess(found, preprocessor, options, normalizes=normalizes)
    encoder.blueprint["guess"] = encoder.guess
    return encoder


def encoder_from_blueprint(blueprint: Mapping[str, Any]) -> SpeechEncoder:
    """The same structure with random weights, needing neither hub nor original checkpoint.

    Apply the same adaptation again, then ``load_state_dict`` restores a trained encoder.
    """
    options = EncoderOptions(**blueprint["options"])
    found = family(blueprint["family"])
    config = CONFIG_MAPPING[found.name].from_dict(dict(blueprint["config"]))
    preprocessor = dict(blueprint["preprocessor"])
    normalizes = blueprint.get("normalizes")
    if normalizes is None:  # written before blueprints said so
        style = _style_normalizes(config) and found.log_mel is None
        normalizes = options.normalize_waveform
        normalizes = preprocessor.get("do_normalize", style) if normalizes is None else normalizes
    return _assemble(
        _random_model(config, found),
        found=found,
        preprocessor=preprocessor,
        options=options,
        normalizes=bool(normalizes),
    )


def fresh_blocks(encoder: SpeechEncoder, *, num_layers: int) -> list[nn.Module]:
    """Newly initialised copies of the encoder's last ``num_layers`` blocks, lowest first.

    transformers 5 marks loaded tensors and skips them in ``_init_weights``, so re-initialising
    in place does nothing; these come from a model built anew from the config.
    """
    # WavLM's first block alone owns the position bias: build one block more unless all are asked
    depth = min(num_layers + 1, encoder.num_layers)
    config = type(encoder.config).from_dict(
        {**encoder.config.to_dict(), "num_hidden_layers": depth}
    )
    model = _random_model(config, encoder.family)
    _adopt_attention(model, encoder.family, stock=encoder.blueprint["options"]["stock_attention"])
    blocks: Any = model.get_submodule(encoder.family.blocks)
    return list(blocks[depth - num_layers :])


def _check_hears(encoder: SpeechEncoder) -> None:
    """Try two frames of silence: some sizes that do not fit are noticed by nobody before."""
    num_samples = encoder.grid.window + encoder.grid.hop
    was_training = encoder.training
    try:
        with torch.no_grad():  # eval mode draws nothing from torch's generator
            encoder.eval()(torch.zeros(1, num_samples), torch.tensor([num_samples]))
    except _IMPOSSIBLE as error:
        raise not_a_model(encoder.family, error) from error
    encoder.train(was_training)


def _family_of(raw: Mapping[str, Any], options: EncoderOptions) -> Family:
    name = raw.get("model_type", "")
    if options.family is not None and options.family != name:
        family(options.family)
        raise ValueError(
            f"{options.source} is a {name!r} model but family={options.family!r} was asked for; "
            "leave family out"
        )
    return family(name)


def _attention_name(found: Family) -> str:
    return "eager" if found.attention == "own" else found.attention


def _random_model(config: Any, found: Family) -> Any:
    config._attn_implementation = _attention_name(found)
    try:
        return model_class(config)(config)
    except _IMPOSSIBLE as error:
        raise not_a_model(found, error) from error


def _adopt_attention(model: Any, found: Family, *, stock: bool) -> None:
    if found.attention == "own" and not stock:
        replace_attention(model.encoder.layers)


def _assemble(
    model: Any,
    *,
    found: Family,
    preprocessor: dict[str, Any],
    options: EncoderOptions,
    normalizes: bool,
) -> SpeechEncoder:
    config = model.config
    blueprint = {
        "family": found.name,
        "config": json.loads(config.to_json_string(use_diff=False)),
        "preprocessor": preprocessor,
        "options": asdict(options),
        "normalizes": normalizes,
    }
    _adopt_attention(model, found, stock=options.stock_attention)
    if found.log_mel is None and not options.stock_group_norm:
        mask_group_norms(model.feature_extractor.conv_layers)
    return SpeechEncoder(
        model,
        family=found,
        filter_bank=_filter_bank(config, found, preprocessor),
        spec_augment=_spec_augment(config, found),
        normalize_waveform=normalizes,
        layerdrop=options.layerdrop,
        gradient_checkpointing=options.gradient_checkpointing,
        pad_frames=pad_frames(config, found, options),
        blueprint=blueprint,
    )


def _filter_bank(
    config: Any, found: Family, preprocessor: Mapping[str, Any]
) -> FilterBank | WhisperMel | None:
    if found.log_mel is None:
        return None
    if found.log_mel == "whisper":
        return _whisper_mel(config, preprocessor)
    width = config.feature_projection_input_dim
    num_mel_bins = preprocessor.get("num_mel_bins", 80)
    stride = preprocessor.get("stride", max(1, width // num_mel_bins))
    if num_mel_bins * stride != width:
        raise ValueError(
            f"feature_projection_input_dim={width} must be num_mel_bins * stride, got "
            f"{num_mel_bins} * {stride}; change one of them"
        )
    return FilterBank(num_mel_bins=num_mel_bins, stride=stride)


def _whisper_mel(config: Any, preprocessor: Mapping[str, Any]) -> WhisperMel:
    for key, needed in (
        *(("n_fft", whisper_mel.WINDOW), ("hop_length", whisper_mel.HOP)),
        ("feature_size", config.num_mel_bins),
    ):
        if preprocessor.get(key, needed) != needed:
            raise ValueError(
                f"the feature extractor's {key} is {preprocessor[key]}, but this Whisper reads "
                f"{needed}; take {PREPROCESSOR_FILE} from the checkpoint it was made from"
            )
    return WhisperMel(num_mel_bins=config.num_mel_bins)


def _spec_augment(config: Any, found: Family) -> SpecAugment:
    # stock models read these three the same way: not every family's config has them
    asked = getattr(config, "apply_spec_augment", True)
    whisper = found.log_mel == "whisper"
    stride = whisper_mel.STRIDE if whisper else 1  # Whisper's config counts mel frames
    return SpecAugment(
        time_prob=config.mask_time_prob if asked else 0.0,
        time_length=math.ceil(config.mask_time_length / stride),
        feature_prob=config.mask_feature_prob if asked else 0.0,
        feature_length=config.mask_feature_length,
        num_features=config.num_mel_bins if whisper else config.hidden_size,
        min_time_spans=getattr(config, "mask_time_min_masks", 2),
        min_feature_spans=getattr(config, "mask_feature_min_masks", 0),
    )


def _check_rate(preprocessor: Mapping[str, Any], options: EncoderOptions) -> None:
    rate = preprocessor.get("sampling_rate", SAMPLE_RATE)
    if rate != SAMPLE_RATE:
        raise ValueError(
            f"{options.source} reads audio at {rate} Hz but only {SAMPLE_RATE} Hz is supported; "
            f"choose a checkpoint trained at {SAMPLE_RATE} Hz"
        )


def _normalizes(
    config: Any, found: Family, preprocessor: Mapping[str, Any], options: EncoderOptions
) -> bool:
    if found.log_mel is not None:
        if options.normalize_waveform:
            raise ValueError(
                f"{found.name} normalises its log-mel features, not the waveform; "
                "leave normalize_waveform out"
            )
        return False
    if options.normalize_waveform is not None:
        return options.normalize_waveform
    if preprocessor:  # transformers' feature extractor normalises unless told otherwise
        return bool(preprocessor.get("do_normalize", True))
    return _style_normalizes(config)


def _style_normalizes(config: Any) -> bool:
    """Large-style models were trained on normalised waveforms, base-style ones on plain ones.

    Base-style ones have group norm in the first convolution; data2vec has no other style.
    """
    return bool(getattr(config, "feat_extract_norm", "layer") == "layer")


def _guess(
    found: Family, preprocessor: Mapping[str, Any], options: EncoderOptions, *, normalizes: bool
) -> str | None:
    told = bool(preprocessor) or options.normalize_waveform is not None
    if options.source is None or found.log_mel is not None or told:
        return None
    return (
        f"{options.source} does not say whether it wants normalised waveforms (there is no feature "
        f"extractor in {PROCESSOR_FILE} or {PREPROCESSOR_FILE}); its style of model "
        f"{'does' if normalizes else 'does not'}, and encoder.normalize_waveform="
        f"{'false' if normalizes else 'true'} changes that"
    )
