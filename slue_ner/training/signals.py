"""Ctrl-C, SIGTERM and SLURM's SIGUSR1 ask for a stop instead of cutting the run off."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

_SIGNALS = ("SIGINT", "SIGTERM", "SIGUSR1")


class StopRequest:
    """Whether a stop was asked for, and by which signal."""

    def __init__(self) -> None:
        self.signal_number = 0

    def __call__(self) -> bool:
        """True once a signal came in."""
        return self.signal_number != 0

    def receive(self, number: int, _: FrameType | None) -> None:
        """Note the signal; a second one interrupts at once."""
        if self.signal_number:
            raise KeyboardInterrupt
        self.signal_number = number

    def listen(self) -> None:
        """Handle the signals from now on, whoever handled them before."""
        if threading.current_thread() is threading.main_thread():
            for name in _SIGNALS:
                signal.signal(getattr(signal, name), self.receive)


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Handle the signals within the block; outside the main thread nothing is changed."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    previous = {name: signal.getsignal(getattr(signal, name)) for name in _SIGNALS}
    request.listen()
    try:
        yield request
    finally:
        for name, handler in previous.items():
            signal.signal(getattr(signal, name), handler)


class KeepSignals(Callback):
    """Takes SIGTERM back from Lightning, which would end the run unsaved, even in mid-update."""

    def __init__(self, request: StopRequest) -> None:
        self.request = request

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning has set up its own handlers just before."""
        self.request.listen()
