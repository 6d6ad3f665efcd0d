"""Training speed: ``slue_ner.tasks.training.fit`` against a plain ``transformers.Trainer`` loop.

Same model, same weights, same utterances, same number of epochs, AdamW, float32, same threads.
The contestants take turns, so a busy machine slows both. Ours reads audio files and computes its
own features inside the measured time; the peer's features are made beforehand, as in its
example, and the time for that is shown apart.

Usage: ``python benchmarks/training.py [--root data/so762] [--rounds 3] [--publish]``.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from tables import publish, spread, table
from torch import Tensor
from transformers_loop import (
    ExtractedFeatures,
    PaddingCollator,
    peer_model,
    stock_extractor,
    train_seconds,
)

from slue_ner.cli.config import compose_config
from slue_ner.core.labels import label_set
from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.core.types import Utterance
from slue_ner.data.batch import Example, UtteranceDataset, collate
from slue_ner.data.buckets import BucketStream
from slue_ner.models.ctc_model import CTCModel
from slue_ner.tasks.building import VOCABULARY_FILE, new_model
from slue_ner.tasks.config import TrainConfig, train_config
from slue_ner.tasks.emissions import ctc_losses
from slue_ner.tasks.targets import select, target_ids
from slue_ner.tasks.training import fit
from slue_ner.text.vocabulary import Vocabulary

ENCODERS = ("small_wav2vec2", "small")
SAMPLINGS = ("random", "group_by_length")
"""transformers' default and its grouping by length."""


@dataclass(frozen=True)
class Race:
    """What all contestants share: the config, the model at its start and the utterances.

    Attributes:
        folder: holds the manifests; run folders are made in it.
        epochs: passes over the utterances in one round.
    """

    folder: Path
    config: TrainConfig
    model: CTCModel
    vocabulary: Vocabulary
    utterances: Sequence[Utterance]
    epochs: int

    @property
    def audio_seconds(self) -> float:
        """Real audio that each contestant trains on in one round."""
        return self.epochs * sum(utterance.duration for utterance in self.utterances)

    def num_batches(self, epoch: int) -> int:
        """Our batches of one epoch."""
        durations = [utterance.duration for utterance in self.utterances]
        options = self.config.data
        return len(BucketStream(durations, options.batch_seconds, self.config.seed).epoch(epoch))

    @property
    def batch_size(self) -> int:
        """The peer's batch size: our mean."""
        return round(len(self.utterances) / self.num_batches(0))

    def examples(self) -> UtteranceDataset:
        """The utterances as waveforms and targets."""
        return UtteranceDataset(
            self.utterances,
            target=lambda utterance: target_ids(utterance, self.vocabulary),
            min_samples=self.model.encoder.grid.window,
        )


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


def prepare(root: Path, folder: Path, *, encoder: str, num_utterances: int, epochs: int) -> Race:
    """A random part of the training split of ``root``, as a data set of its own in ``folder``."""
    overrides = [f"encoder={encoder}", f"data.root={folder}", "trainer.accelerator=cpu"]
    config = train_config(compose_config(overrides))
    everything = read_manifest(root / "fine-tune.jsonl")
    labels = label_set(config.task.labels)
    vocabulary = Vocabulary.build((utterance.text for utterance in everything), labels)
    torch.manual_seed(config.seed)
    model, _ = new_model(config, vocabulary, folder)
    kept, _ = select(everything, vocabulary, model.grid, max_seconds=None)
    chosen = random.Random(0).sample(kept, min(num_utterances, len(kept)))
    write_manifest(folder / "fine-tune.jsonl", chosen)
    write_manifest(folder / "tune.jsonl", [min(chosen, key=lambda u: u.duration)])
    return Race(folder, config, model, vocabulary, chosen, epochs)


def run(race: Race, *, rounds: int) -> dict[str, Any]:
    """Let the contestants take turns for ``rounds`` rounds; figures for the JSON file."""
    ours, peer = losses(race)
    extractor = stock_extractor(race.model)
    examples = list(race.examples())
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
        "padding_share": padding,
        "peer_extraction_seconds": extraction,
        "loss": {"ours": ours, "peer": peer},
    }


def losses(race: Race) -> tuple[float, float]:
    """Loss per symbol of one batch, ours and the peer's, from the same weights.

    The utterances are cut to equal length, because the stock base-style model lets padding into
    its group norm and ours does not.

    Raises:
        ValueError: when they differ by more than 1e-4.
    """
    utterances = sorted(race.examples(), key=lambda example: len(_waveform(example)))[-4:]
    shortest = min(len(_waveform(example)) for example in utterances)
    cut = [replace(example, waveform=_waveform(example)[:shortest]) for example in utterances]
    batch = collate(cut)
    extractor = stock_extractor(race.model)
    peer = peer_model(race.model).eval()
    rows = ExtractedFeatures(cut, extractor)
    race.model.eval()
    with torch.no_grad():
        ours = ctc_losses(race.model(batch.waveforms, batch.num_samples), batch)
        stock = peer(**PaddingCollator(extractor)([rows[index] for index in range(len(rows))]))
    # reduction "mean" of torch divides each loss by its own number of symbols
    mean = float((ours / batch.num_targets).mean())
    if abs(mean - float(stock.loss)) > 1e-4 * mean:
        raise ValueError(
            f"our loss is {mean} but the peer's is {float(stock.loss)} for the same batch and "
            "weights; the contestants do not train the same model"
        )
    return mean, float(stock.loss)


def train_once(race: Race, run_dir: Path) -> dict[str, Any]:
    """Our training of ``race.epochs`` epochs; its figures for ``metrics.json``."""
    race.vocabulary.save(run_dir / VOCABULARY_FILE)
    updates = sum(race.num_batches(epoch) for epoch in range(race.epochs))
    trainer = replace(race.config.trainer, max_updates=updates, validate_every=updates)
    config = replace(race.config, trainer=trainer)
    figures = fit(config, run_dir, console=Console(quiet=True)).figures
    assert abs(figures["audio_seconds"] - race.audio_seconds) < 1e-3 * race.audio_seconds
    return figures


def _waveform(example: Example) -> Tensor:
    assert example.waveform is not None, example.error
    return example.waveform


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
                "our padding": f"{result['padding_share']:.1%}",
                "loss of one batch, ours / peer": "{ours:.5f} / {peer:.5f}".format(
                    **result["loss"]
                ),
                "peer's extraction beforehand": f"{result['peer_extraction_seconds']:.1f} s",
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
