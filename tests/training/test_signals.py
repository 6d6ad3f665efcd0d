from __future__ import annotations

import os
import signal
import threading

import pytest

from slue_ner.tasks.ctc_task import CTCModule as CTCTask
from slue_ner.training.checkpoints import StopRequestedError
from slue_ner.training.signals import stop_on_signal


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_signal_asks_for_a_stop(name):
    with stop_on_signal() as stop_requested:
        assert not stop_requested()
        os.kill(os.getpid(), getattr(signal, name))
        assert stop_requested()


def test_a_second_signal_interrupts_at_once():
    with stop_on_signal():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_handlers_from_before_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signal():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_nothing_is_touched():
    before = signal.getsignal(signal.SIGTERM)
    found = []

    def enter() -> None:
        with stop_on_signal() as stop_requested:
            found.append((signal.getsignal(signal.SIGTERM), stop_requested()))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [(before, False)]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_signal_in_mid_update_stops_after_the_update(train, tmp_path, monkeypatch, name):
    step = CTCTask.training_step
    calls = []

    def signalled(self, batch, batch_idx):
        calls.append(batch.ids)
        if len(calls) == 3:  # the first of two batches of the second update
            os.kill(os.getpid(), getattr(signal, name))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(CTCTask, "training_step", signalled)
    with pytest.raises(StopRequestedError, match="stopped at update 2; the same command goes on"):
        train(tmp_path, "trainer.accumulate=2")
    assert len(calls) == 4
    assert (tmp_path / "checkpoints/last.ckpt").is_file()


def test_an_impatient_second_signal_ends_the_run_as_an_interrupt(train, tmp_path, monkeypatch):
    def signalled(self, batch, batch_idx):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(CTCTask, "training_step", signalled)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path)
