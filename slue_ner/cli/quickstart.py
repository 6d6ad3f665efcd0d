"""``slue-ner quickstart``: the main job from nothing to a scored model, in five minutes."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from slue_ner.core.types import Prediction, Utterance
    from slue_ner.data.synthetic import SyntheticOptions

DATA = Path("data/quickstart")
RUN = Path("runs/quickstart")
NUM_PROCESSES = 2
"""Training processes; fixed, because it decides the batches and so the result."""

NUM_SHOWN = 6

_NEXT = """
what to run next:
  slue-ner lm train {data}/fine-tune.jsonl --order 4 --output tagged.ngram    # it spells better
  slue-ner predict {run} --manifest {data}/dev.jsonl --output dev.jsonl --lm tagged.ngram
  slue-ner score --references {data}/dev.jsonl --predictions dev.jsonl
  slue-ner train experiment=quickstart trainer.devices=1 name=three_layers adaptation=truncate
  slue-ner prepare slue-voxpopuli asapp/slue data/slue_voxpopuli    # the real thing
"""


def run(arguments: list[str]) -> int:
    """Make a corpus, train on it, predict and score unseen voices and sentences."""
    parser = argparse.ArgumentParser(
        prog="slue-ner quickstart",
        description="Make a spoken corpus, train an end-to-end NER tagger on it, score it on "
        f"voices and sentences it has not heard. Writes {DATA} and {RUN}.",
        epilog="example:\n  slue-ner quickstart",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    from slue_ner.cli.console import stdout
    from slue_ner.core.files import read_json

    console = stdout()
    started = time.perf_counter()
    console.print("[bold]1. a spoken corpus[/], made with a speech synthesiser", highlight=False)
    make_corpus(console)
    console.print(
        "[bold]2. training[/] the shipped encoder to write words and entities", highlight=False
    )
    status = _train()
    if status:
        return status
    console.print("[bold]3. scores[/] on voices and sentences not heard in training")
    _show(console)
    training = read_json(RUN / "metrics.json")["run"]["training"]
    console.print(
        f"{time.perf_counter() - started:.0f} s in all, "
        f"{NUM_PROCESSES * training['audio_seconds_per_second']:.0f} audio-s/s in training; "
        f"figures in {RUN / 'metrics.json'}",
        highlight=False,
    )
    console.print(_NEXT.format(run=RUN, data=DATA), highlight=False, markup=False)
    return 0


def make_corpus(console: Console) -> None:
    """Make the corpus of the quickstart and the tour, unless it is there."""
    from slue_ner.cli.console import progress_on
    from slue_ner.data.synthetic import prepare_synthetic

    with progress_on(console, "speaking") as progress:
        prepared = prepare_synthetic(DATA, _corpus(), progress=progress)
    for split, counts in prepared.splits.items():
        console.print(
            f"   {split}: {counts.num_utterances} utterances, {counts.seconds / 3600:.2f} h, "
            f"{counts.num_speakers} voices",
            highlight=False,
        )


def _corpus() -> SyntheticOptions:
    from slue_ner.data.synthetic import SyntheticOptions

    return SyntheticOptions(
        preset="easy",
        num_fine_tune=3_600,
        num_tune=160,
        num_dev=200,
        num_test=400,
        num_voices=480,
        num_accents=2,
        num_workers=os.cpu_count() or 1,
    )


def _train() -> int:
    """Run ``slue-ner train`` in two processes that share the work, as on two GPUs."""
    command = shutil.which("slue-ner", path=str(Path(sys.executable).parent)) or "slue-ner"
    threads = max(1, (os.cpu_count() or 1) // NUM_PROCESSES)
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", str(NUM_PROCESSES), "--no-python", command),
            *("train", "experiment=quickstart", f"trainer.num_threads={threads}"),
        ],
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        check=False,
    ).returncode


def _show(console: Console) -> None:
    from slue_ner.core.records import read_manifest, read_predictions
    from slue_ner.evaluation.bootstrap import BootstrapOptions
    from slue_ner.evaluation.score import score
    from slue_ner.evaluation.seen import training_phrases
    from slue_ner.evaluation.table import render

    references = read_manifest(DATA / "test.jsonl")
    predictions = read_predictions(RUN / "predictions" / "test.jsonl")
    seen = training_phrases(read_manifest(DATA / "fine-tune.jsonl"))
    render(score(references, predictions, intervals=BootstrapOptions(), seen_phrases=seen), console)
    _show_utterances(references, {p.id: p for p in predictions}, console)


def _show_utterances(
    references: list[Utterance], predictions: dict[str, Prediction], console: Console
) -> None:
    from slue_ner.cli.highlight import heard, said

    console.print("a few of them, in the order of the file:")
    with_entities = [reference for reference in references if reference.entities]
    for reference in with_entities[:NUM_SHOWN]:
        console.print("  said  ", said(reference))
        console.print("  heard ", heard(predictions[reference.id]))
