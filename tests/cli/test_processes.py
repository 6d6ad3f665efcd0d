"""Runs in processes of their own: several ranks, and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from program import COMMAND

from slue_ner.training.checkpoints import AtomicCheckpointIO


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Until ``path`` is there."""
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.mark.slow
def test_two_ranks_train_on_different_batches_and_write_one_result(tiny_overrides, tmp_path):
    arguments = ["train", *tiny_overrides, "name=two", "trainer.devices=2"]
    arguments += ["trainer.max_updates=2", "adaptation.freeze_updates=1", "data.batch_seconds=3"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "--no-python", *COMMAND, *arguments),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")  # the encoder is frozen first, then released
    run = tmp_path / "runs/two"
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["run"]["training"]["updates"] == 2
    assert 0 <= metrics["splits"]["dev"]["wer"] < 10
    assert done.stdout.count("dev: F1") == 1
    assert done.stdout.count("update 2: tune") == 1
    state = AtomicCheckpointIO().load_checkpoint(run / "checkpoints/last.ckpt")
    assert state["num_batches"] == 2
    assert len(state["random_states"]) == 2


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, tiny_overrides):
    """Weights of a run of 100 updates that nothing disturbed."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    done = subprocess.run(
        [*COMMAND, *arguments(tiny_overrides)], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return (folder / "runs/cut/checkpoints/last.safetensors").read_bytes()


def arguments(tiny_overrides: list[str]) -> list[str]:
    lengths = ["trainer.max_updates=100", "trainer.validate_every=50", "trainer.save_every=5"]
    return ["train", *tiny_overrides, *lengths, "trainer.log_every=50", "name=cut"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_was_cut_off_goes_on_with_the_same_command(
    start, tiny_overrides, tmp_path, uninterrupted, number
):
    process = start(*arguments(tiny_overrides))
    wait_for(tmp_path / "runs/cut/checkpoints/last.ckpt", process)
    process.send_signal(number)
    _, err = process.communicate()
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        assert "the same command goes on from there" in err
    assert not (tmp_path / "runs/cut/metrics.json").exists()
    again = start(*arguments(tiny_overrides))
    out, err = again.communicate()
    assert again.returncode == 0, err
    assert err == ""
    assert "resuming at update " in out
    weights = tmp_path / "runs/cut/checkpoints/last.safetensors"
    assert weights.read_bytes() == uninterrupted


@pytest.mark.slow
def test_loader_processes_leave_ctrl_c_to_the_run(start, tiny_overrides, tmp_path):
    command = [*arguments(tiny_overrides), "data.num_workers=2", "trainer.max_updates=4000"]
    process = start(*command, start_new_session=True)
    wait_for(tmp_path / "runs/cut/checkpoints/last.ckpt", process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert err.startswith("slue-ner train: stopped at update ")
    assert err.count("\n") == 1


@pytest.mark.slow
def test_ranks_that_are_asked_to_stop_save_together_and_go_on(tiny_overrides, tmp_path):
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc-per-node", "2", "--no-python", *COMMAND, "train", *tiny_overrides),
        *("name=cut", "trainer.devices=2", "trainer.validate_every=100", "trainer.save_every=5"),
        *("trainer.log_every=100", "trainer.max_updates=100"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, start_new_session=True, **options
    )
    wait_for(tmp_path / "runs/cut/checkpoints/last.ckpt", process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode != 0
    assert "the same command goes on from there" in err
    state = AtomicCheckpointIO().load_checkpoint(tmp_path / "runs/cut/checkpoints/last.ckpt")
    assert state["num_batches"] == state["global_step"] < 100
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert f"resuming at update {state['global_step']}\n" in again.stdout


@pytest.mark.slow
def test_an_interrupted_preparation_says_one_sentence_and_writes_no_manifest(start, tmp_path):
    arguments = ["prepare", "synthetic", "data", "--num-workers", "2"]
    process = start(*arguments, start_new_session=True)
    wait_for(tmp_path / "data/audio", process)
    time.sleep(1.0)  # both workers speak
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err == "slue-ner prepare: interrupted; the same command starts again\n"
    assert not list((tmp_path / "data").glob("*.jsonl"))
