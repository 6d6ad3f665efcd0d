"""What readers say about texts that they changed: one line on stderr, each sentence once."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from slue_ner.core.canonical_records import ReadingNote
from slue_ner.core.processes import own_rank


@contextmanager
def notes_on_stderr() -> Iterator[None]:
    """Print ``ReadingNote`` warnings as notes, by the first process of a run on several devices.

    Standard output stays what a command writes (JSON, a table); other warnings come through.
    """
    show, said = warnings.showwarning, set[str]()

    def print_note(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not issubclass(category, ReadingNote):
            show(message, category, filename, lineno, file, line)
        elif str(message) not in said and not own_rank():
            said.add(str(message))
            print(f"note: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always", ReadingNote)
        warnings.showwarning = print_note
        yield
