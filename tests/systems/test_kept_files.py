"""What a finished run leaves on disk, and that it is read from there as it was in training."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model
from whisper_folders import save as save_whisper

from slue_ner.core.files import read_json
from slue_ner.core.kept_console import KeptConsole
from slue_ner.core.records import read_manifest, read_predictions
from slue_ner.systems.encoder_export import export_encoder
from slue_ner.systems.experiment import run_experiment
from slue_ner.tasks.run import Run
from slue_ner.training.run_folder import RunFolder

KEPT = ("trainer.keep=trained", "encoder=checkpoint", "trainer.max_updates=4", "optim.lr=1e-2")
PARTIAL = {
    "lora": ("adaptation=lora",),
    "frozen": ("adaptation=frozen_weighted_sum",),
    "frozen_layer": ("adaptation=frozen_layer", "adaptation.layer=1"),
    "top": ("adaptation=top_layers", "adaptation.num_layers=1"),
}
WHOLE = {"full": (), "reinit": ("adaptation=reinit",)}


def save_wav2vec2(folder: Path, *, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    convolutions = {"conv_dim": [16, 16], "conv_kernel": [10, 4], "conv_stride": [20, 16]}
    config = Wav2Vec2Config(
        **sizes,
        **convolutions,
        intermediate_size=32,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sources")
    return {
        "wav2vec2": save_wav2vec2(folder / "wav2vec2"),
        "whisper": save_whisper("encoder", folder / "whisper"),
    }


@pytest.fixture
def train(
    tiny_overrides: list[str], sources: dict[str, Path], tmp_path: Path, compose: Callable[..., Any]
) -> Callable[..., tuple[Path, dict[str, Any]]]:
    """``train("lora", ...)``: a run from a checkpoint, and its metrics."""

    def started(name: str, *overrides: str, source: Path | None = None) -> tuple[Path, Any]:
        own = [o for o in tiny_overrides if not o.startswith("encoder")]
        chosen = [f"encoder.source={source or sources['wav2vec2']}", f"name={name}"]
        values = compose([*own, *KEPT, *chosen, *overrides])
        run_dir = tmp_path / "runs" / name
        metrics = run_experiment(values, run_dir, console=Console(file=io.StringIO()))
        return run_dir, metrics

    threads = torch.get_num_threads()
    yield started
    torch.set_num_threads(threads)


@pytest.fixture
def compose() -> Callable[..., dict[str, Any]]:
    from slue_ner.cli.compose import compose_config

    return compose_config


def size(run_dir: Path) -> int:
    return sum(path.stat().st_size for path in (run_dir / "checkpoints").iterdir())


def dev(run_dir: Path, tiny_corpus: Path) -> list[Any]:
    return Run.open(run_dir).predictor().predict(read_manifest(tiny_corpus / "dev.jsonl"))


@pytest.mark.parametrize("source", ["wav2vec2", "whisper"])
@pytest.mark.parametrize("strategy", PARTIAL)
def test_a_run_that_trained_little_keeps_little_and_reads_the_same(
    train, tiny_corpus, sources, strategy, source
):
    run_dir, metrics = train("run", *PARTIAL[strategy], source=sources[source])
    assert [path.name for path in (run_dir / "checkpoints").iterdir()] == ["best.safetensors"]
    kept = load_file(run_dir / "checkpoints/best.safetensors")
    report = metrics["run"]["adaptation"]
    buffers = sum(v.numel() for n, v in kept.items() if n.startswith("encoder.")) - sum(
        v.numel() for n, v in kept.items() if n.removeprefix("encoder.") in report["trainable"]
    )
    others = sum(v.numel() for n, v in kept.items() if not n.startswith("encoder."))
    trained = report["num_trainable"] + others
    assert sum(v.numel() for v in kept.values()) <= 1.2 * trained + buffers
    assert dev(run_dir, tiny_corpus) == read_predictions(run_dir / "predictions/dev.jsonl")


@pytest.mark.parametrize("strategy", WHOLE)
def test_a_run_that_trained_nearly_all_needs_no_other_checkpoint(
    train, tiny_corpus, tmp_path, strategy
):
    source = save_wav2vec2(tmp_path / "source")
    run_dir, metrics = train("run", *WHOLE[strategy], source=source)
    shutil.rmtree(source)
    assert [path.name for path in (run_dir / "checkpoints").iterdir()] == ["best.safetensors"]
    assert size(run_dir) <= 1.2 * 4 * metrics["run"]["training"]["model_parameters"] + 20_000
    assert dev(run_dir, tiny_corpus) == read_predictions(run_dir / "predictions/dev.jsonl")


def test_whole_weights_and_the_state_are_kept_where_asked_for(train, tiny_corpus, tmp_path):
    source = save_wav2vec2(tmp_path / "source")
    run_dir, _ = train("run", "adaptation=lora", "trainer.keep=all", source=source)
    shutil.rmtree(source)
    found = {path.name for path in (run_dir / "checkpoints").iterdir()}
    assert found == {"best.safetensors", "last.safetensors", "last.ckpt"}
    assert dev(run_dir, tiny_corpus) == read_predictions(run_dir / "predictions/dev.jsonl")


@pytest.mark.parametrize("strategy", ["lora", "frozen"])
def test_the_encoder_of_a_run_that_keeps_little_is_exported_whole(train, tmp_path, strategy):
    small, _ = train("small", *PARTIAL[strategy])
    whole, _ = train("whole", *PARTIAL[strategy], "trainer.keep=all")
    for run_dir in (small, whole):
        export_encoder(run_dir, tmp_path / run_dir.name)
    one, other = (load_file(tmp_path / n / "model.safetensors") for n in ("small", "whole"))
    assert one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def test_other_weights_beneath_what_was_trained_are_refused(train, tiny_corpus, tmp_path):
    source = save_wav2vec2(tmp_path / "source")
    run_dir, _ = train("run", "adaptation=lora", source=source)
    save_wav2vec2(source, seed=1)
    with pytest.raises(ValueError, match=r"^[^ ]*best.safetensors holds only .* trained on$"):
        dev(run_dir, tiny_corpus)
    shutil.rmtree(source)
    with pytest.raises(ValueError, match=r"run holds only what was trained, and the encoder bene"):
        dev(run_dir, tiny_corpus)


def test_what_a_checkpoint_lacked_is_kept_with_what_was_trained(train, tiny_corpus, tmp_path):
    source = save_wav2vec2(tmp_path / "source")
    path = source / "model.safetensors"
    tensors = {n: t for n, t in load_file(path).items() if "masked_spec_embed" not in n}
    save_file(tensors, path, metadata={"format": "pt"})
    run_dir, _ = train("run", "adaptation=lora", source=source)
    assert dev(run_dir, tiny_corpus) == read_predictions(run_dir / "predictions/dev.jsonl")


def test_only_weights_are_taken_from_the_checkpoint_beneath(train, tiny_corpus, tmp_path):
    source = save_wav2vec2(tmp_path / "source")
    run_dir, _ = train("run", "adaptation=lora", source=source)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(source)
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.5}))
    assert dev(run_dir, tiny_corpus) == read_predictions(run_dir / "predictions/dev.jsonl")


def test_a_finished_run_whose_metrics_are_gone_is_not_trained_over(train):
    run_dir, _ = train("run", "adaptation=lora")
    (run_dir / "metrics.json").unlink()
    with pytest.raises(ValueError, match=r"was finished and has no metrics\.json any more"):
        train("run", "adaptation=lora")
    assert (run_dir / "checkpoints/best.safetensors").is_file()


def test_what_a_run_that_was_stopped_at_its_end_left_goes_the_next_time(train, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "forget_training", lambda self: None)
        run_dir, _ = train("run", "adaptation=lora")
    assert len(list((run_dir / "checkpoints").iterdir())) == 3
    train("run", "adaptation=lora")
    assert [path.name for path in (run_dir / "checkpoints").iterdir()] == ["best.safetensors"]


def test_a_run_of_before_there_was_a_choice_keeps_what_it_has(train):
    run_dir, _ = train("run", "adaptation=lora", "trainer.keep=all")
    path = run_dir / "config.yaml"
    path.write_text(path.read_text().replace("  keep: all\n", ""))
    train("run", "adaptation=lora")
    assert len(list((run_dir / "checkpoints").iterdir())) == 3


def test_a_console_that_cannot_be_kept_stops_nothing(tmp_path):
    shown = KeptConsole(file=io.StringIO(), width=200)
    shown.kept_in = tmp_path / "gone/console.txt"
    shown.print("one")
    shown.print("two")
    assert shown.file.getvalue().startswith("one\nnote: ")
    assert shown.file.getvalue().endswith("two\n") and shown.kept_in is None


def test_a_weight_missing_by_accident_is_not_taken_from_elsewhere(train, tiny_corpus):
    run_dir, _ = train("run", "adaptation=lora")
    path = run_dir / "checkpoints/best.safetensors"
    tensors = load_file(path)
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    del tensors[next(n for n in tensors if "lora_A" in n)]
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(ValueError, match=r"best\.safetensors"):
        dev(run_dir, tiny_corpus)


def test_last_weights_of_a_finished_run_are_asked_for_in_vain(train):
    run_dir, _ = train("run", "adaptation=lora")
    with pytest.raises(ValueError, match=r"keeps its best weights alone, unless it had trainer.ke"):
        Run.open(run_dir).predictor(weights="last")


def test_a_finished_run_with_less_kept_scores_further_splits(train):
    train("run", "adaptation=lora")
    _, metrics = train("run", "adaptation=lora", "data.evaluate=[dev,tune]")
    assert list(metrics["splits"]) == ["dev", "tune"]


def test_what_a_run_printed_and_its_scores_are_kept_as_text(
    tiny_values, tmp_path, capsys: pytest.CaptureFixture[str]
):
    shown = KeptConsole(file=io.StringIO(), width=200)
    run_experiment(tiny_values("data.evaluate=[dev,tune]"), tmp_path, console=shown)
    text = (tmp_path / "console.txt").read_text()
    assert re.search(r"^update 3/6 loss ", text, re.MULTILINE)
    assert shown.file.getvalue().replace("\n", "") == text.replace("\n", "")
    for split in ("dev", "tune"):
        table = (tmp_path / f"scores/{split}.txt").read_text()
        assert "ner f1" in table and "wer" in table
    run_experiment(tiny_values("data.evaluate=[dev,tune]"), tmp_path, console=shown)
    assert (tmp_path / "console.txt").read_text().startswith(text)


def test_metrics_begin_with_scores(tiny_values, tmp_path):
    run_experiment(tiny_values(), tmp_path, console=Console(file=io.StringIO()))
    assert list(read_json(tmp_path / "metrics.json")) == ["schema", "splits", "run"]
