"""Tiny encoders of every family, and batches of noise for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from slue_ner.models.encoder.building import build_encoder
from slue_ner.models.encoder.options import EncoderOptions
from slue_ner.models.encoder.speech_encoder import SpeechEncoder

_WAVEFORM = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": [16, 16, 16],
    "conv_kernel": [10, 3, 3],
    "conv_stride": [5, 4, 4],
    "num_conv_pos_embedding_groups": 4,
}
_LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
_LOG_MEL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_depthwise_kernel_size": 5,
}
_WHISPER = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "max_source_positions": 60,  # 1.2 s
}
TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2": ("wav2vec2", {**_WAVEFORM, "num_conv_pos_embeddings": 8}),
    "wav2vec2-large": ("wav2vec2", {**_WAVEFORM, **_LARGE, "num_conv_pos_embeddings": 8}),
    "hubert": ("hubert", {**_WAVEFORM, "num_conv_pos_embeddings": 8}),
    "hubert-large": ("hubert", {**_WAVEFORM, **_LARGE, "num_conv_pos_embeddings": 8}),
    "wavlm": ("wavlm", {**_WAVEFORM, "num_conv_pos_embeddings": 8, "num_buckets": 16}),
    "wavlm-large": (
        "wavlm",
        {**_WAVEFORM, **_LARGE, "num_conv_pos_embeddings": 8, "num_buckets": 16},
    ),
    "data2vec-audio": (
        "data2vec-audio",
        {**_WAVEFORM, "num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 5},
    ),
    "wav2vec2-bert": ("wav2vec2-bert", _LOG_MEL),
    "log-mel-40ms": (
        "wav2vec2-bert",
        {**_LOG_MEL, "position_embeddings_type": None, "feature_projection_input_dim": 320},
    ),
    "whisper": ("whisper", _WHISPER),
}


@pytest.fixture(params=list(TINY))
def style(request: pytest.FixtureRequest) -> str:
    """Every kind of encoder that differs in what it computes."""
    return str(request.param)


@pytest.fixture(
    params=["wav2vec2", "hubert-large", "wavlm", "data2vec-audio", "wav2vec2-bert", "whisper"]
)
def family_style(request: pytest.FixtureRequest) -> str:
    """One encoder of every family."""
    return str(request.param)


@pytest.fixture
def tiny_encoder() -> Callable[..., SpeechEncoder]:
    """``tiny_encoder("hubert-large", layerdrop=0.1)``: random weights from seed 0, eval mode."""

    def build(name: str, **options: Any) -> SpeechEncoder:
        torch.manual_seed(0)
        family, overrides = TINY[name]
        overrides = {**overrides, **options.pop("overrides", {})}
        encoder = build_encoder(EncoderOptions(family=family, overrides=overrides, **options))
        for parameter in encoder.parameters():  # constants would hide mistakes
            if parameter.ndim == 1 or parameter.min() == parameter.max():
                torch.nn.init.normal_(parameter, mean=parameter.mean().item(), std=0.1)
        return encoder.eval()

    return build


@pytest.fixture
def noise() -> Callable[..., tuple[Tensor, Tensor]]:
    """``noise(8000, 3000)``: a zero-padded batch ``(2, 8000)`` with an offset, and its lengths."""

    def build(*lengths: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        waveforms = torch.zeros(len(lengths), max(lengths))
        for row, length in enumerate(lengths):
            waveforms[row, :length] = 0.1 * torch.randn(length, generator=generator) + 0.02
        return waveforms, torch.tensor(lengths)

    return build
