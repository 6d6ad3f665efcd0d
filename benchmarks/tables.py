"""Where benchmark figures go: a JSON file and a marked block of ``benchmarks/README.md``."""

from __future__ import annotations

import os
import platform
import shlex
import statistics
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch

from slue_ner.core.files import write_json, write_text

FOLDER = Path(__file__).resolve().parent
README = FOLDER / "README.md"


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """A Markdown table; the first row's keys are the header."""
    header = list(rows[0])
    lines = [header, ["---"] * len(header), *([row[name] for name in header] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median with smallest and largest: ``1.42 (1.38-1.47)``."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def publish(name: str, figures: Mapping[str, Any], text: str, *, readme: Path = README) -> None:
    """Write ``results/NAME.json`` beside ``readme``, and ``text`` into its block called ``name``.

    Raises:
        ValueError: when the file has no such block.
    """
    script = Path(sys.argv[0]).name
    command = shlex.join(["python", f"benchmarks/{script}", *sys.argv[1:]])
    circumstances = {
        "command": command,
        "date": date.today().isoformat(),
        "hardware": f"{platform.machine()} CPU, {os.cpu_count()} cores",
        "torch_threads": torch.get_num_threads(),
        "load_before": LOAD_BEFORE,
    }
    write_json(readme.parent / "results" / f"{name}.json", {**circumstances, **figures})
    facts = ", ".join(
        (
            f"`{command}`",
            str(circumstances["hardware"]),
            f"{torch.get_num_threads()} torch threads",
            f"load of {LOAD_BEFORE:.1f} before the start",
            str(circumstances["date"]),
        )
    )
    write_text(
        readme, replace_block(readme.read_text(encoding="utf-8"), name, f"{text}\n\n{facts}")
    )


def replace_block(document: str, name: str, text: str) -> str:
    """``document`` with what stands between the two marks of ``name`` replaced by ``text``.

    Raises:
        ValueError: when a mark is missing.
    """
    first, last = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, opened, rest = document.partition(first)
    _, closed, after = rest.partition(last)
    if not (opened and closed):
        raise ValueError(f"the document has no block {first} ... {last}; add the two lines")
    return f"{before}{first}\n{text}\n{last}{after}"


LOAD_BEFORE = os.getloadavg()[0]
"""Load of the machine over the last minute, before the benchmark adds its own."""
