"""The published sizes of Whisper, by their config values: no weights are needed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import yaml
from transformers import WhisperConfig, WhisperModel

from slue_ner.cli.compose import compose_config
from slue_ner.cli.config_groups import config_folder
from slue_ner.models.encoder.building import build_encoder
from slue_ner.models.encoder.families import family, model_class
from slue_ner.models.encoder.options import EncoderOptions, build_config
from slue_ner.tasks.registry import run_config

# width, blocks, heads, mel bins, symbols; then values of the encoder by the formula below
SIZES = {
    "tiny.en": (384, 4, 6, 80, 51_864, 8_208_384),
    "base": (512, 6, 8, 80, 51_865, 20_590_592),
    "small": (768, 12, 12, 80, 51_865, 88_154_112),
    "medium": (1_024, 24, 16, 80, 51_865, 307_216_384),
    "large-v3": (1_280, 32, 20, 128, 51_866, 636_968_960),
}


def published(size: str) -> dict[str, Any]:
    """A config.json as it is on the hub, with the keys of generation that are no model's."""
    width, blocks, heads, num_mel_bins, num_symbols, _ = SIZES[size]
    return {
        "_name_or_path": f"openai/whisper-{size}",
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "is_encoder_decoder": True,
        "d_model": width,
        "num_hidden_layers": blocks,
        "num_mel_bins": num_mel_bins,
        "vocab_size": num_symbols,
        "max_source_positions": 1_500,
        "max_target_positions": 448,
        "scale_embedding": False,
        "use_cache": True,
        "torch_dtype": "float16" if size == "large-v3" else "float32",
        "transformers_version": "4.27.0.dev0",
        **{f"{side}_layers": blocks for side in ("encoder", "decoder")},
        **{f"{side}_attention_heads": heads for side in ("encoder", "decoder")},
        **{f"{side}_ffn_dim": 4 * width for side in ("encoder", "decoder")},
        **{f"{side}_layerdrop": 0.0 for side in ("encoder", "decoder")},
        **{"activation_dropout": 0.0, "activation_function": "gelu", "attention_dropout": 0.0},
        **{"dropout": 0.0, "init_std": 0.02, "max_length": 448},
        **{"bos_token_id": 50_257, "eos_token_id": 50_257, "pad_token_id": 50_257},
        **{"decoder_start_token_id": 50_258, "begin_suppress_tokens": [220, 50_257]},
        **{"forced_decoder_ids": [[1, 50_259], [2, 50_359], [3, 50_363]]},
        **{"suppress_tokens": [1, 2, 7, 8, 9, 10, 14, 25]},
    }


def config_of(size: str, **options: Any) -> Any:
    return build_config(
        family("whisper"), checkpoint=published(size), options=EncoderOptions(**options)
    )


def num_values(width: int, blocks: int, num_mel_bins: int) -> int:
    """Of the encoder, worked out by hand."""
    stem = (3 * num_mel_bins * width + width) + (3 * width * width + width) + 1_500 * width
    attention = 4 * width * width + 3 * width  # the key has no bias
    ffn = 2 * 4 * width * width + 5 * width
    return stem + blocks * (attention + ffn + 2 * 2 * width) + 2 * width


@pytest.mark.parametrize("size", SIZES)
def test_published_configs_give_the_published_encoders(size):
    width, blocks, _, num_mel_bins, _, count = SIZES[size]
    config = config_of(size)
    with torch.device("meta"):
        ours = model_class(config)(config)
        stock = WhisperModel(WhisperConfig.from_dict(published(size))).encoder
    found = {name: value.shape for name, value in ours.state_dict().items()}
    assert found == {name: value.shape for name, value in stock.state_dict().items()}
    assert sum(shape.numel() for shape in found.values()) == count
    assert count == num_values(width, blocks, num_mel_bins)


@pytest.mark.parametrize("size", ["tiny.en", "large-v3"])
def test_one_block_of_a_published_size_hears_its_own_mel_bins(size):
    keys = ("d_model", "encoder_attention_heads", "encoder_ffn_dim", "num_mel_bins")
    chosen = {"encoder_layers": 1, **{key: published(size)[key] for key in keys}}
    encoder = build_encoder(EncoderOptions(family="whisper", overrides=chosen)).eval()
    width, _, heads, num_mel_bins, *_ = SIZES[size]
    assert encoder.filter_bank.num_mel_bins == num_mel_bins
    assert encoder.blocks[0].self_attn.num_heads == heads
    assert (encoder.max_frames, encoder.hidden_size) == (1_500, width)
    assert encoder.grid.frame_seconds == 0.02
    with torch.no_grad():
        frames = encoder(torch.randn(1, 8_000), torch.tensor([8_000]), layers=[0, 1])
    assert frames.layers.shape == (2, 1, 25, width)


def test_every_size_can_be_chosen_by_name_and_filled_up():
    for size in SIZES:
        name = f"whisper_{size}".replace(".", "_").replace("-", "_")
        values = yaml.safe_load((config_folder() / "encoder" / f"{name}.yaml").read_text())
        assert values == {"source": f"openai/whisper-{size}", "pad_to": None}
    overrides = ["encoder=whisper_large_v3", "encoder.pad_to=30"]
    assert run_config(compose_config(overrides)).encoder.pad_to == 30.0
