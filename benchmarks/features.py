"""Training a head on a frozen encoder: states computed in every update, against cached ones.

The first is s3prl's way. Both train the same head (weighted sum over all layers, linear CTC head)
with this package on the same batches; rates are audio seconds a second of training. The cached
run computes every state once before its first update, at about the rate of the first way.

Usage: ``python benchmarks/features.py [--root data/so762] [--rounds 3] [--publish]``.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from tables import publish, spread, table

from slue_ner.cli.config import compose_config
from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.tasks.config import train_config
from slue_ner.tasks.training import fit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("data/so762"))
    parser.add_argument("--utterances", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=10, help="with the cache")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--publish", action="store_true", help="write results/ and README.md")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rates: dict[str, list[float]] = {"none": [], "memory": [], "disk": []}
    losses: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        root.mkdir()
        utterances = read_manifest(arguments.root / "fine-tune.jsonl")
        write_manifest(root / "fine-tune.jsonl", utterances[: arguments.utterances])
        write_manifest(root / "tune.jsonl", utterances[-1:])
        for number in range(arguments.rounds):
            for cache, measured in rates.items():
                epochs = 1 if cache == "none" else arguments.epochs
                run_dir = Path(folder) / f"{cache}{number}"
                figures = _train(root, run_dir, cache, epochs, Path(folder) / f"cache{number}")
                measured.append(figures["audio_seconds_per_second"])
                losses[cache] = _first_losses(run_dir)
    ratios = {
        cache: [fast / slow for fast, slow in zip(rates[cache], rates["none"], strict=True)]
        for cache in ("memory", "disk")
    }
    rows = [
        {
            "states": {"none": "in every update"}.get(cache, f"cached, {cache}, float16"),
            "audio-s/s": spread(measured, 1),
            "times as fast": spread(ratios[cache], 1) if cache in ratios else "1",
            "losses of the first updates": ", ".join(f"{loss:.4f}" for loss in losses[cache]),
        }
        for cache, measured in rates.items()
    ]
    print(table(rows))
    if arguments.publish:
        publish("features", {"rates": rates, "losses": losses}, table(rows))


def _train(root: Path, run_dir: Path, cache: str, epochs: int, folder: Path) -> dict[str, Any]:
    """Figures of a base-size encoder (wav2vec 2.0's config, random weights) and a linear head."""
    seconds = sum(u.duration for u in read_manifest(root / "fine-tune.jsonl"))
    updates = max(1, round(epochs * seconds / 10))
    values = compose_config(
        [
            f"data.root={root}",
            "data.batch_seconds=10",
            "encoder=wav2vec2_base",
            "encoder.source=null",
            "+encoder.family=wav2vec2",
            "adaptation=frozen_weighted_sum",
            f"features={cache}",
            f"features.folder={folder}",
            "optim=constant",
            "optim.warmup=0",
            "optim.lr=0.001",
            f"trainer.max_updates={updates}",
            f"trainer.validate_every={updates}",
            "trainer.log_every=1",
            "trainer.accelerator=cpu",
            f"trainer.num_threads={torch.get_num_threads()}",
        ]
    )
    run_dir.mkdir()
    return fit(train_config(values), run_dir, console=Console(file=io.StringIO())).figures


def _first_losses(run_dir: Path) -> list[float]:
    rows = [row.split(",") for row in (run_dir / "log.csv").read_text().splitlines()]
    return [float(value) for _, name, value in rows if name == "train_loss"][:3]


if __name__ == "__main__":
    main()
