from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from slue_ner.cli.compose import _SPEECH_GROUPS, compose_config
from slue_ner.cli.config_groups import config_folder
from slue_ner.cli.train import with_own_configs
from slue_ner.models.adaptation.strategies import STRATEGIES
from slue_ner.tasks.registry import run_config

MISSING = {
    "adaptation=frozen_layer": ["adaptation.layer=1"],
    "encoder=checkpoint": ["encoder.source=small-sfm"],
    "task=ctc_plain": [],
}
# what an experiment starts from is not there before it has been trained; a tiny encoder is
FROM_SCRATCH = {"pretrain_small": ["encoder.source=null", "task.teacher=null"]}
EXPERIMENTS = sorted(path.stem for path in (config_folder() / "experiment").glob("*.yaml"))
ON_TEXT = [name for name in EXPERIMENTS if name.startswith("text_ner")]
CHOICES = sorted(
    f"{path.parent.name}={path.stem}"
    for path in config_folder().glob("*/*.yaml")
    if path.parent.name not in ("launcher", "experiment", "decoding")  # decoding: no part of a run
)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_of_every_group_composes(choice):
    run_config(compose_config([choice, *MISSING.get(choice, [])]))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes(name):
    values = compose_config([f"experiment={name}"])
    config = run_config(values)
    assert config.name == name
    assert config.run_dir == f"runs/{name}"
    assert "hydra" not in values and "launcher" not in values and "experiment" not in values


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in ON_TEXT])
def test_one_step_of_every_experiment_on_audio_runs(
    slue_ner, tiny_overrides, timed_corpus, tmp_path, name
):
    words_are_timed = [f"data.root={timed_corpus}"] if name.startswith("frames") else []
    ended = slue_ner(
        "train",
        f"experiment={name}",
        *(*tiny_overrides, *words_are_timed, *FROM_SCRATCH.get(name, [])),
        *(
            "trainer.max_updates=1",
            "trainer.devices=1",
            "data.evaluate=[dev]",
            "data.also_train=[]",
        ),
        f"run_dir={tmp_path}/run",
    )
    assert ended.status == 0, ended.err
    assert (tmp_path / "run/metrics.json").is_file()


@pytest.mark.parametrize("name", ON_TEXT)
def test_one_step_of_every_experiment_on_text_runs(
    slue_ner, text_overrides, text_sources, tiny_corpus, tmp_path, name
):
    ended = slue_ner(
        "train",
        f"experiment={name}",
        *(override for override in text_overrides if override != "task=text_ner"),
        *([] if name == "text_ner_small" else [f"task.source={text_sources['bert']}"]),
        *("trainer.max_updates=1", "data.evaluate=[dev]", "data.tune=tune"),
        f"data.also_train=[{tiny_corpus}/tune.jsonl]",
        f"run_dir={tmp_path}/run",
    )
    assert ended.status == 0, ended.err
    assert " words/s, " in ended.out and "dev: F1 " in ended.out
    assert (tmp_path / "run/metrics.json").is_file()


def test_a_strategy_brings_the_mixing_it_is_named_for():
    assert compose_config(["adaptation=frozen_weighted_sum"])["mixing"]["kind"] == "weighted_sum"
    both = compose_config(["adaptation=full", "mixing=weighted_sum"])
    assert both["mixing"]["kind"] == "weighted_sum"
    values = compose_config(["adaptation=frozen_layer", "adaptation.layer=1"])
    assert values["mixing"] == {"kind": "layer", "layer": None}


@pytest.mark.parametrize(
    ("strategy", "encoder_rate", "head_rate"),
    [
        *((name, 5e-5, 5e-3) for name in ("full", "reinit", "top_layers", "truncate")),
        ("lora", 2e-4, 5e-3),
        ("frozen_weighted_sum", 8e-3, 8e-3),
        ("frozen_layer", 8e-3, 8e-3),
    ],
)
@pytest.mark.parametrize("schedule", ["tri_stage", "constant"])
def test_every_strategy_brings_its_learning_rates(strategy, encoder_rate, head_rate, schedule):
    choices = [f"adaptation={strategy}", *MISSING.get(f"adaptation={strategy}", [])]
    config = run_config(compose_config([*choices, f"optim={schedule}"]))
    assert (config.optim.lr, config.optim.head_rate) == (encoder_rate, head_rate)
    assert config.optim.schedule == schedule


def test_no_strategy_is_without_rates_of_its_own():
    for path in (config_folder() / "adaptation").glob("*.yaml"):
        assert set(yaml.safe_load(path.read_text())["optim"]) == {"lr", "head_lr"}, path.stem


def test_one_rate_on_the_command_line_reaches_a_head_that_is_trained_alone():
    values = compose_config(["adaptation=frozen_weighted_sum", "optim.lr=1e-4"])
    assert run_config(values).optim.head_rate == 1e-4


def test_the_command_line_has_the_last_word_over_an_experiment():
    assert compose_config(["experiment=quickstart", "optim.lr=1.0"])["optim"]["lr"] == 1.0


