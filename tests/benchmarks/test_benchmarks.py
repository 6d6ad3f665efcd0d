from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from slue_ner.cli.compose import compose_config
from slue_ner.data.loading.batch import Example
from slue_ner.models.ctc_model import CTCModel
from slue_ner.models.encoder.building import build_encoder
from slue_ner.models.encoder.options import EncoderOptions
from slue_ner.models.heads import CTCHead
from slue_ner.models.mixing import MixingOptions, build_mixing
from slue_ner.tasks.registry import run_config

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"

TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
TINY |= {"intermediate_size": 24}
FAMILIES = {
    "wav2vec2": {"conv_dim": [8] * 7, "num_conv_pos_embeddings": 16},
    "wav2vec2-bert": {"feature_projection_input_dim": 160, "position_embeddings_type": None},
}
WHISPER = {"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 24}


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)


def tiny_model(family: str) -> CTCModel:
    torch.manual_seed(0)
    overrides = WHISPER if family == "whisper" else {**TINY, **FAMILIES[family]}
    options = EncoderOptions(family=family, overrides=overrides, dropout=0.0, mask_time_prob=0.0)
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


@pytest.mark.parametrize("fill_up", [True, False], ids=["30 s", "real length"])
def test_whisper_and_its_peers_have_the_same_loss_in_a_batch_with_padding(fill_up: bool) -> None:
    race = importlib.import_module("race")
    # 100 frames; 125 and a mel frame that fills none; 50
    batch = [example("a", 32_000), example("b", 40_170), example("c", 16_000)]
    ours, peer = race.whisper_losses(tiny_model("whisper"), batch, fill_up=fill_up)
    assert ours == pytest.approx(peer, rel=1e-3)


def test_a_race_of_models_that_differ_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    race, peers = map(importlib.import_module, ("race", "whisper_peer"))
    build = peers.WhisperCTC

    def altered(model: CTCModel, *, fill_up: bool) -> Any:
        peer = build(model, fill_up=fill_up)
        peer.head.weight.data *= 1.5
        return peer

    monkeypatch.setattr(race, "WhisperCTC", altered)
    with pytest.raises(ValueError, match="the contestants do not train the same model"):
        race.whisper_losses(tiny_model("whisper"), [example("a", 16_000)], fill_up=False)


def test_both_peers_of_whisper_train_what_ours_trains_and_only_one_is_filled_up() -> None:
    model = tiny_model("whisper")
    batch = [example("a", 32_000), example("b", 40_170)]
    peers = importlib.import_module("whisper_peer").whisper_peers(model, batch, stock_updates=2)
    assert list(peers) == ["30 s, random", "real length, random", "real length, grouped"]
    lengths = {
        name: [len(peer.features[index]["input_features"]) for index in range(2)]
        for name, peer in peers.items()
    }
    assert lengths["30 s, random"] == [3000, 3000]  # mel frames of 10 ms
    assert lengths["real length, random"] == [200, 250]
    assert [peer.max_updates for peer in peers.values()] == [2, None, None]
    for peer in peers.values():
        trained = peer.build()
        trained(**peer.collate([peer.features[0], peer.features[1]]))["loss"].backward()
        without = [n for n, p in trained.named_parameters() if p.requires_grad and p.grad is None]
        assert without == []


def test_random_weights_have_the_shape_of_whisper_base() -> None:
    race = importlib.import_module("race")
    values = compose_config(["encoder=whisper_base", *race.whisper_base(None)])
    config = build_encoder(run_config(values).encoder).config
    sizes = (config.d_model, config.encoder_layers, config.encoder_attention_heads)
    assert (*sizes, config.encoder_ffn_dim, config.num_mel_bins) == (512, 6, 8, 2048, 80)


def test_a_peer_that_trains_for_few_updates_is_rated_by_what_it_has_heard() -> None:
    training, race = map(importlib.import_module, ("training", "race"))
    utterances = [SimpleNamespace(duration=seconds) for seconds in (2.0, 4.0, 6.0, 8.0)]
    held = race.Race(Path(), None, None, None, utterances, 3, 2)
    assert training._audio_seconds(held, SimpleNamespace(max_updates=None)) == 60.0
    # two batches of two utterances of 5 s, the mean
    assert training._audio_seconds(held, SimpleNamespace(max_updates=2)) == pytest.approx(20.0)


def test_utterances_of_whole_batches_are_as_alike_as_grouping_makes_them_among_all() -> None:
    race = importlib.import_module("race")
    everything = [SimpleNamespace(num_samples=1000 + 10 * (7 * i % 400)) for i in range(400)]
    chosen = race._whole_batches(everything, 8, num_batches=5)
    assert len({utterance.num_samples for utterance in chosen}) == 40
    lengths = [utterance.num_samples for utterance in chosen]
    batches = [lengths[first : first + 8] for first in range(0, 40, 8)]
    # of 4,000 in all; transformers sorts 12 batches at a time, so 8 neighbours span about a 12th,
    # but where the longest of all has been taken out, to be the very first
    spans = sorted(max(batch) - min(batch) for batch in batches)
    assert spans[-2] < 4000 / 6


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


def test_a_block_names_the_script_that_wrote_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("<!-- training_whisper: begin -->\n<!-- training_whisper: end -->\n")
    monkeypatch.setattr("sys.argv", ["/here/benchmarks/training.py", "--whisper", "--rounds", "5"])
    importlib.import_module("tables").publish("training_whisper", {}, "table", readme=readme)
    assert "`python benchmarks/training.py --whisper --rounds 5`, " in readme.read_text()


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
