"""Training speed: ``slue_ner.tasks.training.fit`` against a plain ``transformers.Trainer`` loop.

Same model, same weights, same utterances, same number of epochs, AdamW, float32, same threads.
The contestants take turns, so a busy machine slows both. Ours reads audio files and computes its
own features inside the measured time; the peer's features are made beforehand, as in its
example, and the time for that is shown apart.

Usage: ``python benchmarks/training.py [--root data/so762] [--rounds 3] [--publish]``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from race import Race, losses, prepare, train_once, waveform_of
from tables import publish, spread, table
from transformers_loop import ExtractedFeatures, stock_extractor, train_seconds

ENCODERS = ("small_wav2vec2", "small")
SAMPLINGS = ("random", "group_by_length")
"""transformers' default and its grouping by length."""


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    results = {}
    rows: list[dict[str, str]] = []
    for encoder in arguments.encoders:
        with tempfile.TemporaryDirectory() as folder:
            race = prepare(
                arguments.root,
                Path(folder),
                encoder=encoder,
                num_utterances=arguments.utterances,
                epochs=arguments.epochs,
            )
            results[encoder] = run(race, rounds=arguments.rounds)
        rows += _rows(encoder, results[encoder])
    print(table(rows))
    if arguments.publish:
        publish("training", {"encoders": results}, table(rows))


def run(race: Race, *, rounds: int) -> dict[str, Any]:
    """Let the contestants take turns for ``rounds`` rounds; figures for the JSON file."""
    extractor = stock_extractor(race.model)
    dataset = race.examples()
    examples = [dataset[index] for index in range(len(dataset))]
    longest = sorted(examples, key=lambda example: -len(waveform_of(example)))
    ours, peer = losses(race.model, longest[:4])
    started = time.perf_counter()
    features = ExtractedFeatures(examples, extractor)
    extraction = time.perf_counter() - started
    seconds: dict[str, list[float]] = {"ours": [], **{name: [] for name in SAMPLINGS}}
    padding = 0.0
    for number in range(rounds):
        figures = train_once(race, race.folder / f"run{number}")
        padding = figures["padding_share"]
        seconds["ours"].append(figures["train_seconds"])
        for sampling in SAMPLINGS:
            spent = train_seconds(
                race.model,
                features,
                extractor=extractor,
                batch_size=race.batch_size,
                epochs=race.epochs,
                lr=race.config.optim.lr,
                sampling=sampling,
                seed=number,
            )
            seconds[sampling].append(spent)
        print(number, {name: round(values[-1], 1) for name, values in seconds.items()}, flush=True)
    return {
        "utterances": len(race.utterances),
        "epochs": race.epochs,
        "audio_seconds": race.audio_seconds,
        "batch_size": race.batch_size,
        "seconds": seconds,
        "ratio": {
            name: [theirs / own for theirs, own in zip(seconds[name], seconds["ours"], strict=True)]
            for name in SAMPLINGS
        },
        "ratio_with_extraction": {
            name: [
                (theirs + extraction) / own
                for theirs, own in zip(seconds[name], seconds["ours"], strict=True)
            ]
            for name in SAMPLINGS
        },
        "padding_share": padding,
        "peer_extraction_seconds": extraction,
        "loss": {"ours": ours, "peer": peer},
    }


def _rows(encoder: str, result: dict[str, Any]) -> list[dict[str, str]]:
    audio = result["audio_seconds"]
    own = [audio / seconds for seconds in result["seconds"]["ours"]]
    rows = []
    for sampling in SAMPLINGS:
        theirs = [audio / seconds for seconds in result["seconds"][sampling]]
        rows.append(
            {
                "encoder": encoder,
                "peer's batches": sampling,
                "ours, audio-s/s": spread(own, digits=0),
                "peer, audio-s/s": spread(theirs, digits=0),
                "times as fast": spread(result["ratio"][sampling]),
                "extraction counted": spread(result["ratio_with_extraction"][sampling]),
                "our padding": f"{result['padding_share']:.1%}",
                "loss of one batch, ours / peer": "{ours:.5f} / {peer:.5f}".format(
                    **result["loss"]
                ),
            }
        )
    return rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("data/so762"))
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS))
    parser.add_argument("--utterances", type=int, default=240)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--publish", action="store_true", help="write results/ and README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
