"""Whose a run folder is: one process's at a time, and nobody's after a start that failed."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from slue_ner.core.files import write_text
from slue_ner.core.locks import held
from slue_ner.core.provenance import provenance
from slue_ner.systems.experiment import run_experiment
from slue_ner.training import run_folder
from slue_ner.training.checkpoints import AtomicCheckpointIO
from slue_ner.training.run_folder import claimed

QUICK = "trainer.max_updates=1"

KILLED_IN_A_WRITE = """
import os, signal, sys, torch
from pathlib import Path
from slue_ner.core.locks import held
from slue_ner.training import checkpoints as checkpoint_files
from slue_ner.training.checkpoints import AtomicCheckpointIO, save_weights
saved = torch.save
def cut(value, path):
    saved(value, path)
    os.truncate(path, 100)
    os.kill(os.getpid(), signal.SIGKILL)
folder = Path(sys.argv[1]) / "checkpoints"
with held(folder.parent):
    torch.save = cut
    AtomicCheckpointIO().save_checkpoint({"values": torch.ones(1000)}, folder / "last.ckpt")
"""


@pytest.fixture
def run(tiny_values):
    """``run(folder, "seed=1")``: what was printed."""

    def start(folder, *overrides):
        output = io.StringIO()
        console = Console(file=output, width=400)
        run_experiment(tiny_values(QUICK, *overrides), folder, console=console)
        return output.getvalue()

    threads = torch.get_num_threads()
    yield start
    torch.set_num_threads(threads)


def test_a_second_start_in_a_folder_is_refused_by_name_and_changes_nothing(
    run, tmp_path, tiny_overrides
):
    with held(tmp_path / "run"), pytest.raises(ValueError, match=f"process {os.getpid()} on "):
        run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("before", [False, True])
def test_a_kill_within_the_write_of_a_checkpoint_leaves_nothing_once_the_run_goes_on(
    tmp_path, before
):
    folder = tmp_path / "checkpoints"
    if before:
        AtomicCheckpointIO().save_checkpoint({"values": torch.zeros(3)}, folder / "last.ckpt")
    done = subprocess.run([sys.executable, "-c", KILLED_IN_A_WRITE, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(folder.iterdir())) == 1 + before
    if before:
        state = AtomicCheckpointIO().load_checkpoint(folder / "last.ckpt")
        assert torch.equal(state["values"], torch.zeros(3))
    with claimed(tmp_path, {"seed": 0}, {}):
        left = [path.name for path in folder.iterdir()]
    assert left == (["last.ckpt"] if before else [])


@pytest.mark.parametrize(
    "bad", ["+encoder.overrides.num_heads=3", "data.max_seconds=0.1", "trainer.devices=2"]
)
def test_a_start_that_failed_leaves_nothing_and_the_name_is_free(run, tmp_path, bad):
    with pytest.raises(ValueError):
        run(tmp_path / "run", bad)
    assert not (tmp_path / "run").exists()
    run(tmp_path / "run")
    assert (tmp_path / "run/metrics.json").is_file()


def test_a_run_that_has_saved_something_keeps_its_folder(run, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        write_text(tmp_path / "run/checkpoints/last.ckpt", "a state")
        raise ValueError("the loss is not finite")

    monkeypatch.setattr("slue_ner.systems.experiment.fit", interrupted)
    with pytest.raises(ValueError, match="not finite"):
        run(tmp_path / "run")
    with pytest.raises(ValueError, match="already holds another run: seed is 0 there and 1 here"):
        run(tmp_path / "run", "seed=1")


def test_a_start_that_was_killed_before_it_saved_anything_claims_nothing(
    run, tmp_path, tiny_values
):
    run_folder.claim_folder(tmp_path, tiny_values(QUICK, "seed=7"))
    write_text(tmp_path / "vocabulary.json", "of another run, and cut")
    write_text(tmp_path / "localizer.yaml", "of weights that are gone")
    run(tmp_path)
    assert (tmp_path / "metrics.json").is_file()
    assert "with_blanks: " in (tmp_path / "localizer.yaml").read_text()


def test_other_ranks_wait_for_the_claim_of_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder, "own_rank", lambda: 1)
    monkeypatch.setattr(run_folder, "_PATIENCE", 0.1)
    refused = pytest.raises(ValueError, match="the first rank has not claimed")
    with refused, claimed(tmp_path, {"seed": 0}, {}):
        pass
    run_folder.claim_folder(tmp_path, {"seed": 0})
    with claimed(tmp_path, {"seed": 0}, {}):
        assert not (tmp_path / "run.lock").exists()


@pytest.mark.parametrize(
    ("environment", "command"),
    [
        ({}, "slue-ner train 'name=a b'"),
        (
            {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2"},
            "torchrun --standalone --nproc-per-node 2 --no-python slue-ner train 'name=a b'",
        ),
        (
            {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"},
            "torchrun --nnodes 2 --rdzv-backend c10d --rdzv-endpoint $FIRST_NODE:29500 "
            "--nproc-per-node 4 --no-python slue-ner train 'name=a b'",
        ),
        (
            {"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_NNODES": "2"},
            "srun --nodes 2 --ntasks 8 slue-ner train 'name=a b'",
        ),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, "slue-ner train 'name=a b'"),
        ({"SLUE_NER_SWEEP_COMMAND": "slue-ner train -m seed=0,1"}, "slue-ner train -m seed=0,1"),
    ],
)
def test_the_recorded_command_starts_the_ranks_too(monkeypatch, environment, command):
    monkeypatch.setattr(sys, "argv", [str(Path("/bin/slue-ner")), "train", "name=a b"])
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert provenance()["command"] == command
