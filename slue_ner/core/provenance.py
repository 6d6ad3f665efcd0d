"""Where a number comes from: command, code, packages and machine."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import slue_ner

SWEEP_COMMAND = "SLUE_NER_SWEEP_COMMAND"
"""Names the variable that tells a job of a sweep, wherever it runs, what the user typed."""

_PACKAGES = ("torch", "transformers", "pytorch-lightning", "peft", "numpy", "hydra-core")


def provenance() -> dict[str, Any]:
    """What to write beside a result; paths occur in it only as the command line has them.

    Where torch was not imported, no GPU can have been at work, and none is named.
    """
    return {
        "command": _command(),
        "date": datetime.date.today().isoformat(),
        "slue_ner": slue_ner.__version__,
        "commit": _commit(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "hardware": _hardware(),
    }


def _command() -> str:
    """What to type to have it again: what started the ranks, or the whole sweep, included."""
    if SWEEP_COMMAND in os.environ:
        return os.environ[SWEEP_COMMAND]
    program = Path(sys.argv[0]).name
    own = shlex.join(["slue-ner" if program == "__main__.py" else program, *sys.argv[1:]])
    if "TORCHELASTIC_RUN_ID" in os.environ:
        ranks = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // ranks
        where = f"--nnodes {nodes} --rdzv-backend c10d --rdzv-endpoint $FIRST_NODE:29500"
        return (
            f"torchrun {'--standalone' if nodes == 1 else where} --nproc-per-node {ranks} "
            f"--no-python {own}"
        )
    if int(os.environ.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in os.environ:
        nodes = int(os.environ.get("SLURM_NNODES", "1"))
        return f"srun --nodes {nodes} --ntasks {os.environ['SLURM_NTASKS']} {own}"
    return own


def _commit() -> str | None:
    """The commit of the checkout the package runs from, with ``+`` when it was edited since."""
    folder = Path(__file__).resolve().parents[1]  # the whole package
    try:
        git = ["git", "-C", str(folder)]
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        if head.returncode:
            return None
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--", "."], capture_output=True, text=True
        )
    except OSError:
        return None
    return head.stdout.strip()[:12] + ("+" if changes.stdout.strip() else "")


def _hardware() -> str:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return f"{platform.machine()} CPU, {os.cpu_count()} cores"
