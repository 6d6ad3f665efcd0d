from __future__ import annotations

import copy
from pathlib import Path

import pytest

from slue_ner.core.run_files import read_config
from slue_ner.models.adaptation.strategies import STRATEGIES
from slue_ner.tasks.registry import run_config


@pytest.fixture
def changed(tiny_values):
    """``changed("trainer.devices", 0)``: a composed config with one value set or added."""

    def build(key: str, value):
        values = copy.deepcopy(tiny_values())
        *path, name = key.split(".")
        node = values
        for part in path:
            node = node[part]
        node[name] = value
        return values

    return build


KEPT = sorted(Path(__file__).resolve().parents[2].glob("recipes/*/results/**/config.yaml"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: "/".join(path.parts[-4:-1]))
def test_configs_of_runs_from_before_are_still_read(path):
    config = run_config(read_config(path))
    assert config.name and type(config.task).__name__ in ("CTC", "Pretraining")


def test_there_are_runs_from_before():
    assert len(KEPT) > 20


def test_a_composed_config_becomes_typed(tiny_values):
    config = run_config(tiny_values("adaptation=lora", "adaptation.rank=4"))
    assert config.adaptation == STRATEGIES["lora"](rank=4)
    assert config.data.evaluate == ["dev"]
    assert config.optim.lr == 0.003


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("_target_", "os.system", "^_target_ is unknown; known: "),
        ("encoder._target_", "os.system", "^encoder._target_ is unknown; "),
        ("adaptation.strategy", "lorra", "adaptation='lorra' is unknown; did you mean 'lora'"),
        ("adaptation.rank", 4, "^adaptation.rank is unknown; "),
        ("adaptation", None, "adaptation.strategy is missing; known: full, reinit, lora"),
        ("trainer.max_update", 3, "trainer.max_update is unknown; did you mean 'max_updates'"),
        ("trainer.max_updates", "many", "trainer.max_updates should be int, got 'many'"),
        ("trainer.accumulate", 0, "trainer.accumulate must be at least 1, got 0"),
        ("trainer.precision", "bf16", "^trainer.precision='bf16' is unknown; known: 16-mixed"),
        ("trainer.patience", -1, "patience must not be negative"),
        ("optim.weight_decay", -0.1, "optim.weight_decay must not be negative, got -0.1"),
        ("optim.gradient_clip", -1.0, "optim.gradient_clip must not be negative, got -1.0; 0 swit"),
        ("optim.betas", [1.0, 0.9], r"optim.betas must lie in \[0, 1\), got \[1.0, 0.9\]"),
        ("optim.eps", 0.0, "optim.eps must be positive, got 0.0"),
        ("optim.lr", float("nan"), "optim.lr should be a finite number, got nan"),
        ("data.hours", float("nan"), "data.hours should be a finite number, got nan"),
        ("trainer.num_nodes", 0, "trainer.num_nodes must be at least 1, got 0"),
        ("trainer.num_threads", -1, "trainer.num_threads must not be negative, got -1"),
        ("trainer.accelerator", "tpu", "trainer.accelerator='tpu' is unknown; did you mean 'gpu'"),
        ("seed", -1, r"^seed must be in \[0, 4294967295\], got -1"),
        ("data.max_seconds", 0.0, "data.max_seconds must be positive, or null for any, got 0.0"),
        ("data.num_workers", -1, "data.num_workers must not be negative, got -1"),
        ("logger.kind", "wandbb", "logger.kind='wandbb' should be csv, wandb or tensorboard"),
        ("data.tune", "test", "data.tune=test would choose checkpoints on the test set"),
        ("data.batch_seconds", 0.0, "data.batch_seconds must be positive, got 0.0"),
        ("task.target", "taged", "task.target='taged' should be plain or tagged"),
        ("task.target", "plain", "task.monitor=f1 needs task.target=tagged; use task.monitor=wer"),
        ("mixing.kind", "first", "mixing.kind='first' is unknown; known: last, layer, weighted"),
    ],
)
def test_a_wrong_value_is_refused_by_name(changed, key, value, message):
    with pytest.raises(ValueError, match=message):
        run_config(changed(key, value))


def test_a_missing_value_is_named(tiny_values):
    values = tiny_values()
    del values["optim"]["lr"]
    with pytest.raises(ValueError, match=r"optim.lr is missing"):
        run_config(values)
