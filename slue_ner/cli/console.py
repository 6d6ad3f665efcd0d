"""Consoles and progress that suit a terminal and a log file alike."""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from slue_ner.core.kept_console import KeptConsole

_LOG_EVERY_SECONDS = 10.0

_WIDTH = 100
"""Of tables where standard output is no terminal, whatever ``COLUMNS`` says."""


def stdout() -> Console:
    """A console on standard output; plain text when that is not a terminal.

    It prints what it is given: ``[word]`` and ``:x:`` in a name are neither styles nor emoji.
    """
    return _Console(
        file=sys.stdout,
        soft_wrap=not sys.stdout.isatty(),
        width=None if sys.stdout.isatty() else _WIDTH,
        markup=False,
        emoji=False,
        highlight=False,
    )


def picture_console(width: int) -> Console:
    """A console that shows nothing and keeps all of it, in colour, for ``svg``."""
    return Console(
        file=io.StringIO(),
        record=True,
        force_terminal=True,
        color_system="truecolor",
        width=width,
        markup=False,
        emoji=False,
        highlight=False,
    )


def svg(console: Console, title: str) -> str:
    """What a console of ``picture_console`` was told, as a picture that loads nothing."""
    picture = console.export_svg(title=title)
    # fonts of a web site, and where rich is at home
    picture = re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", "", picture, flags=re.DOTALL)
    return picture.replace("Fira Code, monospace", "monospace")


class _Console(KeptConsole):
    """One that leaves it to ``cli.standard_streams`` what happens when its reader has left."""

    def on_broken_pipe(self) -> None:
        """Called by rich while it handles the error."""
        raise


@contextmanager
def progress_on(
    console: Console, what: str, *, say_when_done: bool = True
) -> Iterator[Callable[[int, int], None]]:
    """A function to call with ``(done, total)``: a bar on a terminal, sparse lines elsewhere.

    Args:
        console: where to.
        what: is going on.
        say_when_done: a line at the end even of quick work; false for work done again and again.
    """
    if not console.is_terminal:
        yield _Lines(console, what, say_when_done)
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

    def __init__(self, console: Console, what: str, say_when_done: bool) -> None:
        self.console = console
        self.what = what
        self.say_when_done = say_when_done
        self.last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        ended = done == total and self.say_when_done
        if ended or now - self.last > _LOG_EVERY_SECONDS:
            self.last = now
            self.console.print(f"{self.what}: {done} of {total}", highlight=False)
