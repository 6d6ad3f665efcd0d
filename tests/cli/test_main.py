from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from slue_ner.cli.main import COMMANDS

HELP_IMPORTS = """
import sys, time
started = time.perf_counter()
from slue_ner.cli.main import main
status = main(["--help"])
assert status == 0
assert time.perf_counter() - started < 0.5
heavy = {"torch", "transformers", "pytorch_lightning", "hydra", "numpy"} & sys.modules.keys()
assert not heavy, heavy
"""


def test_help_comes_at_once_and_without_torch():
    done = subprocess.run([sys.executable, "-c", HELP_IMPORTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        assert command in done.stdout


def test_the_version_is_printed(slue_ner):
    assert slue_ner("--version").out.startswith("slue-ner 0.")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("trian",), 2, "slue-ner: unknown command 'trian'; did you mean 'train'?"),
        (("prepare", "synthtic", "out"), 1, "unknown kind of data 'synthtic'; did you mean 'synt"),
        (("train", "adaptation=lorra"), 1, "adaptation=lorra is unknown; did you mean 'lora'? ("),
        (("train", "encoder=wavlm"), 1, "encoder=wavlm is unknown; did you mean 'wavlm_"),
        (("train", "experiment=quikstart"), 1, "unknown; did you mean 'quickstart'? (choices: "),
        (("train", "optm.lr=1"), 1, "override 'optm.lr' is unknown; did you mean 'optim.lr'?"),
        (("train", "optm=linear"), 1, "override 'optm' is unknown; did you mean 'optim'?"),
        (("train", "optim.lr=fast"), 1, "optim.lr should be float, got 'fast'"),
        (("train", "+speed=1"), 1, "speed is unknown; did you mean 'seed'?"),
        (("train", "lr"), 1, "override 'lr' cannot be read; write it as group=name or a.b=1"),
        (("train", "encoder"), 1, "encoder is a group of configs; choose one as encoder=NAME ("),
        (("train", "encoder="), 1, "encoder= names no choice; choose one as encoder=NAME (choi"),
        (("train", "-m", "optim=linear,"), 1, "optim= names no choice; choose one as optim=NAME"),
        (("train", "encoder=mine/"), 1, "a checkpoint as encoder=checkpoint encoder.source=mine\n"),
        (("train", "encoder=own/it"), 1, "encoder=own/it is unknown; choose one as encoder=NAME"),
        (("train", "data=data/mine"), 1, "or a folder with manifests as data.root=data/mine\n"),
        (("train", "optim=1e-4"), 1, "optim=1e-4 is a number; choose one as optim=NAME (choice"),
        (("train", "optim.lr"), 1, "has no value; write it as optim.lr=VALUE (now 5e-05)"),
        (("train", "+optim"), 1, "is a section; write it as optim.KEY=VALUE, with one of sch"),
        (("train", "adaptation.lora"), 1, "has no value; write it as adaptation=lora"),
        (("train", "name="), 1, "name is empty, but the run's folder is named after it"),
        (("train", "optim.lr=nan"), 1, "optim.lr should be a finite number, got nan"),
        (("train", "--fast"), 1, "unknown option '--fast'; overrides look like group=name or"),
        (("train", "adaptation=frozen_layer"), 1, "adaptation.layer has no default; give it as a"),
        (("train", "task.target=spoken"), 1, "task.target='spoken' should be plain or tagged"),
        (("train", "data.tune=test"), 1, "would choose checkpoints on the test set"),
        (("train", "seed=0,1"), 1, "--multirun"),
        (("predict", "gone", "--manifest", "m", "--output", "p"), 1, "m: no such file"),
        (("score", "--references", "gone", "--predictions", "p"), 1, "gone: no such file"),
    ],
)
def test_a_slip_is_answered_in_one_sentence(
    slue_ner, tiny_corpus, tmp_path, monkeypatch, arguments, status, message
):
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "train":  # data that is missing would be said first
        arguments = (*arguments, f"data.root={tiny_corpus}")
    ended = slue_ner(*arguments)
    assert ended.status == status
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert ended.out == ""
    assert not list(tmp_path.iterdir())


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two runs and a manifest, each in a folder of the current one."""
    monkeypatch.chdir(tmp_path)
    for path in ("runs/one/config.yaml", "runs/sweep/two/config.yaml", "data/mine/dev.jsonl"):
        Path(path).parent.mkdir(parents=True)
        Path(path).touch()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "score --references data/ --predictions p.jsonl",
            "data is a folder; name a file in it: data/mine/dev.jsonl",
        ),
        (
            "score --references data/mine/ --predictions p.jsonl",
            "data/mine is a folder; name a file in it: data/mine/dev.jsonl",
        ),
        (
            "lm train data/mine --order 2 --output runs/lm.ngram",
            "data/mine is a folder; name a file in it: data/mine/dev.jsonl",
        ),
        (
            "prepare jsonl data/mine data/more",
            "data/mine is a folder; name a file in it: data/mine/dev.jsonl",
        ),
        (
            "localize data/mine/dev.jsonl --with runs/one --output runs/localized.jsonl",
            "runs/one is a folder; name a file in it: runs/one/config.yaml",
        ),
        *(
            (line, f"{what}, but it holds runs; give one of them: runs/one, runs/sweep/two")
            for line, what in (
                (
                    "predict runs/ --manifest data/mine/dev.jsonl --output runs/dev.jsonl",
                    "runs is not a run folder: it has no config.yaml",
                ),
                ("show runs", "runs is not a run folder: it has no config.yaml"),
                ("export runs out", "runs is not a finished run: it has no config.yaml"),
                (
                    "align runs data/mine/dev.jsonl data/timed.jsonl",
                    "runs is not a run folder: it has no config.yaml",
                ),
            )
        ),
        (
            "predict runs/sweep --manifest data/mine/dev.jsonl --output runs/dev.jsonl",
            "runs/sweep is not a run folder: it has no config.yaml, but it holds runs; give one of "
            "them: runs/sweep/two",
        ),
    ],
)
def test_a_folder_in_the_place_of_a_file_or_a_run_is_told_by_what_it_holds(
    slue_ner, folders, line, message
):
    command, *arguments = line.split()
    ended = slue_ner(command, *arguments)
    assert (ended.status, ended.err) == (1, f"slue-ner {command}: {message}\n")


def test_data_that_is_not_there_is_one_sentence(slue_ner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = slue_ner("train", "data.root=nowhere")
    assert ended.status == 1
    assert "data.root=nowhere: no such folder; run `slue-ner prepare` first" in ended.err


def test_a_hub_id_without_a_network_is_one_sentence(slue_ner, tiny_corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    started = time.monotonic()
    ended = slue_ner("train", f"data.root={tiny_corpus}", "encoder=wavlm_base_plus")
    assert ended.status == 1
    assert "microsoft/wavlm-base-plus" in ended.err
    assert ended.err.count("\n") == 1
    assert time.monotonic() - started < 10


def test_a_traceback_is_shown_on_request(slue_ner, monkeypatch):
    monkeypatch.setenv("SLUE_NER_TRACEBACK", "1")
    with pytest.raises(ValueError, match="adaptation=lorra"):
        slue_ner("train", "adaptation=lorra")
