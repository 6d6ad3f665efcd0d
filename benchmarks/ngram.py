"""A language model of a million words: trained, written, read and asked, beside KenLM's lmplz.

Usage: ``python benchmarks/ngram.py [--words 1000000] [--order 4] [--rounds 3] [--publish]``;
``lmplz`` is looked for in the environment variable ``LMPLZ``, then on ``PATH``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from slue_ner.decoding.lm.ngram import NgramModel
from slue_ner.decoding.lm.ngram_file import read_model, write_model
from slue_ner.decoding.lm.ngram_training import train
from slue_ner.inference.language_models import SentenceOptions, read_sentences

VOCABULARY = 50_000
FOLLOWERS = 1000
SENTENCE = 20
NUM_SCORED = 200_000
SCORE = f"score {NUM_SCORED:,} words"
LMPLZ = "lmplz, text to ARPA"

Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, default=1_000_000)
    parser.add_argument("--order", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--publish", action="store_true")
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone is not None:
        work, folder = arguments.alone
        print(json.dumps(WORK[work](Path(folder), arguments.order)))
        return
    from tables import publish, spread, table  # torch, whose memory is none of the work's

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = (" ".join(sentence) + "\n" for sentence in sentences(arguments.words))
        (folder / "text.txt").write_text("".join(lines))
        results = {
            work: [alone(work, folder, arguments.order) for _ in range(arguments.rounds)]
            for work in WORK
            if work != LMPLZ or lmplz() is not None
        }
        sizes = {path.name: path.stat().st_size / 1e6 for path in folder.glob("ours*")}
        model = read_model(folder / "ours.ngram")
        counts = model.counts
        compared = compare(model, folder) if LMPLZ in results else ""
    scores = results[SCORE]
    rows = [row(work, rounds) for work, rounds in results.items()]
    files = ", ".join(f"{name.partition('.')[2]} {size:.0f} MB" for name, size in sizes.items())
    text = "\n\n".join(
        (
            table(rows),
            f"{arguments.words:,} words, order {arguments.order}: "
            f"{' + '.join(f'{count:,}' for count in counts)} n-grams; files: {files}; "
            f"{spread([figures['per_second'] / 1e6 for figures in scores])} million words scored a "
            f"CPU second. {compared}",
        )
    )
    print(text)
    if arguments.publish:
        publish("ngram", {"results": results, "sizes_mb": sizes, "counts": counts}, text)


def sentences(num_words: int) -> Iterator[list[str]]:
    """Words of Zipf's frequencies; half of them are among the few that the one before likes."""
    draw = random.Random(0)
    word = 0
    for start in range(0, num_words, SENTENCE):
        sentence = []
        for _ in range(min(SENTENCE, num_words - start)):
            place = draw.random()
            if draw.random() < 0.5:
                place = (word * 2_654_435_761 + int(FOLLOWERS**place) * 40_503) % 2**32 / 2**32
            word = int(VOCABULARY**place)
            sentence.append(f"w{word}")
        yield sentence


def alone(work: str, folder: Path, order: int) -> Figures:
    """Figures of work done in a process of its own."""
    command = [sys.executable, __file__, "--alone", work, str(folder), "--order", str(order)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: Figures = json.loads(done.stdout)
    return figures


def trained(folder: Path, order: int) -> Figures:
    text = read_sentences([str(folder / "text.txt")], SentenceOptions())
    models: list[NgramModel] = []
    figures = timed(lambda: models.append(train(text, order=order)[0]))
    write_model(models[0], folder / "ours.ngram")
    return figures


def written(suffix: str) -> Callable[[Path, int], Figures]:
    def work(folder: Path, order: int) -> Figures:
        model = read_model(folder / "ours.ngram")
        return timed(lambda: write_model(model, folder / f"ours{suffix}"))

    return work


def read(suffix: str) -> Callable[[Path, int], Figures]:
    return lambda folder, order: timed(lambda: read_model(folder / f"ours{suffix}"))


def scored(folder: Path, order: int) -> Figures:
    model = read_model(folder / "ours.ngram")
    model.score(["w0"])  # loads what numba compiled
    text = [sentence for sentence in sentences(NUM_SCORED)]
    figures = timed(lambda: [model.score(sentence) for sentence in text])
    return {**figures, "per_second": NUM_SCORED / figures["cpu_seconds"]}


def of_lmplz(folder: Path, order: int) -> Figures:
    command = [str(lmplz()), "-o", str(order), "-S", "1G", "-T", str(folder / "lmplz")]
    command += ["--text", str(folder / "text.txt"), "--arpa", str(folder / "lmplz.arpa")]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = used.ru_utime + used.ru_stime
    peak = used.ru_maxrss * 1024 / 1e6
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": peak}


WORK: dict[str, Callable[[Path, int], Figures]] = {
    "train, text to memory": trained,
    "write .ngram": written(".ngram"),
    "write .arpa": written(".arpa"),
    "write .arpa.gz": written(".arpa.gz"),
    "read .ngram": read(".ngram"),
    "read .arpa": read(".arpa"),
    "read .arpa.gz": read(".arpa.gz"),
    SCORE: scored,
    LMPLZ: of_lmplz,
}


def timed(work: Callable[[], object]) -> Figures:
    before = peak_mb()
    start, cpu = time.perf_counter(), time.process_time()
    work()
    figures = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
    return {**figures, "peak_mb": peak_mb(), "before_mb": before}


def row(work: str, rounds: list[Figures]) -> dict[str, str]:
    from tables import spread

    last = rounds[-1]
    return {
        "work": work,
        "seconds": spread([figures["seconds"] for figures in rounds]),
        "CPU seconds": spread([figures["cpu_seconds"] for figures in rounds]),
        "peak, MB": f"{last['peak_mb']:.0f}",
        "before it, MB": f"{last['before_mb']:.0f}" if "before_mb" in last else "",
    }


def compare(model: NgramModel, folder: Path) -> str:
    """How far the model is from that of ``lmplz``."""
    reference = read_model(folder / "lmplz.arpa")
    if model.words != reference.words or model.counts != reference.counts:
        return "lmplz found other n-grams."
    differences = [
        float(np.abs(getattr(model, name) - getattr(reference, name)).max())
        for name in ("log_prob", "back_off")
    ]
    return f"Largest difference from lmplz in log10: {max(differences):.0e}."


def lmplz() -> str | None:
    return os.environ.get("LMPLZ") or shutil.which("lmplz")


def peak_mb() -> float:
    """Of this process alone; ``ru_maxrss`` begins with that of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()
