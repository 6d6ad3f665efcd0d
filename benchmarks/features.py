"""Training a head on a frozen encoder: states computed in every update, against cached ones.

The first is s3prl's way. Both train the same head (weighted sum over all layers, linear CTC head)
with this package on the same batches; rates are audio seconds a second of training. The cached
run computes every state once before its first update, at about the rate of the first way.

With ``--whisper`` the encoder is Whisper's, whose states are also computed over 30 s, as its
publisher trained it; that costs the same for every utterance and is measured on a part of an epoch.

Usage: ``python benchmarks/features.py [--whisper [--encoder FOLDER]] [--root data/so762]
[--rounds 3] [--publish]``.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from race import whisper_base
from rich.console import Console
from tables import publish, spread, table

from slue_ner.cli.compose import compose_config
from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.tasks.registry import run_config
from slue_ner.training.fit import fit

COMPUTED = "in every update"
OVER_30_S = "in every update, over 30 s"
CACHES = ("memory", "disk")
PART_OF_AN_EPOCH = 0.2


@dataclass(frozen=True)
class Way:
    """One way to come by the states.

    Attributes:
        overrides: of the config.
        epochs: passes over the utterances in a round; a part of one is enough where nothing
            depends on which they are.
        fill: seconds as which the config counts every utterance; ``None`` for its own.
    """

    overrides: Sequence[str]
    epochs: float
    fill: float | None = None


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    # wav2vec 2.0's config, random weights
    encoder = ["encoder=wav2vec2_base", "encoder.source=null", "+encoder.family=wav2vec2"]
    if arguments.whisper:
        encoder = ["encoder=whisper_base", *whisper_base(arguments.encoder)]
    encoder += [f"data.batch_seconds={arguments.batch_seconds:g}"]
    ways = {COMPUTED: Way(["state_cache=none"], 1)}
    if arguments.whisper:
        ways[OVER_30_S] = Way(
            ["state_cache=none", "++encoder.pad_to=30"], PART_OF_AN_EPOCH, fill=30
        )
    ways |= {
        f"cached, {cache}, float16": Way([f"state_cache={cache}"], arguments.epochs)
        for cache in CACHES
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    losses: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        root.mkdir()
        utterances = read_manifest(arguments.root / "fine-tune.jsonl")
        write_manifest(root / "fine-tune.jsonl", utterances[: arguments.utterances])
        write_manifest(root / "tune.jsonl", utterances[-1:])
        for number in range(arguments.rounds):
            cache = f"state_cache.folder={Path(folder) / f'cache{number}'}"
            for place, (name, way) in enumerate(ways.items()):
                run_dir = Path(folder) / f"run{number}.{place}"
                figures = _train(root, run_dir, way, [*encoder, *way.overrides, cache])
                rates[name].append(figures["audio_seconds_per_second"])
                losses[name] = _first_losses(run_dir)
    slow = {"times as fast": rates[COMPUTED]}
    if arguments.whisper:
        slow["times as fast as over 30 s"] = rates[OVER_30_S]
    rows = [
        {
            "states": name,
            "audio-s/s": spread(measured, 1),
            **{column: _ratio(measured, others) for column, others in slow.items()},
            "losses of the first updates": ", ".join(f"{loss:.4f}" for loss in losses[name]),
        }
        for name, measured in rates.items()
    ]
    print(table(rows))
    if arguments.publish:
        name = "features_whisper" if arguments.whisper else "features"
        publish(name, {"rates": rates, "losses": losses}, table(rows))


def _ratio(fast: Sequence[float], slow: Sequence[float]) -> str:
    if fast is slow:
        return "1"
    return spread([a / b for a, b in zip(fast, slow, strict=True)], 1)


def _train(root: Path, run_dir: Path, way: Way, overrides: Sequence[str]) -> dict[str, Any]:
    """Figures of a frozen encoder with a linear head."""
    common = [
        f"data.root={root}",
        "adaptation=frozen_weighted_sum",
        "optim=constant",
        "optim.warmup=0",
        "optim.lr=0.001",
        "trainer.log_every=1",
        "trainer.accelerator=cpu",
        f"trainer.num_threads={torch.get_num_threads()}",
    ]
    config = run_config(compose_config([*overrides, *common]))
    durations = [u.duration for u in read_manifest(root / "fine-tune.jsonl")]
    updates = max(1, round(way.epochs * sum(durations) / config.data.batch_seconds))
    trainer = replace(config.trainer, max_updates=updates, validate_every=updates)
    longer = 1.0 if way.fill is None else way.fill * len(durations) / sum(durations)
    data = replace(config.data, batch_seconds=config.data.batch_seconds * longer)  # as many of them
    run_dir.mkdir()
    console = Console(file=io.StringIO())
    return fit(replace(config, trainer=trainer, data=data), run_dir, console=console).figures


def _first_losses(run_dir: Path) -> list[float]:
    rows = [row.split(",") for row in (run_dir / "log.csv").read_text().splitlines()]
    return [float(value) for _, name, value in rows if name == "train_loss"][:3]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("data/so762"))
    parser.add_argument("--whisper", action="store_true", help="whisper-base instead")
    parser.add_argument(
        "--encoder", type=Path, help="folder of a Whisper encoder; random weights without one"
    )
    parser.add_argument("--utterances", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=10, help="with the cache")
    parser.add_argument("--batch-seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--publish", action="store_true", help="write results/ and README.md")
    arguments = parser.parse_args()
    if arguments.encoder is not None and not arguments.whisper:
        parser.error("--encoder is the Whisper encoder of --whisper")
    return arguments


if __name__ == "__main__":
    main()
