"""Seconds to score, to tune a localizer on, and to align 1,750 utterances; no model runs.

References are a manifest's utterances with word times, over and over; predictions are their tagged
text as a CTC model would emit it, with letters jittered in time and in spelling.

Usage: ``python benchmarks/localization.py [--manifest data/slue_spoken/dev.jsonl] [--publish]``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from tables import publish, table

from slue_ner.core.labels import COMBINED
from slue_ner.core.records import read_manifest
from slue_ner.core.time import FrameGrid
from slue_ner.core.types import Prediction, Utterance
from slue_ner.decoding.ctc import greedy
from slue_ner.decoding.transcript import to_prediction
from slue_ner.evaluation.bootstrap import BootstrapOptions
from slue_ner.evaluation.score import score
from slue_ner.inference.aligning import Aligner, align_utterances
from slue_ner.inference.localizing import tune
from slue_ner.tasks.ctc_task import target_ids
from slue_ner.text.vocabulary import Vocabulary

GRID = FrameGrid(hop=320)
WRONG = 0.03
"""Share of symbols that are heard as another."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, default=Path("data/slue_spoken/dev.jsonl"))
    parser.add_argument("--utterances", type=int, default=1750)
    parser.add_argument("--publish", action="store_true", help="write results/ and README.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    known = [u for u in read_manifest(arguments.manifest) if u.words is not None]
    references = [
        replace(utterance, id=f"u{number}", split="dev")
        for number, utterance in enumerate(islice(cycle(known), arguments.utterances))
    ]
    vocabulary = Vocabulary.build([utterance.text for utterance in known], COMBINED)
    generator = np.random.default_rng(0)
    emissions = [emit(utterance, vocabulary, generator) for utterance in references]
    predictions = [
        predict(utterance, log_probs, vocabulary)
        for utterance, log_probs in zip(references, emissions, strict=True)
    ]
    aligner = Aligner(vocabulary, GRID)
    emitted = [(u.id, log_probs) for u, log_probs in zip(references, emissions, strict=True)]
    aligner.time(references[0].text, emissions[0])  # compiles, once a machine
    works: dict[str, Callable[[], object]] = {
        "score": lambda: score(references, predictions),
        "score with intervals": lambda: score(
            references, predictions, intervals=BootstrapOptions()
        ),
        "tune a localizer": lambda: tune(references, predictions),
        "align": lambda: align_utterances(references, emitted, aligner),
    }
    seconds = {name: timed(work) for name, work in works.items()}
    hours = sum(utterance.duration for utterance in references) / 3600
    text = table([{"work": name, "seconds": f"{value:.1f}"} for name, value in seconds.items()])
    text += f"\n\n{len(references):,} utterances, {hours:.1f} hours, a vocabulary of "
    text += f"{len(vocabulary)} symbols; 31 offsets, with and without blanks, for two rules."
    print(text)
    if arguments.publish:
        publish("localization", {"seconds": seconds, "hours": hours}, text)


def emit(
    utterance: Utterance, vocabulary: Vocabulary, generator: np.random.Generator
) -> np.ndarray:
    """Log-probabilities ``(T, V)`` with the target's symbols at random frames, in order."""
    ids = np.array(target_ids(utterance, vocabulary))
    wrong = generator.random(len(ids)) < WRONG
    ids[wrong] = generator.integers(3, len(vocabulary), wrong.sum())
    num_frames = max(GRID.num_frames(utterance.num_samples or 0), 2 * len(ids))
    frames = np.sort(generator.choice(num_frames // 2, len(ids), replace=False)) * 2
    logits = generator.normal(size=(num_frames, len(vocabulary))).astype(np.float32)
    logits[:, 0] += 8
    logits[frames, ids] += 14
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def predict(utterance: Utterance, log_probs: np.ndarray, vocabulary: Vocabulary) -> Prediction:
    emissions, num_frames = torch.from_numpy(log_probs[None]), torch.tensor([len(log_probs)])
    (tokens,) = greedy(emissions, num_frames, vocabulary.symbols)
    return to_prediction(
        utterance.id,
        tokens,
        labels=COMBINED,
        grid=GRID,
        num_frames=len(log_probs),
    )


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
