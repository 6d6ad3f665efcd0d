"""``slue-ner train -m``: every combination through Hydra's launcher, failures named at the end."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override

from slue_ner.cli.compose import compose_config, compose_tree, parse_overrides, plain
from slue_ner.cli.config_groups import config_folder
from slue_ner.core.files import write_text
from slue_ner.core.listing import listed
from slue_ner.core.provenance import SWEEP_COMMAND

_ERROR_FILE = "error.txt"
_LEFT_OUT_OF_NAMES = "hydra.job.config.override_dirname.exclude_keys"


def sweep(overrides: list[str]) -> int:
    """Run every combination; a failed job does not end the others.

    Each run's folder is named after the overrides that are swept over.

    Raises:
        ValueError: naming the jobs that cannot be composed, before any starts.
    """
    check_jobs(overrides)
    parsed = parse_overrides(overrides)
    fixed = _fixed(parsed)
    folder = Path(str(compose_tree(fixed).run_dir))
    for stale in folder.glob(f"*/{_ERROR_FILE}"):
        stale.unlink()
    keys = [o.get_key_element().lstrip("+~") for o in parsed if not o.is_sweep_override()]
    os.environ[SWEEP_COMMAND] = shlex.join(["slue-ner", "train", "-m", *overrides])
    status = _launch(
        [
            *overrides,
            f"hydra.sweep.dir={_quoted(str(folder))}",
            f"++{_LEFT_OUT_OF_NAMES}=[{','.join(_quoted(key) for key in keys)}]",
        ]
    )
    failed = sorted(folder.glob(f"*/{_ERROR_FILE}"))
    for path in failed:
        reason = path.read_text(encoding="utf-8").strip()
        print(f"slue-ner train: {path.parent.name} failed: {reason}", file=sys.stderr)
    return 1 if failed else status


def sweep_job(config: Any) -> int:
    """One job of a sweep; importable, so that submitit can find it in another process.

    Raises:
        KeyboardInterrupt: when the job was asked to stop, so that the sweep stops too.
    """
    from slue_ner.cli.job import train

    values = plain(config)
    settings = HydraConfig.get()
    # a value may be a path or a hub id; a run folder is one folder below the sweep's
    name = settings.job.override_dirname.replace("/", "_")
    run_dir = Path(settings.sweep.dir) / name
    try:
        if values["trainer"]["devices"] > 1:
            _refuse_local_ddp(settings.launcher)
        status = train({**values, "run_dir": str(run_dir)}, run_dir)
    except Exception as error:
        write_text(run_dir / _ERROR_FILE, f"{error}\n")
        return 1
    if status:
        raise KeyboardInterrupt
    return 0


def check_jobs(overrides: Sequence[str]) -> None:
    """Compose every combination of the overrides.

    Raises:
        ValueError: naming the jobs that cannot be composed, with the reasons.
    """
    from slue_ner.tasks.registry import run_config

    parsed = parse_overrides(overrides)
    fixed = _fixed(parsed)
    jobs = [job for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]
    refused: dict[str, list[str]] = {}
    for job in jobs:
        try:
            run_config(compose_config(list(job)))
        except ValueError as error:
            refused.setdefault(str(error), []).append(
                ",".join(o for o in job if o not in fixed) or "the job"
            )
    if refused:
        count = sum(map(len, refused.values()))
        reasons = [f"{names[0]}: {error}" for error, names in refused.items()]
        raise ValueError(
            f"{count} of {len(jobs)} jobs cannot be composed, so none was started:{listed(reasons)}"
        )


def _fixed(parsed: Sequence[Override]) -> list[str]:
    return [o.input_line or "" for o in parsed if not o.is_sweep_override()]


def _launch(overrides: list[str]) -> int:
    before = sys.argv
    # "train" stays in the program's name: Hydra reads only overrides from the arguments
    sys.argv = ["slue-ner train", "-m", *overrides]
    try:
        hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="train")(
            sweep_job
        )()
    except SystemExit as stop:  # Hydra has printed why
        return stop.code if isinstance(stop.code, int) else 1
    finally:
        sys.argv = before
        del os.environ[SWEEP_COMMAND]
    return 0


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _refuse_local_ddp(launcher: Any) -> None:
    if "submitit" not in str(launcher.get("_target_", "")):
        raise ValueError(
            "a local sweep runs one device a job; use launcher=slurm for trainer.devices > 1, or "
            "start each run with torchrun"
        )
