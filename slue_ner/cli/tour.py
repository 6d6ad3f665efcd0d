"""``slue-ner tour``: strategies, a cascade and frame heads on one corpus, ending with a table."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from slue_ner.core.cores import num_cores

if TYPE_CHECKING:
    from rich.console import Console

RUNS = Path("runs/tour")

_MINUTES = 25
_QUICK = ("frozen_weighted_sum", "frozen_layer", "text_ner")

_HEAD_ALONE = 60
"""Updates in which only the new head learns; without them it spoils what the encoder knows."""

_ADAPTED = ("experiment=tour", f"adaptation.freeze_updates={_HEAD_ALONE}")
_TRAINED = (*_ADAPTED, "optim.lr=1e-4")

STRATEGIES = {
    "full": (*_TRAINED, "adaptation=full"),
    "reinit": (*_TRAINED, "adaptation=reinit"),
    "lora": (*_ADAPTED, "adaptation=lora", "adaptation.alpha=8", "optim.lr=1e-3"),
    "frozen_weighted_sum": ("experiment=tour", "adaptation=frozen_weighted_sum"),
    "frozen_layer": ("experiment=tour", "adaptation=frozen_layer", "adaptation.layer=4"),
}
"""Run name to what sets it apart."""

PARTS = {
    "asr": (*_TRAINED, "task=ctc_plain"),
    "frames": (*_TRAINED, "task=frames_joint"),
    "text_ner": ("experiment=text_ner_small", "data.root=data/quickstart"),
}
"""What else ``recipes/systems.sh`` puts beside full fine-tuning: a cascade and frame heads."""


def run(arguments: list[str]) -> int:
    """Train one run a strategy, as many at a time as there are cores, and compare them."""
    command_parser().parse_args(arguments)
    from slue_ner.cli.console import stdout
    from slue_ner.cli.quickstart import make_corpus

    console = stdout()
    started = time.perf_counter()
    make_corpus(console)
    console.print(
        f"training {len(STRATEGIES)} strategies, a cascade and frame heads, one core each; logs in "
        f"{RUNS}/NAME.txt",
        highlight=False,
    )
    RUNS.mkdir(parents=True, exist_ok=True)
    # the slow ones first, so that no core waits at the end
    trainings = sorted({**STRATEGIES, **PARTS}.items(), key=lambda item: item[0] in _QUICK)
    with ThreadPoolExecutor(max_workers=num_cores()) as pool:
        statuses = list(pool.map(lambda item: _train(item[0], item[1], console), trainings))
    if any(statuses):
        return 1
    from slue_ner.cli.compare import run as compare

    minutes = (time.perf_counter() - started) / 60
    console.print(f"all trained in {minutes:.0f} min; strategies on unseen voices and sentences:")
    return compare(
        [
            *(str(RUNS / name) for name in STRATEGIES),
            *("--sort", "f1", "--columns"),
            "run,trainable,f1,seen_f1,unseen_f1,label_f1,wer,seconds,memory",
        ]
    )


def command_parser() -> argparse.ArgumentParser:
    """What its help says; it has no arguments."""
    return argparse.ArgumentParser(
        prog="slue-ner tour",
        description="Adapt the shipped encoder with every strategy on the quickstart's corpus and "
        "compare them; train a cascade and frame heads too, for recipes/systems.sh. About "
        f"{_MINUTES} minutes on two cores. Writes data/quickstart and {RUNS}; started again, it "
        "goes on where it stopped.",
        epilog="example:\n  slue-ner tour",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _train(name: str, overrides: tuple[str, ...], console: Console) -> int:
    """One run in a process of its own; what it prints goes to a file."""
    command = shutil.which("slue-ner", path=str(Path(sys.executable).parent)) or "slue-ner"
    log = RUNS / f"{name}.txt"
    started = time.perf_counter()
    with log.open("a", encoding="utf-8") as file:
        status = subprocess.run(
            [command, "train", f"name=tour/{name}", *overrides],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    lines = log.read_text(encoding="utf-8").strip().splitlines()
    seconds = time.perf_counter() - started
    console.print(
        f"{name}, {seconds:.0f} s: {lines[-1] if lines else ''}", highlight=False, markup=False
    )
    return status
