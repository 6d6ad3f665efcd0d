"""A tiny WavLM in the hub's format, made on the spot."""

from __future__ import annotations

from pathlib import Path

from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMModel

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (16, 16),
    "conv_kernel": (20, 16),
    "conv_stride": (20, 16),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
}


def save(folder: Path) -> Path:
    """Write it, with its feature extractor."""
    WavLMModel(WavLMConfig(**TINY)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder
