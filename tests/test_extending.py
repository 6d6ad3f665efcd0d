"""A task, an encoder family, a strategy, a head and a data set of one's own, from outside.

Each is registered here in its table and used through the same doors as those that come along:
nothing in ``slue_ner/`` knows of it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from transformers import MODEL_MAPPING, PretrainedConfig, Wav2Vec2Config, Wav2Vec2Model

from slue_ner.cli import prepare
from slue_ner.cli.main import main
from slue_ner.core.records import read_manifest, read_predictions
from slue_ner.core.types import EntitySpan, Prediction, Utterance
from slue_ner.data.corpora.dataset import PreparedDataset, write_dataset
from slue_ner.data.loading.batch import Batch
from slue_ner.evaluation.score import score
from slue_ner.models import heads
from slue_ner.models.adaptation import strategies
from slue_ner.models.adaptation.strategy import AdaptationReport, Strategy, settle
from slue_ner.models.encoder import families
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.models.mixing import MixingOptions
from slue_ner.systems.experiment import run_experiment
from slue_ner.tasks import registry
from slue_ner.tasks.run import Run
from slue_ner.training.module import SpeechModule
from slue_ner.training.run_folder import RunFolder
from slue_ner.training.speech import (
    SpeechConfig,
    adapted_encoder,
    built_speech,
    restored_encoder,
)
from slue_ner.training.task import Built, Task, TrainingData


class Counter(nn.Module):
    """How many entities an utterance holds, from the mean of its last states."""

    def __init__(self, encoder: SpeechEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.hidden_size, 1)

    def forward(self, waveforms: Tensor, num_samples: Tensor) -> Tensor:
        frames = self.encoder(waveforms, num_samples, layers="last")
        return self.head(frames.values.mean(dim=1)).squeeze(1)  # (B,)


class CountingModule(SpeechModule):
    maximize = False

    def __init__(self, model: Counter, **common: Any) -> None:
        super().__init__(model, **common)
        self.counts = {u.id: float(len(u.entities)) for u in common["tune"]}
        self.errors: list[float] = []

    def target(self, utterance: Utterance) -> list[int]:
        return [len(utterance.entities)]

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        guessed = self.model(batch.waveforms, batch.num_samples)
        losses = (guessed - batch.targets[:, 0]) ** 2
        return losses.mean(), losses

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.errors += self.losses(batch)[1].tolist()

    def on_validation_epoch_end(self) -> None:
        loss = sum(self.errors) / len(self.errors)
        self.errors = []
        self.log_dict({"val_loss": loss, "val_monitor": loss})


@dataclass(frozen=True)
class CountingPredictor:
    model: Counter

    def predict(
        self, utterances: Sequence[Utterance], *, device: torch.device | str = "cpu"
    ) -> list[Prediction]:
        entity = EntitySpan("PLACE", "somewhere")
        return [Prediction(u.id, u.text, entities=(entity,) * len(u.entities)) for u in utterances]


@dataclass(kw_only=True)
class Counting(Task):
    """A task of one option."""

    config_type: ClassVar[type[SpeechConfig]] = SpeechConfig

    share: float

    def build(self, config: SpeechConfig, data: TrainingData) -> Built:
        encoder, report = adapted_encoder(config)
        kept = data.train[: round(self.share * len(data.train))]
        module = CountingModule(
            Counter(encoder),
            report=report,
            optim=config.optim,
            max_updates=config.trainer.max_updates,
            tune=data.tune,
            num_train=len(kept),
        )
        return built_speech(config, module, kept, data.tune, left_out={}, vocabulary=None)

    def restore(
        self, config: SpeechConfig, folder: RunFolder, *, weights: str = "best"
    ) -> CountingPredictor:
        model = Counter(restored_encoder(config, folder))
        folder.load_into(model, weights=weights)
        return CountingPredictor(model.eval())


@pytest.fixture
def run(tiny_values: Callable[..., dict[str, Any]], tmp_path: Path) -> Callable[..., Any]:
    """``run("head=conv", task={"kind": "mine"})``: an experiment in ``tmp_path / "run"``."""

    def started(*overrides: str, **groups: Any) -> dict[str, Any]:
        values = {**tiny_values(*overrides, "trainer.max_updates=2"), **groups}
        console = Console(file=io.StringIO())
        return run_experiment(values, tmp_path / "run", console=console)

    threads = torch.get_num_threads()
    yield started
    torch.set_num_threads(threads)


def test_a_task_of_ones_own_trains_predicts_and_scores(run, monkeypatch, tmp_path, tiny_corpus):
    monkeypatch.setitem(registry.TASKS, "counting", Counting)
    metrics = run(task={"kind": "counting", "share": 0.5})
    assert metrics["run"]["training"]["num_train_utterances"] == 8
    assert metrics["splits"]["dev"]["wer"] == 0.0
    assert isinstance(Run.open(tmp_path / "run").predictor(), CountingPredictor)
    manifest, output = tiny_corpus / "dev.jsonl", tmp_path / "again.jsonl"
    files = ["--manifest", str(manifest), "--output", str(output)]
    assert main(["predict", str(tmp_path / "run"), *files]) == 0
    assert read_predictions(output) == read_predictions(tmp_path / "run/predictions/dev.jsonl")
    scores = score(read_manifest(manifest), read_predictions(output)).to_json()
    assert scores["ner"] == metrics["splits"]["dev"]["ner"]


def test_a_run_of_ones_own_task_is_no_recogniser(run, monkeypatch, tmp_path):
    monkeypatch.setitem(registry.TASKS, "counting", Counting)
    run(task={"kind": "counting", "share": 1.0})
    with pytest.raises(ValueError, match="run is no recogniser"):
        Run.open(tmp_path / "run").recogniser()


def test_an_unknown_task_is_refused_with_the_names_of_those_there_are(run):
    with pytest.raises(ValueError, match=r"task.kind='counting' is unknown; known: ctc, frames"):
        run(task={"kind": "counting", "share": 1.0})


class EchoConfig(Wav2Vec2Config):
    model_type = "echo"


class EchoModel(Wav2Vec2Model):
    config_class = EchoConfig


def test_an_encoder_family_of_ones_own_trains_and_is_restored(run, monkeypatch, tmp_path):
    from transformers import AutoConfig

    AutoConfig.register("echo", EchoConfig, exist_ok=True)
    MODEL_MAPPING.register(EchoConfig, EchoModel, exist_ok=True)
    like = families.FAMILIES["wav2vec2"]
    monkeypatch.setitem(
        families.FAMILIES, "echo", families.Family("echo", None, "sdpa", like.projections)
    )
    encoder = {
        "family": "echo",
        "overrides": {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 24,
            "conv_dim": [8, 8],
            "conv_kernel": [10, 4],
            "conv_stride": [20, 16],
            "num_conv_pos_embeddings": 4,
            "num_conv_pos_embedding_groups": 2,
        },
    }
    metrics = run("adaptation=lora", encoder=encoder)
    assert metrics["run"]["adaptation"]["num_trainable"] > 0
    restored = Run.open(tmp_path / "run").encoder()
    assert restored.family.name == "echo" and isinstance(restored.config, PretrainedConfig)


@dataclass(kw_only=True)
class OnlyNorms(Strategy):
    name: ClassVar[str] = "only_norms"

    def apply(
        self, encoder: SpeechEncoder, *, mixing: MixingOptions | None = None
    ) -> AdaptationReport:
        names = [n for n, _ in encoder.named_parameters() if "layer_norm" in n and ".layers." in n]
        layers = self.layers(encoder, mixing=mixing)
        return settle(encoder, strategy=self.name, trainable=names, layers=layers)


def test_a_strategy_of_ones_own_trains_what_it_says(run, monkeypatch, tmp_path):
    monkeypatch.setitem(strategies.STRATEGIES, "only_norms", OnlyNorms)
    report = run(adaptation={"strategy": "only_norms"})["run"]["adaptation"]
    assert report["strategy"] == "only_norms" and report["num_trainable"] == 384
    assert Run.open(tmp_path / "run").encoder() is not None


class Doubled(nn.Module):
    """One linear layer on the frames, twice as wide as they are asked to be."""

    def __init__(self, hidden_size: int, options: Any, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, options.size)

    def forward(self, values: Tensor, valid: Tensor) -> Tensor:
        return self.linear(values)


def test_a_head_of_ones_own_is_trained_and_restored(run, monkeypatch, tmp_path):
    monkeypatch.setitem(heads.BLOCKS, "doubled", Doubled)
    run("head=conv", "head.size=8", "head.kind=doubled")
    model = Run.open(tmp_path / "run").recogniser().model
    assert any(isinstance(module, Doubled) for module in model.modules())


def test_a_data_set_of_ones_own_is_prepared_by_name(monkeypatch, tmp_path, tiny_corpus, capsys):
    def add_options(parser: Any) -> None:
        parser.add_argument("source", type=Path)
        parser.add_argument("out", type=Path)

    def make(options: Any, progress: Any) -> PreparedDataset:
        splits = {"dev": read_manifest(options.source / "dev.jsonl")}
        counts = write_dataset(options.out, splits, source={"kind": "mine"})
        return PreparedDataset(options.out, counts, warnings=())

    mine = prepare.DataSet("the dev split of another", add_options, make)
    monkeypatch.setitem(prepare.DATA_SETS, "mine", mine)
    assert main(["prepare", "mine", str(tiny_corpus), str(tmp_path / "out")]) == 0
    assert "dev: 4 utterances" in capsys.readouterr().out
    assert json.loads((tmp_path / "out/dev.jsonl").read_text().splitlines()[0])["id"] == "dev_00"