def test_cfg_prints_the_composed_config_and_trains_nothing(slue_ner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = slue_ner("train", "--cfg", "adaptation=lora", "seed=7")
    assert ended.status == 0
    assert yaml.safe_load(ended.out) == compose_config(["adaptation=lora", "seed=7"])
    assert not list(tmp_path.iterdir())


def test_train_help_lists_every_group_and_choice(slue_ner):
    text = slue_ner("train", "--help").out
    for path in config_folder().glob("*/*.yaml"):
        if path.parent.name != "decoding":  # which is of `predict --decoding`
            assert path.stem in text
    assert "slue_paper" not in text


def test_a_group_called_otherwise_in_earlier_versions_is_named(slue_ner):
    ended = slue_ner("train", "features=disk")
    assert ended.status == 1
    assert "features is called state_cache now; write state_cache=disk" in ended.err
    ended = slue_ner("train", "+features.dtype=float32")
    assert "write +state_cache.dtype=float32" in ended.err


def test_the_config_folder_is_absolute():
    assert config_folder().is_absolute()
    assert (Path(config_folder()) / "train.yaml").is_file()


def test_an_option_of_encoders_that_the_choice_does_not_name_is_added_with_a_plus():
    with pytest.raises(ValueError) as caught:
        compose_config(["encoder=hubert_base", "encoder.layerdrop=0.1"])
    assert str(caught.value) == (
        "override 'encoder.layerdrop' is unknown; the choices made here have no such key; "
        "+encoder.layerdrop=... adds it"
    )


@pytest.mark.parametrize(
    ("override", "name"),
    [
        ("optim.learning_rate=1", "optim.lr"),
        ("epochs=3", "trainer.max_updates"),
        ("model=wavlm", "encoder"),
        ("trainer.gpus=2", "trainer.devices"),
    ],
)
def test_names_of_other_programs_lead_to_ours(override, name):
    with pytest.raises(ValueError, match=f"is unknown; it is {name} here"):
        compose_config([override])


def test_a_choice_may_be_a_file_of_ones_own(slue_ner, tmp_path):
    (tmp_path / "tiny.yaml").write_text("defaults:\n  - small\noverrides:\n  hidden_size: 32\n")
    (tmp_path / "mine/optim").mkdir(parents=True)
    (tmp_path / "mine/optim/slow.yaml").write_text("defaults:\n  - tri_stage\nwarmup: 0.5\n")
    files = [f"encoder={tmp_path}/tiny.yaml", "optim=slow", "--config-dir", str(tmp_path / "mine")]
    ended = slue_ner("train", *files, "optim.hold=0.2", "--cfg")
    assert ended.status == 0, ended.err
    values = yaml.safe_load(ended.out)
    assert values["encoder"]["overrides"]["hidden_size"] == 32
    assert values["encoder"]["family"] == "wav2vec2-bert"
    assert (values["optim"]["warmup"], values["optim"]["hold"]) == (0.5, 0.2)


def test_a_sweep_runs_over_files_of_ones_own(slue_ner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, warmup in (("short", 0.1), ("long", 0.5)):
        Path(f"{name}.yaml").write_text(f"defaults:\n  - tri_stage\nwarmup: {warmup}\n")
    Path("b").mkdir()
    Path("b/short.yaml").write_text("warmup: 0.3\n")
    given = with_own_configs(["-m", "optim=short.yaml,long.yaml,linear", "data=so762"])
    assert given[:3] == ["-m", "optim=own_short,own_long,linear", "data=so762"]
    composed = [compose_config([f"optim={name}", given[-1]]) for name in ("own_short", "own_long")]
    assert [values["optim"]["warmup"] for values in composed] == [0.1, 0.5]
    with pytest.raises(ValueError, match=r"optim=short.yaml,b/short.yaml: two files of one name"):
        with_own_configs(["optim=short.yaml,b/short.yaml"])


def test_a_users_own_searchpath_is_kept(tmp_path):
    folders = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    for folder in folders:
        (folder / "optim").mkdir(parents=True)
        (folder / f"optim/{folder.name}.yaml").write_text("defaults:\n  - tri_stage\n")
    a, b, c = folders
    given = ["--config-dir", str(b), f"hydra.searchpath=[file://{a}]", f"--config-dir={c}"]
    (searched,) = with_own_configs(given)
    for name in "abc":
        assert compose_config([f"optim={name}", searched])["optim"]["schedule"] == "tri_stage"


def test_a_task_of_ones_own_that_hears_nothing_has_no_speech_groups(tmp_path):
    (tmp_path / "task").mkdir()
    (tmp_path / "task/own.yaml").write_text(
        "# @package _global_\ndefaults:\n"
        + "".join(f"  - override /{group}: null\n" for group in _SPEECH_GROUPS)
        + "task:\n  kind: own\n"
    )
    (searched,) = with_own_configs(["--config-dir", str(tmp_path)])
    values = compose_config(["task=own", searched])
    assert not set(_SPEECH_GROUPS) & set(values)
    with pytest.raises(ValueError, match=r"'mixing=last' has no part in task=own, which hears"):
        compose_config(["task=own", searched, "mixing=last"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encoder=gone.yaml"], "encoder=gone.yaml: no such file; give a choice by name"),
        (["--config-dir", "gone"], "--config-dir gone: no such folder; it holds GROUP/NAME.yaml"),
        (["--config-dir"], "--config-dir (nothing): no such folder"),
    ],
)
def test_a_file_or_folder_of_choices_that_is_not_there_is_named(slue_ner, arguments, message):
    ended = slue_ner("train", *arguments, "--cfg")
    assert ended.status == 1 and message in ended.err


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_no_value_of_a_strategy_is_left_to_its_code(name):
    values = compose_config([f"adaptation={name}", *MISSING.get(f"adaptation={name}", ())])
    options = {field.name for field in fields(STRATEGIES[name])}
    assert options <= set(values["adaptation"])


@pytest.mark.parametrize("experiment", ["quickstart", "tour", "so762"])
def test_an_experiment_on_speech_becomes_one_on_text(experiment):
    values = compose_config([f"experiment={experiment}", "task=text_ner"])
    assert run_config(values).learner == "TextNER"
    with pytest.raises(ValueError, match=r"'adaptation=lora' has no part in task=text_ner"):
        compose_config([f"experiment={experiment}", "task=text_ner", "adaptation=lora"])
