"""Ctrl-C, SIGTERM and SLURM's SIGUSR1 ask for a stop instead of cutting the run off."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

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


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Handle the signals within the block; outside the main thread nothing is changed."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    previous = {
        name: signal.signal(getattr(signal, name), request.receive)
        for name in _SIGNALS
        if hasattr(signal, name)
    }
    try:
        yield request
    finally:
        for name, handler in previous.items():
            signal.signal(getattr(signal, name), handler)
