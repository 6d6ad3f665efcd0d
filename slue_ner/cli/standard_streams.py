"""Standard output and error of a command: any character, and readers that leave early."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

READER_GONE = 141
"""Exit status of a command whose reader left, as a shell reports it: 128 + SIGPIPE."""

_ESCAPES = "slue_ner.escapes"


@contextmanager
def standard_streams() -> Iterator[None]:
    r"""Give the block streams that take every text, and see to it that all of it is written.

    A character that the encoding of the terminal lacks is written as in JSON (an e with acute as
    ``\u00e9``), so that JSON stays JSON. A stream that was closed takes what comes and drops it.

    Raises:
        BrokenPipeError: when who reads standard output has left (``| head``).
        OSError: when it cannot be written otherwise, as on a full disk.
    """
    codecs.register_error(_ESCAPES, _escaped)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the shell (>&-); what is opened next would take its place
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPES)
    try:
        yield
    finally:
        try:
            sys.stdout.flush()  # here, or the interpreter would say at its end that it cannot
        except OSError:
            _drop_the_rest()
            raise


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """The characters that cannot be encoded as escapes of JSON, and where to go on."""
    assert isinstance(error, UnicodeEncodeError)
    escapes = []
    for character in error.object[error.start : error.end]:
        units = character.encode("utf-16-be", "surrogatepass")
        escapes += [f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2)]
    return "".join(escapes), error.end


def _drop_the_rest() -> None:
    """Let what is still in the buffer go nowhere, or the interpreter would try once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
