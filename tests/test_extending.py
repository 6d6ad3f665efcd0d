"""The examples of docs/extending.md, run as they stand there and used through every door.

Nothing in ``slue_ner/`` knows of what they add.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from slue_ner.cli.main import main
from slue_ner.cli.prepare import DATA_SETS
from slue_ner.core.records import read_manifest, read_predictions
from slue_ner.evaluation.score import score
from slue_ner.models.adaptation.strategies import STRATEGIES
from slue_ner.models.encoder.families import FAMILIES
from slue_ner.models.heads import BLOCKS
from slue_ner.systems.experiment import run_experiment
from slue_ner.tasks.registry import TASKS
from slue_ner.tasks.run import Run

PAGE = Path(__file__).resolve().parents[1] / "docs/extending.md"
TABLES: tuple[dict[str, Any], ...] = (TASKS, FAMILIES, STRATEGIES, BLOCKS, DATA_SETS)


def block(heading: str) -> str:
    """The Python under a heading of the page."""
    text = PAGE.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return code


@pytest.fixture
def example() -> Iterator[Callable[[str], dict[str, Any]]]:
    """``example("A head")``: run a block of the page, the tables being as before afterwards."""
    before = [dict(table) for table in TABLES]

    def run(heading: str) -> dict[str, Any]:
        names: dict[str, Any] = {"__name__": "mine"}
        sys.modules["mine"] = type(sys)("mine")  # where dataclasses look up names
        sys.modules["mine"].__dict__.update(names)
        exec(compile(block(heading), str(PAGE), "exec"), sys.modules["mine"].__dict__)
        return sys.modules["mine"].__dict__

    yield run
    sys.modules.pop("mine", None)
    for table, content in zip(TABLES, before, strict=True):
        table.clear()
        table.update(content)


@pytest.fixture
def train(
    tiny_values: Callable[..., dict[str, Any]], tmp_path: Path
) -> Iterator[Callable[..., dict[str, Any]]]:
    """``train("head=conv", task={"kind": "mine"})``: an experiment in ``tmp_path / "run"``."""

    def started(*overrides: str, **groups: Any) -> dict[str, Any]:
        values = {**tiny_values(*overrides, "trainer.max_updates=2"), **groups}
        console = Console(file=io.StringIO())
        return run_experiment(values, tmp_path / "run", console=console)

    threads = torch.get_num_threads()
    yield started
    torch.set_num_threads(threads)


COUNTING = {"kind": "counting", "share": 0.5}


def test_a_task_of_ones_own_trains_predicts_and_scores(example, train, tmp_path, tiny_corpus):
    mine = example("A task")
    metrics = train(task=COUNTING)
    assert metrics["run"]["training"]["num_train_utterances"] == 8
    assert isinstance(Run.open(tmp_path / "run").predictor(), mine["CountingPredictor"])
    manifest, output = tiny_corpus / "dev.jsonl", tmp_path / "again.jsonl"
    files = ["--manifest", str(manifest), "--output", str(output)]
    assert main(["predict", str(tmp_path / "run"), *files]) == 0
    assert read_predictions(output) == read_predictions(tmp_path / "run/predictions/dev.jsonl")
    scores = score(read_manifest(manifest), read_predictions(output)).to_json()
    assert scores["num_utterances"] == metrics["splits"]["dev"]["num_utterances"] == 4
    for ignored in (["--lm", "a.ngram"], ["--localizer", "none"], ["--batch-seconds", "4"]):
        assert main(["predict", str(tmp_path / "run"), *files, *ignored]) == 1


def test_a_task_of_ones_own_goes_on_after_a_stop(example, train, tmp_path):
    example("A task")
    train(task=COUNTING)
    (tmp_path / "run/metrics.json").unlink()
    assert train(task=COUNTING)["run"]["training"]["updates"] == 2


def test_a_run_of_ones_own_task_is_no_recogniser(example, train, tmp_path):
    example("A task")
    train(task=COUNTING)
    with pytest.raises(ValueError, match="run is no recogniser"):
        Run.open(tmp_path / "run").recogniser()


def test_an_unknown_task_is_refused_with_the_names_of_those_there_are(train):
    with pytest.raises(ValueError, match=r"task.kind='counting' is unknown; known: ctc, frames"):
        train(task=COUNTING)


def test_an_encoder_family_of_ones_own_takes_adapters_and_is_restored(example, train, tmp_path):
    example("An encoder family")
    sizes = {
        **{"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
        **{"intermediate_size": 24, "num_conv_pos_embeddings": 4},
        **{"conv_dim": [8, 8], "conv_kernel": [10, 4], "conv_stride": [20, 16]},
        "num_conv_pos_embedding_groups": 2,
    }
    metrics = train("adaptation=lora", encoder={"family": "echo", "overrides": sizes})
    assert metrics["run"]["adaptation"]["num_trainable"] > 0
    assert Run.open(tmp_path / "run").encoder().family.name == "echo"


def test_a_strategy_of_ones_own_trains_what_it_says(example, train, tmp_path):
    example("A strategy")
    report = train(adaptation={"strategy": "only_norms"})["run"]["adaptation"]
    assert report["strategy"] == "only_norms"
    assert report["trainable"] and all("layer_norm" in name for name in report["trainable"])
    assert Run.open(tmp_path / "run").encoder() is not None


def test_a_head_of_ones_own_is_trained_and_restored(example, train, tmp_path):
    mine = example("A head")
    train("head=conv", "head.size=8", "head.kind=gated")
    model = Run.open(tmp_path / "run").recogniser().model
    assert any(isinstance(module, mine["Gated"]) for module in model.modules())


def test_a_data_set_of_ones_own_is_prepared_by_name(example, tmp_path, tiny_corpus, capsys):
    example("A data set")
    (tmp_path / "clips").mkdir()
    for name in ("rome", "york"):
        audio = tiny_corpus / "dev/00.wav"
        (tmp_path / f"clips/{name}.wav").write_bytes(audio.read_bytes())
    assert main(["prepare", "places", str(tmp_path / "clips"), str(tmp_path / "out")]) == 0
    assert "dev: 2 utterances" in capsys.readouterr().out
    first, _ = read_manifest(tmp_path / "out/dev.jsonl")
    assert (first.id, first.entities[0].phrase) == ("rome", "rome")


def test_a_file_of_ones_own_is_the_whole_program_with_its_entries(
    tmp_path, tiny_overrides, tiny_corpus
):
    (tmp_path / "my_configs/task").mkdir(parents=True)
    (tmp_path / "my_configs/task/counting.yaml").write_text("kind: counting\nshare: 1.0\n")
    end = 'import sys\nfrom slue_ner.cli.main import main\nif __name__ == "__main__":\n'
    (tmp_path / "mine.py").write_text(f"{block('A task')}\n{end}    sys.exit(main())\n")
    arguments = ["train", "--config-dir", "my_configs", "task=counting", *tiny_overrides]
    done = subprocess.run(
        [sys.executable, "mine.py", *arguments, "run_dir=run", "trainer.max_updates=1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "metrics in run/metrics.json" in done.stdout
