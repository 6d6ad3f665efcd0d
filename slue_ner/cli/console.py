"""Consoles and progress that suit a terminal and a log file alike."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_LOG_EVERY_SECONDS = 10.0


def stdout() -> Console:
    """A console on standard output; plain text when that is not a terminal."""
    return Console(file=sys.stdout, soft_wrap=not sys.stdout.isatty())


@contextmanager
def progress_on(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """A function to call with ``(done, total)``: a bar on a terminal, sparse lines elsewhere."""
    if not console.is_terminal:
        yield _Lines(console, what)
        return
    bar = Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Lines:
    """Says how far it is every ten seconds, and when it is done."""

    def __init__(self, console: Console, what: str) -> None:
        self.console = console
        self.what = what
        self.last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done == total or now - self.last > _LOG_EVERY_SECONDS:
            self.last = now
            self.console.print(f"{self.what}: {done} of {total}", highlight=False)
