"""Data loading alone against the rate at which the small encoder trains, in audio seconds a second.

The loader is the one that training uses: buckets, decoding, padding. Its first pass reads files;
later ones find decoded audio in memory, as far as ``MAX_KEPT_BYTES`` goes. Workers are started
before the clock.

Usage: ``python benchmarks/loading.py [--roots data/so762 data/quickstart] [--publish]``.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from race import Race, prepare, train_once
from tables import publish, spread, table

from slue_ner.data.loading.batch import Batch
from slue_ner.data.loading.loaders import training_loader
from slue_ner.tasks.ctc_task import target_ids

PASSES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--roots", type=Path, nargs="+", default=[Path("data/so762"), Path("data/quickstart")]
    )
    parser.add_argument("--utterances", type=int, default=480)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--publish", action="store_true", help="write results/ and README.md")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = []
    for root in arguments.roots:
        with tempfile.TemporaryDirectory() as folder:
            race = prepare(
                root,
                Path(folder),
                encoder="small",
                num_utterances=arguments.utterances,
                epochs=1,
            )
            results += [{"data": root.name, **row} for row in measure(race, arguments.rounds)]
    rows = [_row(result) for result in results]
    print(table(rows))
    if arguments.publish:
        publish("loading", {"rows": results}, table(rows))


def measure(race: Race, rounds: int) -> list[dict[str, Any]]:
    """Rates of loading with 0 and 2 workers and of training, taken in turns."""
    audio = race.utterances[0].audio
    assert audio is not None
    rates: dict[int, list[list[float]]] = {0: [], 2: []}
    training = []
    for number in range(rounds):
        figures = train_once(race, race.folder / f"run{number}")
        training.append(figures["audio_seconds_per_second"])
        for num_workers, passes in rates.items():
            passes.append(load_rates(race, num_workers=num_workers))
    return [
        {
            "format": audio.suffix.removeprefix("."),
            "num_workers": num_workers,
            "training": training,
            "first_pass": [rate[0] for rate in passes],
            "later_passes": [rate[-1] for rate in passes],
        }
        for num_workers, passes in rates.items()
    ]


def load_rates(race: Race, *, num_workers: int) -> list[float]:
    """Audio seconds a second of each of ``PASSES`` passes over the utterances."""
    options = replace(race.config.data, num_workers=num_workers)
    loader = training_loader(
        race.utterances,
        options=options,
        target=lambda utterance: target_ids(utterance, race.vocabulary),
        min_samples=race.model.encoder.grid.window,
        seed=race.config.seed,
    )
    batches: Iterator[Batch] = iter(loader)
    started_up = sum(1 for _ in itertools.islice(batches, num_workers))  # one batch a worker
    rates = []
    for number in range(PASSES):
        wanted = race.num_batches(number) - started_up
        started = time.perf_counter()
        seconds = sum(
            int(batch.num_samples.sum()) / 16_000 for batch in itertools.islice(batches, wanted)
        )
        rates.append(seconds / (time.perf_counter() - started))
        started_up = 0
    return rates


def _row(result: dict[str, Any]) -> dict[str, str]:
    return {
        "data": f"{result['data']} ({result['format']})",
        "workers": str(result["num_workers"]),
        "training, audio-s/s": spread(result["training"], digits=0),
        "first pass, audio-s/s": spread(result["first_pass"], digits=0),
        "first pass / training": _ratio(result, "first_pass"),
        "later passes, audio-s/s": spread(result["later_passes"], digits=0),
        "later passes / training": _ratio(result, "later_passes"),
    }


def _ratio(result: dict[str, Any], name: str) -> str:
    return spread(
        [load / train for load, train in zip(result[name], result["training"], strict=True)],
        digits=0,
    )


if __name__ == "__main__":
    main()
