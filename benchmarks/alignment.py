"""Forced alignment: cells a second beside torchaudio, and the memory of half an hour of audio.

Usage: ``python benchmarks/alignment.py [--rounds 5] [--minutes 30] [--publish]``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
import torchaudio
from tables import publish, spread, table

from slue_ner.decoding.forced_alignment import align

NUM_SYMBOLS = 32
FRAMES_A_SECOND = 50
LETTERS_A_SECOND = 14
SIZES = {"10 s": 10, "30 s": 30, "2 min": 120}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=30, help="audio of the memory figure")
    parser.add_argument("--publish", action="store_true")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.alone:
        print(json.dumps(memory(60 * arguments.minutes)))
        return
    races = {name: race(seconds, arguments.rounds) for name, seconds in SIZES.items()}
    alone = [sys.executable, __file__, "--alone", "--minutes", str(arguments.minutes)]
    done = subprocess.run(alone, check=True, capture_output=True, text=True)
    long = json.loads(done.stdout)
    text = "\n\n".join(
        (
            table([{"audio": name, **figures["shown"]} for name, figures in races.items()]),
            f"{arguments.minutes:g} minutes ({long['frames']:,} frames, {long['symbols']:,} "
            f"symbols) in a process of its own: {long['seconds']:.0f} s, {long['peak_mb']:.0f} MB "
            f"at the peak, of which {long['before_mb']:.0f} MB (Python, torch, emissions) before "
            "the alignment.",
        )
    )
    print(text)
    if arguments.publish:
        publish("alignment", {"races": races, "long": long}, text)


def race(seconds: float, rounds: int) -> dict[str, object]:
    """Both aligners in turns on the same emissions, in CPU time of this thread."""
    log_probs, targets = case(seconds)
    emissions = torch.from_numpy(log_probs)[None]
    symbols = torch.tensor([targets], dtype=torch.int32)

    def peer() -> float:
        _, scores = torchaudio.functional.forced_align(emissions, symbols, blank=0)
        return scores.sum().item()

    ours_score, peer_score = align(log_probs, targets).log_prob, peer()
    cells = len(log_probs) * (2 * len(targets) + 1)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(cells / 1e6 / cpu_seconds(lambda: align(log_probs, targets)))
        theirs.append(cells / 1e6 / cpu_seconds(peer))
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    shown = {
        "ours, M cells/s": spread(ours, 0),
        "torchaudio, M cells/s": spread(theirs, 0),
        "times as fast": spread(ratios),
        "score of the path, ours / torchaudio": f"{ours_score:.2f} / {peer_score:.2f}",
    }
    return {"shown": shown, "cells": cells, "ours": ours, "torchaudio": theirs}


def memory(seconds: float) -> dict[str, float]:
    """One alignment, and the most memory this process ever held."""
    align(*case(1.0))
    log_probs, targets = case(seconds)
    before = peak_mb()
    start = time.perf_counter()
    align(log_probs, targets)
    return {
        "frames": len(log_probs),
        "symbols": len(targets),
        "seconds": time.perf_counter() - start,
        "before_mb": before,
        "peak_mb": peak_mb(),
    }


def case(seconds: float) -> tuple[np.ndarray, list[int]]:
    """Random emissions ``(T, V)`` and as many letters as speech has."""
    generator = np.random.default_rng(0)
    shape = (round(FRAMES_A_SECOND * seconds), NUM_SYMBOLS)
    logits = 3 * generator.standard_normal(shape, dtype=np.float32)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    num_targets = round(LETTERS_A_SECOND * seconds)
    return logits, generator.integers(1, NUM_SYMBOLS, num_targets).tolist()


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000  # kB on Linux


if __name__ == "__main__":
    main()
