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

from slue_ner.core.cores import num_cores
from slue_ner.core.time import said_length

if TYPE_CHECKING:
    from rich.console import Console

    from slue_ner.data.synthesis.corpus import SyntheticOptions

DATA = Path("data/quickstart")
RUN = Path("runs/quickstart")
LM = RUN / "lm"
"""What the run finds with a language model of the sentences it was trained on."""

NUM_PROCESSES = 2
"""Training processes; fixed, because it decides the batches and so the result."""

NUM_SHOWN = 6

_NEXT = """
what to run next:
  slue-ner compare {run} {lm}/quickstart_lm.json    # without and with the language model
  slue-ner predict {run} --manifest {data}/dev.jsonl --output {lm}/dev.jsonl --lm {lm}/tagged.ngram
  slue-ner score --references {data}/dev.jsonl --predictions {lm}/dev.jsonl
  slue-ner train experiment=quickstart trainer.devices=1 name=three_layers adaptation=truncate
  slue-ner prepare slue-voxpopuli asapp/slue data/slue_voxpopuli    # the real thing
"""


def run(arguments: list[str]) -> int:
    """Make a corpus, train on it, predict and score unseen voices and sentences."""
    command_parser().parse_args(arguments)
    from slue_ner.cli.console import stdout
    from slue_ner.core.files import read_json

    console = stdout()
    started = time.perf_counter()
    console.print("[bold]1. a spoken corpus[/], made with a speech synthesiser", markup=True)
    make_corpus(console)
    console.print(
        "[bold]2. training[/] the shipped encoder to write words and entities", markup=True
    )
    status = _train()
    if status:
        return status
    console.print(
        "[bold]3. a language model[/] of the training sentences, which spells better",
        markup=True,
    )
    status = _with_language_model(console)
    if status:
        return status
    console.print(
        "[bold]a few utterances[/] of voices and sentences not heard in training", markup=True
    )
    _show_utterances(console)
    training = read_json(RUN / "metrics.json")["run"]["training"]
    console.print(
        f"{time.perf_counter() - started:.0f} s in all, "
        f"{NUM_PROCESSES * training['audio_seconds_per_second']:.0f} audio-s/s in training; "
        f"figures in {RUN / 'metrics.json'}",
        highlight=False,
    )
    console.print(_NEXT.format(run=RUN, data=DATA, lm=LM))
    return 0


def make_corpus(console: Console) -> None:
    """Make the corpus of the quickstart and the tour, unless it is there."""
    from slue_ner.cli.console import progress_on
    from slue_ner.data.synthesis.corpus import prepare_synthetic

    with progress_on(console, "speaking") as progress:
        prepared = prepare_synthetic(DATA, _corpus(), progress=progress)
    for split, counts in prepared.splits.items():
        console.print(
            f"   {split}: {counts.num_utterances} utterances, {said_length(counts.seconds)}, "
            f"{counts.num_speakers} voices",
            highlight=False,
        )


def command_parser() -> argparse.ArgumentParser:
    """What its help says; it has no arguments."""
    return argparse.ArgumentParser(
        prog="slue-ner quickstart",
        description="Make a spoken corpus, train an end-to-end NER tagger on it, score it on "
        f"voices and sentences it has not heard. Writes {DATA} and {RUN}.",
        epilog="example:\n  slue-ner quickstart",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _corpus() -> SyntheticOptions:
    from slue_ner.data.synthesis.corpus import SyntheticOptions

    return SyntheticOptions(
        preset="easy",
        num_fine_tune=3_600,
        num_tune=160,
        num_dev=200,
        num_test=400,
        num_voices=480,
        num_accents=2,
        num_workers=num_cores(),
    )


def _train() -> int:
    """Run ``slue-ner train`` in two processes that share the work, as on two GPUs."""
    threads = max(1, num_cores() // NUM_PROCESSES)
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", str(NUM_PROCESSES), "--no-python", _program()),
            *("train", "experiment=quickstart", f"trainer.num_threads={threads}"),
        ],
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        check=False,
    ).returncode


def _with_language_model(console: Console) -> int:
    """Train one, predict test with it and score, by the commands that anyone would type."""
    test, found = DATA / "test.jsonl", LM / "test.jsonl"
    commands = (
        f"lm train {DATA}/fine-tune.jsonl --order 4 --output {LM}/tagged.ngram",
        f"predict {RUN} --manifest {test} --output {found} --lm {LM}/tagged.ngram",
        f"score --references {test} --predictions {found} --seen {DATA}/fine-tune.jsonl "
        f"--json {LM}/quickstart_lm.json",
    )
    for command in commands:
        console.print(f"$ slue-ner {command}")
        status = subprocess.run([_program(), *command.split()], check=False).returncode
        if status:
            return status
    return 0


def _program() -> str:
    return shutil.which("slue-ner", path=str(Path(sys.executable).parent)) or "slue-ner"


def _show_utterances(console: Console) -> None:
    from slue_ner.cli.highlight import heard, said
    from slue_ner.core.records import read_manifest, read_predictions

    predictions = {p.id: p for p in read_predictions(LM / "test.jsonl")}
    with_entities = [u for u in read_manifest(DATA / "test.jsonl") if u.entities]
    for reference in with_entities[:NUM_SHOWN]:
        console.print("  said  ", said(reference))
        console.print("  heard ", heard(predictions[reference.id]))
