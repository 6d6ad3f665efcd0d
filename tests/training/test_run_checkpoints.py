from __future__ import annotations

import math
import os
import pickle
import random
import resource
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors import safe_open
from torch import nn

from slue_ner.tasks.ctc_task import CTCModule as CTCTask
from slue_ner.text.vocabulary import BLANK, UNKNOWN, Vocabulary
from slue_ner.training.checkpoints import (
    AtomicCheckpointIO,
    StopRequestedError,
    load_weights,
    save_weights,
)

SYMBOLS = (BLANK, UNKNOWN, "|")
SAVE_FOREVER = """
import sys, itertools, torch
from pathlib import Path
from slue_ner.training.checkpoints import AtomicCheckpointIO
io = AtomicCheckpointIO()
for number in itertools.count(1):
    io.save_checkpoint({"number": number, "values": torch.full((50_000,), number)}, sys.argv[1])
    if number == 1:
        print("saved", flush=True)
"""


class Bomb:
    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.fixture
def scripted_scores(monkeypatch):
    """``scripted_scores((f1, loss), ...)``: what the validations of the next runs find."""

    def script(*found: tuple[float, float]) -> None:
        left = iter(found)

        def scored(self) -> None:
            self._tune_predictions, self._tune_loss = [], [0.0, 0.0]
            f1, loss = next(left)
            self.log_dict({"val_f1": f1, "val_monitor": f1, "val_loss": loss})

        monkeypatch.setattr(CTCTask, "on_validation_epoch_end", scored)

    return script


EVERY_UPDATE = ("trainer.validate_every=1",)


def test_the_best_weights_have_the_best_f1(train, tmp_path, scripted_scores):
    scripted_scores((0.1, 9.0), (0.5, 8.0), (0.4, 1.0), (0.3, 1.0), (0.2, 1.0), (0.1, 1.0))
    watched = train(tmp_path, *EVERY_UPDATE)
    assert watched.fit.figures["best_update"] == 2
    assert not torch.equal(
        watched.weights("best")["head.projection.bias"],
        watched.weights("last")["head.projection.bias"],
    )


def test_equal_f1_is_decided_by_the_loss(train, tmp_path, scripted_scores):
    scripted_scores((0.0, 9.0), (0.0, 7.0), (0.0, 6.0), (0.0, 8.0), (0.0, 6.0), (0.0, 6.5))
    assert train(tmp_path, *EVERY_UPDATE).fit.figures["best_update"] == 3


def test_a_low_wer_is_better_than_a_high_one(train, tmp_path, scripted_scores):
    scripted_scores((0.9, 1.0), (0.2, 1.0), (0.5, 1.0), (0.5, 1.0), (0.5, 1.0), (0.5, 1.0))
    watched = train(tmp_path, *EVERY_UPDATE, "task.monitor=wer")
    assert watched.fit.figures["best_update"] == 2


def test_training_stops_when_patience_is_over_and_stays_stopped(train, tmp_path, scripted_scores):
    scripted_scores((0.5, 1.0), (0.4, 1.0), (0.4, 1.0))
    options = (*EVERY_UPDATE, "trainer.patience=2")
    watched = train(tmp_path, *options)
    assert watched.fit.figures["updates"] == 3
    again = train(tmp_path, *options)  # no validation is left in the script, none is needed
    assert again.batches == []
    assert again.fit.figures["updates"] == 3
    assert again.fit.figures["best_update"] == 1


def test_patience_counts_on_over_a_restart(train, tmp_path, scripted_scores):
    scripted_scores((0.5, 1.0), (0.4, 1.0), (0.3, 1.0), (0.2, 1.0))
    options = (*EVERY_UPDATE, "trainer.patience=3")
    with pytest.raises(StopRequestedError):
        train(tmp_path, *options, stop_after=2)
    assert train(tmp_path, *options).fit.figures["updates"] == 4


def test_the_end_of_training_is_validated_once_in_any_case(train, tmp_path):
    watched = train(tmp_path, "trainer.max_updates=5")  # validations are due after 3 and 6
    updates = [row[0] for row in watched.log() if row[1] == "val_f1"]
    assert updates == ["3", "5"]


def test_a_finished_training_is_not_validated_again_when_it_is_started_again(train, tmp_path):
    first = train(tmp_path)
    again = train(tmp_path)
    assert again.batches == []
    assert again.log() == first.log()


def test_the_state_is_saved_every_so_many_updates(train, tmp_path, monkeypatch):
    saved = []
    save = AtomicCheckpointIO.save_checkpoint

    def noted(self, checkpoint, path, storage_options=None):
        saved.append(checkpoint["global_step"])
        save(self, checkpoint, path, storage_options)

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", noted)
    options = ("trainer.save_every=2", "trainer.accumulate=2", "trainer.validate_every=5")
    train(tmp_path, *options)
    assert saved == [2, 4, 5, 6, 6]  # every second, the validation's, and the one at the end


