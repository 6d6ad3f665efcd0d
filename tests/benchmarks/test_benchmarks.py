from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import torch

from slue_ner.data.batch import Example
from slue_ner.models.building import build_encoder
from slue_ner.models.ctc_model import CTCModel
from slue_ner.models.heads import CTCHead
from slue_ner.models.mixing import MixingOptions, build_mixing
from slue_ner.models.options import EncoderOptions

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"

TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
TINY |= {"intermediate_size": 24}
FAMILIES = {
    "wav2vec2": {"conv_dim": [8] * 7, "num_conv_pos_embeddings": 16},
    "wav2vec2-bert": {"feature_projection_input_dim": 160, "position_embeddings_type": None},
}


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)


def tiny_model(family: str) -> CTCModel:
    torch.manual_seed(0)
    options = EncoderOptions(
        family=family, overrides={**TINY, **FAMILIES[family]}, dropout=0.0, mask_time_prob=0.0
    )
    encoder = build_encoder(options)
    mixing = build_mixing(MixingOptions(), num_layers=encoder.num_layers)
    return CTCModel(encoder, mixing, CTCHead(encoder.hidden_size, vocabulary_size=7))


def example(name: str, num_samples: int) -> Example:
    torch.manual_seed(num_samples)
    return Example(name, 0.1 * torch.randn(num_samples), torch.tensor([3, 1, 4]))


@pytest.mark.parametrize("family", FAMILIES)
def test_both_contestants_of_the_training_race_have_the_same_loss(family: str) -> None:
    model = tiny_model(family)
    if family == "wav2vec2":
        model.encoder.model.feature_extractor.requires_grad_(False)
    race = importlib.import_module("race")
    ours, peer = race.losses(model, [example("a", 16_000), example("b", 20_000)])
    assert ours == pytest.approx(peer, rel=1e-4)


def test_the_peer_skips_no_blocks_and_drops_nothing() -> None:
    model = tiny_model("wav2vec2-bert")
    peer = importlib.import_module("transformers_loop").peer_model(model)
    assert peer.config.layerdrop == 0
    probabilities = [m.p for m in peer.modules() if isinstance(m, torch.nn.Dropout)]
    assert set(probabilities) == {0.0}


def test_publishing_replaces_the_block_of_its_name_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n", encoding="utf-8")
    tables = importlib.import_module("tables")
    tables.publish("x", {"rows": [1.5]}, "new", readme=readme)
    lines = readme.read_text(encoding="utf-8").splitlines()
    assert lines[:3] == ["a", "<!-- x: begin -->", "new"]
    assert lines[-2:] == ["<!-- x: end -->", "b"]
    assert json.loads((tmp_path / "results" / "x.json").read_text())["rows"] == [1.5]


def test_a_document_without_the_block_is_an_error() -> None:
    with pytest.raises(ValueError, match="no block <!-- x: begin -->"):
        importlib.import_module("tables").replace_block("text", "x", "new")


def test_a_spread_is_the_median_with_smallest_and_largest() -> None:
    assert importlib.import_module("tables").spread([3.0, 1.0, 2.0]) == "2.00 (1.00-3.00)"


def test_the_text_of_the_language_model_is_the_same_each_time_and_like_a_language() -> None:
    sentences = importlib.import_module("ngram").sentences
    words = [word for sentence in sentences(20_001) for word in sentence]
    assert len(words) == 20_001
    assert words == [word for sentence in sentences(20_001) for word in sentence]
    often = [words.count(word) for word in set(words)]
    assert max(often) > 500
    assert sum(count == 1 for count in often) > len(often) / 3
