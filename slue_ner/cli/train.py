"""``slue-ner train``: one run, or with ``-m`` a sweep over several."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

_HELP = """usage: slue-ner train [overrides] [-m]

Train a model. Overrides choose a config of a group (adaptation=lora) or set a value
(optim.lr=1e-4); -m runs every combination of comma-separated ones. The run folder is runs/NAME;
the same command resumes a run that was interrupted and returns at once when it is finished.

{groups}

example:
  slue-ner train data.root=data/mine encoder=wavlm_base_plus adaptation=lora name=mine
  slue-ner train -m name=strategies adaptation=full,reinit,lora,frozen_weighted_sum seed=0,1,2

--cfg prints the composed config and trains nothing.
"""

_SKIPPED_GROUPS = ("hydra",)


def run(arguments: list[str]) -> int:
    """Train; every failed job of a sweep is named at the end."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(_HELP.format(groups=_groups()))
        return 0
    multirun = [argument for argument in arguments if argument in ("-m", "--multirun")]
    show = "--cfg" in arguments
    overrides = [a for a in arguments if a not in (*multirun, "--cfg")]
    unknown = [argument for argument in overrides if argument.startswith("-")]
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r}; overrides look like group=name or a.b=1")
    if multirun:
        from slue_ner.cli.sweep import sweep

        return sweep(overrides)
    from slue_ner.cli.config import compose_config

    values = compose_config(overrides)
    if show:
        import yaml

        print(yaml.safe_dump(values, sort_keys=False), end="")
        return 0
    return train(values, Path(values["run_dir"]))


def train(values: dict[str, Any], run_dir: Path) -> int:
    """Train and report one run; 130 when it was asked to stop and has saved its state."""
    from slue_ner.cli.console import stdout
    from slue_ner.core.processes import own_rank
    from slue_ner.core.run_files import METRICS_FILE
    from slue_ner.systems.experiment import run_experiment
    from slue_ner.training.checkpoints import StopRequestedError

    console = stdout()
    console.quiet = own_rank() != 0
    try:
        metrics = run_experiment(values, run_dir, console=console)
    except StopRequestedError as stop:
        print(f"slue-ner train: {stop}", file=sys.stderr)
        return 130
    training = metrics["run"]["training"]
    console.print(
        f"{_speed(training)}, {training['seconds']:.0f} s, "
        f"{training['peak_memory_bytes'] / 2**30:.1f} GiB; metrics in {run_dir / METRICS_FILE}",
        highlight=False,
    )
    for split, scores in metrics["splits"].items():
        console.print(f"{split}: {_summary(scores)}", highlight=False)
    return 0


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


def _groups() -> str:
    from slue_ner.cli.config import config_folder

    rows = []
    for folder in sorted(path for path in config_folder().iterdir() if path.is_dir()):
        if folder.name not in _SKIPPED_GROUPS:
            names = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
            rows.append(f"  {folder.name:<12}{names}")
    return "\n".join(["groups:", *rows])
