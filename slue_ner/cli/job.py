"""One run from the command line: train it, and say in a few lines what came out."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


def train(values: dict[str, Any], run_dir: Path) -> int:
    """Train and report one run; 130 when it was asked to stop and has saved its state."""
    from slue_ner.cli.console import stdout
    from slue_ner.core.processes import own_rank
    from slue_ner.core.run_files import METRICS_FILE
    from slue_ner.data.corpora.dataset import check_manifests, check_more

    data = values.get("data", {})  # what is missing is said before torch is imported
    check_manifests(data["root"], [s for s in (data["train"], data["tune"]) if s != "test"])
    check_more([*data.get("also_train", []), *data.get("unlabelled", [])])
    from slue_ner.systems.experiment import run_experiment
    from slue_ner.training.checkpoints import StopRequestedError
    from slue_ner.training.ranks import leave_ranks

    values = _capped(values)
    console = stdout()
    console.quiet = own_rank() != 0
    try:
        metrics = run_experiment(values, run_dir, console=console)
    except StopRequestedError as stop:
        print(f"slue-ner train: {stop}", file=sys.stderr)
        leave_ranks()
        return 130
    leave_ranks()
    training = metrics["run"]["training"]
    console.print(
        f"{_speed(training)}, {training['seconds']:.0f} s, "
        f"{training['peak_memory_bytes'] / 2**30:.1f} GiB; metrics in {run_dir / METRICS_FILE}",
        highlight=False,
    )
    for split, scores in metrics["splits"].items():
        console.print(f"{split}: {_summary(scores)}", highlight=False)
    return 0


_MOST_UPDATES = "SLUE_NER_MAX_UPDATES"
"""Of the environment: no run is longer, whatever its config says. For trying commands out."""


def _capped(values: dict[str, Any]) -> dict[str, Any]:
    most = os.environ.get(_MOST_UPDATES)
    if most is None:
        return values
    if not most.isdecimal() or int(most) < 1:
        raise ValueError(f"{_MOST_UPDATES}={most} should be a number of updates")
    trainer = values["trainer"]
    asked = trainer["max_updates"]
    if not isinstance(asked, int):
        return values  # which is refused with a sentence
    return {**values, "trainer": {**trainer, "max_updates": min(int(most), asked)}}


def _speed(training: dict[str, Any]) -> str:
    if "words_per_second" in training:
        return f"{training['words_per_second']:.0f} words/s"
    return f"{training['audio_seconds_per_second']:.0f} audio-s/s"


def _summary(scores: dict[str, Any]) -> str:
    figures = []
    for name, path in (("F1", "ner.micro.f1"), ("label F1", "ner_label.micro.f1"), ("WER", "wer")):
        value: Any = scores
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            low, high = scores.get("intervals", {}).get(path, (None, None))
            around = "" if low is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
            figures.append(f"{name} {100 * value:.1f}{around}")
    return ", ".join(figures)
