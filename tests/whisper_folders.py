"""A tiny Whisper saved in every form in which the hub has such models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
    WhisperForConditionalGeneration,
)

SECONDS = 2
HOP = 320
CONFIG: dict[str, Any] = {
    **{"d_model": 32, "max_source_positions": 50 * SECONDS, "vocab_size": 40},
    **{"encoder_layers": 3, "encoder_attention_heads": 2, "encoder_ffn_dim": 48},
    **{"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 24},
    **{"pad_token_id": 1, "bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 2},
    "begin_suppress_tokens": None,
}
FORMS = ("generation", "model", "encoder", "classifier", "bin", "sharded", "sharded bin")


def generation(**changes: Any) -> WhisperForConditionalGeneration:
    """A whole model of seed 0 in which no bias is 0 and no LayerNorm is plain."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        whole = WhisperForConditionalGeneration(WhisperConfig(**{**CONFIG, **changes}))
        for name, parameter in whole.named_parameters():
            if parameter.ndim == 1:
                torch.nn.init.normal_(parameter, mean=float("norm.weight" in name), std=0.1)
    return whole


def save(form: str, folder: Path) -> Path:
    """Write ``generation()`` into ``folder`` in one of ``FORMS``, with its feature extractor."""
    whole = generation()
    if form == "classifier":
        classifier = WhisperForAudioClassification(whole.config)
        classifier.encoder.load_state_dict(whole.model.encoder.state_dict())
        classifier.save_pretrained(folder)
    elif form.endswith("bin"):
        _save_pickled(whole, folder, num_files=3 if form == "sharded bin" else 1)
    else:
        model = {"model": whole.model, "encoder": whole.model.encoder}.get(form, whole)
        model.save_pretrained(folder, max_shard_size="40KB" if form == "sharded" else "1GB")
    WhisperFeatureExtractor(chunk_length=SECONDS).save_pretrained(folder)
    return folder


def edit(path: Path, **values: Any) -> None:
    """Change values of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _save_pickled(whole: WhisperForConditionalGeneration, folder: Path, *, num_files: int) -> None:
    folder.mkdir(parents=True)
    whole.config.save_pretrained(folder)
    weights = {name: value for name, value in whole.state_dict().items() if name != "proj_out"}
    if num_files == 1:
        torch.save(weights, folder / "pytorch_model.bin")
        return
    where = {name: f"part-{i % num_files}.bin" for i, name in enumerate(weights)}
    for file in set(where.values()):
        torch.save({k: v for k, v in weights.items() if where[k] == file}, folder / file)
    index = {"metadata": {}, "weight_map": where}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
