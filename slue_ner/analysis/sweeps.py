"""Which runs are meant: the run folders named, and those inside a sweep folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from slue_ner.core.run_files import CONFIG_FILE, METRICS_FILE

_ERROR_FILE = "error.txt"  # all that cli/sweep.py leaves of a job that failed before it started


def find_runs(folders: Sequence[Path]) -> tuple[dict[Path, str], list[str]]:
    """Finished runs in the order given; those of a sweep folder, at any depth, sorted by path.

    Args:
        folders: run folders, or folders that hold some; a run named twice counts once.

    Returns:
        Run folders with a name for each (``FOLDER``, ``SWEEP/FOLDER``, or the path as given
        where two would be named alike), and one note for every sweep with unfinished runs.

    Raises:
        ValueError: for a folder that is named itself and is not finished, or holds no run.
    """
    found: dict[Path, tuple[Path, str]] = {}
    notes = []
    for folder in folders:
        name = folder.resolve().name
        if _is_run(folder):
            if not _is_finished(folder):
                raise ValueError(
                    f"{folder} is not a finished run: it has no {METRICS_FILE}; the command that "
                    "started it goes on with it"
                )
            found.setdefault(folder.resolve(), (folder, name))
            continue
        inside = list(_runs_inside(folder)) if folder.is_dir() else []
        if not inside:
            raise ValueError(f"{folder} is no run folder and holds none; give one as runs/NAME")
        names = {run: run.relative_to(folder).as_posix() for run in inside}
        unfinished = [names[run] for run in inside if not _is_finished(run)]
        if unfinished:
            notes.append(
                f"{len(unfinished)} of {len(inside)} runs in {folder} are not finished, left out: "
                f"{'; '.join(unfinished)}"
            )
        for run in filter(_is_finished, inside):
            found.setdefault(run.resolve(), (run, f"{name}/{names[run]}"))
    times = Counter(name for _, name in found.values())
    named = {run: name if times[name] == 1 else run.as_posix() for run, name in found.values()}
    return named, notes


def _runs_inside(folder: Path) -> Iterator[Path]:
    """Run folders at any depth; links are followed, though not back to where they stand."""
    start = folder.resolve()
    seen = {start, *start.parents}
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        if here is not folder and _is_run(here):
            yield here
            continue
        children = sorted((path for path in here.iterdir() if path.is_dir()), reverse=True)
        for child in children:
            if (there := child.resolve()) not in seen:
                seen.add(there)
                waiting.append(child)


def _is_run(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (CONFIG_FILE, METRICS_FILE, _ERROR_FILE))


def _is_finished(folder: Path) -> bool:
    return (folder / METRICS_FILE).is_file()
