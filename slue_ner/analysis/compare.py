"""Runs side by side: what was trained, what it scored, what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slue_ner.core.files import read_json, write_text

HEADER = (
    "run",
    "split",
    "strategy",
    "trainable",
    "seed",
    "F1",
    "label F1",
    "WER",
    "train s",
    "audio-s/s",
    "memory",
    "hardware",
    "commit, date",
    "command",
)

_SCORES = ("ner.micro.f1", "ner_label.micro.f1", "wer")


def compare(runs: Sequence[Path]) -> list[tuple[str, ...]]:
    """One row for every run and split, in the columns of ``HEADER``.

    Args:
        runs: run folders with a ``metrics.json``.

    Raises:
        ValueError: naming a folder that is not a finished run.
    """
    rows = []
    for folder in runs:
        path = folder / "metrics.json"
        if not path.is_file():
            raise ValueError(f"{folder} is not a finished run: it has no metrics.json")
        metrics = read_json(path)
        for split, scores in metrics["splits"].items():
            rows.append(_row(metrics["run"], split, scores))
    return rows


def to_markdown(rows: Sequence[Sequence[str]]) -> str:
    """The rows as a Markdown table with its header."""
    lines = [HEADER, ("---",) * len(HEADER), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_into(path: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- NAME -->`` and ``<!-- /NAME -->`` in a file.

    Raises:
        ValueError: when the file lacks the two marks.
    """
    content = path.read_text(encoding="utf-8") if path.is_file() else ""
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    if first not in content or last not in content:
        raise ValueError(f"{path} needs the lines {first} and {last} around the table")
    before, rest = content.split(first, 1)
    after = rest.split(last, 1)[1]
    write_text(path, f"{before}{first}\n{text}\n{last}{after}")


def _row(run: Mapping[str, Any], split: str, scores: Mapping[str, Any]) -> tuple[str, ...]:
    training, adaptation = run["training"], run["adaptation"]
    return (
        str(run["name"]),
        split,
        str(adaptation["strategy"]),
        f"{adaptation['num_trainable'] / 1e6:.1f} M ({100 * adaptation['trainable_share']:.0f} %)",
        str(run["seed"]),
        *(_rate(scores, path) for path in _SCORES),
        f"{training['seconds']:.0f}",
        f"{training['audio_seconds_per_second']:.0f}",
        f"{training['peak_memory_bytes'] / 2**30:.1f} GiB",
        str(run["hardware"]),
        f"{run['commit']}, {run['date']}",
        f"`{run['command']}`",
    )


def _rate(scores: Mapping[str, Any], path: str) -> str:
    value: Any = scores
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    if value is None:
        return "-"
    interval = scores.get("intervals", {}).get(path)
    around = "" if interval is None else f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"
    return f"{100 * value:.1f}{around}"
