"""Which localizer gives the times, and what is said about it on the screen."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from slue_ner.inference.localizing import KeptLocalizer

TIMES, WORD_TIMES = "times", "word times"
"""Of entities, by a localizer; and of words, by forced alignment."""

_AS_DECODED = Path("none")
_HEARD = ("end_to_end", "cascade")

_HINT = (
    "give tune word times (`slue-ner prepare word-times` takes those of an aligner, `slue-ner "
    "align` makes some with a run that knows its own offset), then `slue-ner tune localizer "
    "--output {path}` finds the rule and the offset"
)


def chosen_localizer(
    options: argparse.Namespace, pipeline: str, console: Console
) -> KeptLocalizer | None:
    """The one of ``--localizer``, else the run's own; ``None`` leaves times as decoded."""
    from slue_ner.inference.localizing import read_localizer

    if options.localizer == _AS_DECODED:
        return None
    if options.localizer is not None:
        return read_localizer(options.localizer)
    if pipeline not in _HEARD:
        return None
    return kept_localizer(options.run, console, what=TIMES)


def kept_localizer(run_dir: Path, console: Console, *, what: str) -> KeptLocalizer | None:
    """What a run folder keeps, and a line about it; ``None`` of what is no run of its own."""
    from slue_ner.core.run_files import CONFIG_FILE, LOCALIZER_FILE
    from slue_ner.inference.localizing import run_localizer

    if not (run_dir / CONFIG_FILE).is_file():
        return None
    path = run_dir / LOCALIZER_FILE
    kept = run_localizer(run_dir)
    if kept is None:
        measured = False
        said = f"{what} are as the model emits them, which may be late: there is no {path}"
    elif what == WORD_TIMES:
        measured = kept.align_ms is not None
        said = f"{what} by {path}: {kept.alignment}"
    else:
        measured = kept.tuned_on is not None
        said = f"{what} by {path}: {kept}"
    hint = "" if measured else f"; {_HINT.format(path=path)}"
    console.print(said + hint, highlight=False, markup=False)
    return kept
