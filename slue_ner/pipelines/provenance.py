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

_PACKAGES = ("torch", "transformers", "pytorch-lightning", "peft", "numpy", "hydra-core")


def provenance() -> dict[str, Any]:
    """What to write beside a result; paths occur in it only as the command line has them.

    Where torch was not imported, no GPU can have been at work, and none is named.
    """
    return {
        "command": f"{Path(sys.argv[0]).name} {shlex.join(sys.argv[1:])}",
        "date": datetime.date.today().isoformat(),
        "slue_ner": slue_ner.__version__,
        "commit": _commit(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "hardware": _hardware(),
    }


def _commit() -> str | None:
    """The commit of the checkout the package runs from, with ``+`` when it was edited since."""
    folder = Path(__file__).resolve().parent
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
