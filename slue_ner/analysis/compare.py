"""Runs side by side: what was trained, what it scored, what it cost."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slue_ner.analysis.figures import Figure
from slue_ner.analysis.rows import SCORES, Row
from slue_ner.analysis.sweeps import find_runs
from slue_ner.core.files import read_json
from slue_ner.core.run_files import CONFIG_FILE, METRICS_FILE, read_config, read_metrics
from slue_ner.core.suggest import nearest

_NOT_SETTING = ("seed", "name", "run_dir")


def compare(paths: Sequence[Path], *, splits: Sequence[str] = ()) -> tuple[list[Row], list[str]]:
    """One row for every run and split, one for every scored file, and notes about what has none.

    Args:
        paths: run folders, folders that hold some, or files of ``slue-ner score --json``, whose
            split is the name of the manifest they were scored against.
        splits: those to show, in this order; empty for all that a run has scored.

    Raises:
        ValueError: naming a path that is neither a finished run nor a scored file, or a split
            that nothing was scored on.
    """
    by_run, notes = [], []
    for folders in _apart(paths):
        if folders[0].is_file():
            by_run.append((folders[0].stem, _scored(folders[0])))
            continue
        runs, more = find_runs(folders)
        by_run += [(name, _rows(folder, name)) for folder, name in runs.items()]
        notes += more
    _note(notes, "no scored split", [name for name, rows in by_run if not rows])
    known = dict.fromkeys(split for _, rows in by_run for split in rows)
    for split in splits:
        if split not in known:
            raise ValueError(f"no run has a split {split!r}; {nearest(split, known)}")
        lacking = [name for name, rows in by_run if rows and split not in rows]
        _note(notes, f"no split {split}", lacking)
    chosen = dict.fromkeys(splits) or known
    return [rows[split] for _, rows in by_run for split in chosen if split in rows], notes


def _apart(paths: Sequence[Path]) -> list[list[Path]]:
    """Folders that stand side by side together, since they are named together; files alone."""
    groups: list[list[Path]] = []
    for path in paths:
        if path.is_file() or not groups or groups[-1][0].is_file():
            groups.append([])
        groups[-1].append(path)
    return groups


def _scored(file: Path) -> dict[str, Row]:
    """The row of predictions that were scored on their own."""
    scores = read_json(file)
    try:
        run = scores["scored"]
        split = Path(run["references"]).stem
        return {split: Row(run=file.stem, split=split, **_figures(scores), **_origin(run))}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        hint = f"; compare the run folder, {file.parent}" if file.name == METRICS_FILE else ""
        raise ValueError(
            f"{file} is not a file that `slue-ner score --json` of this version wrote: {what}{hint}"
        ) from error


def _note(notes: list[str], what: str, names: Sequence[str]) -> None:
    if names:
        notes.append(f"{len(names)} runs have {what} and are left out: {'; '.join(names)}")


def _rows(folder: Path, name: str) -> dict[str, Row]:
    """The rows of a finished run by split; none where nothing was scored, as in pre-training."""
    if not (folder / CONFIG_FILE).is_file():
        raise ValueError(f"{folder} has no {CONFIG_FILE}; copy the whole run folder")
    config = read_config(folder / CONFIG_FILE)
    metrics = read_metrics(folder)
    try:
        return {
            split: _row(name, config, metrics["run"], split, scores)
            for split, scores in metrics["splits"].items()
        }
    except KeyError as error:
        raise ValueError(
            f"{folder} is not a run of this version: {METRICS_FILE} or {CONFIG_FILE} lacks {error}"
        ) from error
    except (TypeError, AttributeError, ValueError, ZeroDivisionError) as error:
        raise ValueError(
            f"{folder} is not a run of this version: {METRICS_FILE} or {CONFIG_FILE} has values of "
            f"another kind ({error})"
        ) from error


def _row(
    name: str,
    config: Mapping[str, Any],
    run: Mapping[str, Any],
    split: str,
    scores: Mapping[str, Any],
) -> Row:
    training, adaptation = run["training"], run["adaptation"]
    setting = {key: value for key, value in config.items() if key not in _NOT_SETTING}
    # what stands on the encoder, heads and mixing, is always trained
    on_top = training["model_parameters"] - adaptation["num_total"]
    num_trainable = adaptation["num_trainable"] + on_top
    return Row(
        run=name,
        split=split,
        strategy=adaptation["strategy"],
        encoder=training["tagger"] if "tagger" in training else _encoder(config["encoder"]),
        data=_data(config["data"]),
        num_trainable=num_trainable,
        trainable_share=num_trainable / training["model_parameters"],
        seeds=(run["seed"],),
        updates=training["updates"],
        seconds=training["seconds"],
        peak_memory_bytes=training["peak_memory_bytes"],
        audio_seconds_per_second=training.get("audio_seconds_per_second"),
        setting=json.dumps(setting, sort_keys=True, default=str),
        **_figures(scores),
        **_origin(run),
    )


def _figures(scores: Mapping[str, Any]) -> dict[str, Any]:
    figures = {key: _figure(scores, path) for key, path in SCORES.items()}
    return {"scores": figures, "num_repairs": scores.get("num_repairs")}


def _origin(run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "hardware": run["hardware"],
        "commit": run["commit"] or f"version {run['slue_ner']}",
        "date": run["date"],
        "command": run["command"],
    }


def _encoder(options: Mapping[str, Any]) -> str:
    source = options.get("source")
    return f"{options['family']}, random weights" if source is None else str(source)


def _data(options: Mapping[str, Any]) -> str:
    more = [Path(manifest).parent.name for manifest in options.get("also_train") or ()]
    hours = options.get("hours")
    part = "" if hours is None else f", {60 * hours:.0f} min"
    return " + ".join([Path(options["root"]).name, *more]) + part


def _figure(scores: Mapping[str, Any], path: str) -> Figure:
    value, interval = _value(scores, path), scores.get("intervals", {}).get(path)
    bounds = None
    if interval is not None:
        low, high = (_checked(bound, path) for bound in interval)
        bounds = low, high
    return Figure(None if value is None else _checked(value, path), bounds)


def _checked(value: Any, path: str) -> float:
    """A rate, as every score object that this program writes has it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{path} is {value!r}")
    return value


def _value(scores: Mapping[str, Any], path: str) -> Any:
    """What stands at a path through mappings, some of whose keys have a dot (``0.8``)."""
    for key, value in scores.items():
        if path == key:
            return None if isinstance(value, Mapping) else value
        if path.startswith(f"{key}.") and isinstance(value, Mapping):
            return _value(value, path.removeprefix(f"{key}."))
    return None