def test_weights_are_safetensors_without_pickle(train, tmp_path):
    train(tmp_path, "trainer.max_updates=1")
    with safe_open(tmp_path / "checkpoints/best.safetensors", "pt") as file:
        assert file.get_tensor("head.projection.bias").dtype == torch.float32


def test_a_pickle_in_place_of_a_checkpoint_is_refused_unread(train, tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    bomb = folder / "checkpoints/last.ckpt"
    for write in (torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))):
        write({"state_dict": Bomb(tmp_path / "exploded")}, bomb)
        with pytest.raises(ValueError, match=r"last.ckpt is not a checkpoint of this program"):
            train(folder)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", pickle.dumps([1, 2, 3])])
def test_a_damaged_weights_file_is_named(tmp_path, content):
    path = tmp_path / "best.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"best.safetensors is damaged or does not fit"):
        load_weights(nn.Linear(2, 2), path)


def test_weights_of_another_model_are_refused(tmp_path):
    save_weights(nn.Linear(2, 3), tmp_path / "best.safetensors")
    with pytest.raises(ValueError, match=r"does not fit the model of this run: .*size mismatch"):
        load_weights(nn.Linear(2, 2), tmp_path / "best.safetensors")


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"best.safetensors: no such file; has the run written"):
        load_weights(nn.Linear(2, 2), tmp_path / "best.safetensors")


@pytest.fixture
def full_disk():
    """Files may not grow beyond 20 kB, which is how a full disk looks to a writer."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_fills_up_leaves_the_old_checkpoint_and_names_the_path(tmp_path, full_disk):
    path = tmp_path / "last.ckpt"
    checkpoints = AtomicCheckpointIO()
    checkpoints.save_checkpoint({"number": 1}, path)
    with pytest.raises(OSError, match=r"cannot write .*last.ckpt: .*; free some space or choose"):
        checkpoints.save_checkpoint({"number": 2, "values": torch.zeros(50_000)}, path)
    assert checkpoints.load_checkpoint(path) == {"number": 1}
    weights = tmp_path / "best.safetensors"
    with pytest.raises(OSError, match=r"cannot write .*best.safetensors: .*; free some space"):
        save_weights(nn.Linear(200, 200), weights)
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_checkpoint_that_cannot_be_written_ends_the_run(train, tmp_path, full_disk):
    with pytest.raises(OSError, match=r"cannot write .*(best|last)\.\w+: "):
        train(tmp_path)


def test_a_folder_that_cannot_be_written_to_is_one_sentence(train, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write .*file/run/vocabulary.json: Not a directory;"):
        train(tmp_path / "file/run")


def test_a_kill_at_any_moment_leaves_a_checkpoint_that_can_be_read(tmp_path):
    path = tmp_path / "last.ckpt"
    moments = random.Random(0)
    process = subprocess.Popen(
        [sys.executable, "-c", SAVE_FOREVER, str(path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "saved\n"
        for _ in range(20):  # a stopped process has written as much as one killed then
            time.sleep(moments.uniform(0.0, 0.01))
            process.send_signal(signal.SIGSTOP)
            state = AtomicCheckpointIO().load_checkpoint(path)
            assert torch.equal(state["values"], torch.full((50_000,), state["number"]))
            process.send_signal(signal.SIGCONT)
        process.kill()
    state = AtomicCheckpointIO().load_checkpoint(path)
    assert math.isclose(float(state["values"].float().mean()), state["number"])


@pytest.mark.parametrize(
    "changed", [Vocabulary((*SYMBOLS, "b", "a"), None), Vocabulary((*SYMBOLS, "a", "c"), None)]
)
def test_weights_are_not_read_with_other_symbols_of_the_same_number(tmp_path, changed):
    path = tmp_path / "best.safetensors"
    save_weights(nn.Linear(2, 5), path, vocabulary=Vocabulary((*SYMBOLS, "a", "b"), None))
    load_weights(nn.Linear(2, 5), path, vocabulary=Vocabulary((*SYMBOLS, "a", "b"), None))
    with pytest.raises(ValueError, match=r"best\.safetensors was trained with other symbols than"):
        load_weights(nn.Linear(2, 5), path, vocabulary=changed)


def test_weights_that_do_not_say_their_symbols_are_read(tmp_path):
    save_weights(nn.Linear(2, 5), tmp_path / "old.safetensors")
    vocabulary = Vocabulary((*SYMBOLS, "a", "b"), None)
    load_weights(nn.Linear(2, 5), tmp_path / "old.safetensors", vocabulary=vocabulary)
