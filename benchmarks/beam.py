"""Beam search with a word n-gram: speed and results beside flashlight-text and pyctcdecode.

Usage: ``python benchmarks/beam.py --case NAME EMISSIONS TRAIN TEST ... [--frames 40000]
[--rounds 3] [--publish]``. EMISSIONS is a folder that ``slue-ner predict --emissions`` of a run of
``task=ctc_tagged`` made of TEST, TRAIN the manifest whose tagged text the language model is
trained on. Peers run in environments of their own; ``FLASHLIGHT`` and ``PYCTCDECODE`` name their
Pythons (``pip install flashlight-text numpy``; ``pip install pyctcdecode kenlm 'numpy<2'``).
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tables import publish, spread, table

from slue_ner.core.labels import COMBINED
from slue_ner.core.records import read_manifest
from slue_ner.decoding.beam.scoring_rules import BeamOptions, Scorer
from slue_ner.decoding.beam.search import BeamDecoder
from slue_ner.decoding.ctc import greedy
from slue_ner.decoding.ctc_kernel import collapse
from slue_ner.decoding.emissions import read_emissions
from slue_ner.decoding.lm.ngram import NgramModel
from slue_ner.decoding.lm.ngram_file import write_model
from slue_ner.decoding.lm.ngram_training import train
from slue_ner.evaluation.wer import word_edits
from slue_ner.text.markup import from_symbols, write_tagged

ORDER = 4
BEAMS = (50, 500)
SKIPS = (1.0, 0.9999, 0.999, 0.99)
LM_WEIGHT, WORD_SCORE = 2.0, 1.0  # SLUE's published ones; the weight is of log10 scores
FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Case:
    """Emissions ``(T, V)`` by id, what was said, and a language model of the training text."""

    name: str
    emissions: dict[str, np.ndarray]
    references: dict[str, str]
    symbols: tuple[str, ...]
    model: NgramModel
    folder: Path

    @property
    def num_frames(self) -> int:
        """Of all utterances."""
        return sum(len(rows) for rows in self.emissions.values())

    def wer(self, found: dict[str, Sequence[str]]) -> float:
        """Word error rate in percent, entity marks counted as words."""
        edits = [word_edits(" ".join(found[id]), reference=self.references[id]) for id in found]
        return 100 * sum(e.edits for e in edits) / sum(e.length for e in edits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs=4, action="append", required=True, metavar="FILE")
    parser.add_argument("--frames", type=int, default=40_000, help="of each case, at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--publish", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    races, skips, others = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, *files in arguments.case:
            case = prepare(name, *map(Path, files), Path(folder), arguments.frames)
            races += [race(case, beam, arguments.rounds) for beam in BEAMS]
            skips += [skipped(case, threshold) for threshold in SKIPS]
            others.append(
                {
                    "emissions": name,
                    **cores(case, arguments.rounds),
                    **greedily(case, arguments.rounds),
                    **second_peer(case),
                }
            )
    text = "\n\n".join(
        (
            table(races),
            "Blank skipping, beam 50:\n\n" + table(skips),
            "Beam 50 on two threads, greedy decoding, and pyctcdecode with its default pruning:\n\n"
            + table(others),
        )
    )
    print(text)
    if arguments.publish:
        publish("beam", {"races": races, "skipping": skips, "others": others}, text)


def prepare(
    name: str, emitted: Path, train_on: Path, test: Path, folder: Path, frames: int
) -> Case:
    """The files of all contestants, and the first utterances of at most ``frames`` frames."""
    stored = read_emissions(emitted)
    chosen: dict[str, np.ndarray] = {}
    for id in stored.ids:
        chosen[id] = stored[id]
        if sum(map(len, chosen.values())) > frames:
            break
    texts = {u.id: " ".join(write_tagged(u, COMBINED)) for u in read_manifest(test)}
    sentences = [write_tagged(u, COMBINED) for u in read_manifest(train_on)]
    model, _ = train(sentences, order=ORDER)
    here = folder / name
    here.mkdir()
    write_model(model, here / "words.arpa")
    known = set(stored.symbols)
    lines = [
        f"{word}\t{' '.join(word)} |\n"
        for word in model.words[3:]
        if all(character in known for character in word)
    ]
    (here / "lexicon.txt").write_text("".join(lines), encoding="utf-8")
    np.savez(here / "emissions.npz", **chosen)
    references = {id: texts[id] for id in chosen}
    return Case(name, chosen, references, stored.symbols, model, here)


def decoder(case: Case, **changes: Any) -> BeamDecoder:
    options = BeamOptions(
        lm_weight=LM_WEIGHT / math.log(10),
        word_score=WORD_SCORE,
        blank_threshold=1.0,
        grammar=False,
        merge="max",
    )
    scorer = Scorer(case.symbols, replace(options, **changes), labels=COMBINED, words=case.model)
    return BeamDecoder(scorer)


def race(case: Case, beam: int, rounds: int) -> dict[str, str]:
    """Ours and flashlight-text in turns on one core, in CPU time of the thread that decodes."""
    ours = decoder(case, beam_size=beam)
    first = next(iter(case.emissions.values()))
    ours.decode(first)
    job = {
        "symbols": case.symbols,
        "lexicon": str(case.folder / "lexicon.txt"),
        "arpa": str(case.folder / "words.arpa"),
        "emissions": str(case.folder / "emissions.npz"),
        "names": list(case.emissions),
        "look_ahead": {
            word: float(case.model.log_prob[1 + id]) for word, id in case.model.ids.items()
        },
        "beam": beam,
        "num_symbols": len(case.symbols),
        "beam_threshold": 25,
        "lm_weight": LM_WEIGHT,
        "word_score": WORD_SCORE,
        "merge": "max",
    }
    mine: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        start = time.thread_time()
        found = {id: ours.decode(rows)[0] for id, rows in case.emissions.items()}
        mine.append(case.num_frames / (time.thread_time() - start))
        peer = ask("FLASHLIGHT", "flashlight_peer.py", job, case.folder)
        theirs.append(case.num_frames / peer["seconds"])
    wider = ask("FLASHLIGHT", "flashlight_peer.py", {**job, "beam": 2 * beam}, case.folder)
    words = {id: from_symbols([case.symbols[s] for s in h.symbols]) for id, h in found.items()}
    same_as_wider = sum(words[id] == wider["found"][id]["words"] for id in words)
    same = [id for id in words if words[id] == peer["found"][id]["words"]]
    other = [id for id in words if id not in same]
    score = {id: peer["found"][id]["score"] for id in words}
    better = sum(found[id].score > score[id] for id in other)
    apart = max((abs(found[id].score - score[id]) for id in same), default=0.0)
    return {
        "emissions": case.name,
        "beam": str(beam),
        "ours, frames/s": spread(mine, 0),
        "flashlight-text, frames/s": spread(theirs, 0),
        "times as fast": spread([a / b for a, b in zip(mine, theirs, strict=True)]),
        "same best": f"{len(same)} of {len(words)} ({100 * len(same) / len(words):.1f} %)",
        "same best, twice the beam there": f"{same_as_wider} of {len(words)}",
        "where not, ours scores higher": f"{better} of {len(other)}",
        "scores of the same, at most apart": f"{apart:.4f}",
        "WER, ours / flashlight-text": f"{case.wer(words):.1f} / "
        f"{case.wer({id: peer['found'][id]['words'] for id in words}):.1f}",
    }


def skipped(case: Case, threshold: float) -> dict[str, str]:
    """What leaving out frames that are surely blank changes."""
    whole, quick = (
        decoder(case, beam_size=50),
        decoder(case, beam_size=50, blank_threshold=threshold),
    )
    some = [*case.emissions.values()]
    exact = [whole.decode(rows)[0] for rows in some]
    start = time.thread_time()
    found = [quick.decode(rows)[0] for rows in some]
    seconds = time.thread_time() - start
    blanks = np.concatenate([np.exp(rows[:, 0]) for rows in some])
    same = sum(a.symbols == b.symbols for a, b in zip(exact, found, strict=True))
    lost = [a.score - b.score for a, b in zip(exact, found, strict=True)]
    return {
        "emissions": case.name,
        "blank_threshold": f"{threshold:g}",
        "frames skipped": f"{100 * np.mean(blanks >= threshold):.1f} %",
        "frames/s": f"{case.num_frames / seconds:.0f}",
        "same best": f"{same} of {len(some)}",
        "score lost, mean / most": f"{np.mean(lost):.3f} / {max(lost):.3f}",
    }


def cores(case: Case, rounds: int) -> dict[str, str]:
    """All utterances on two threads against one, in wall-clock time.

    Two processes that decode all of them each show what the machine's cores can give at all.
    """
    ours = decoder(case, beam_size=50)
    some = list(case.emissions.values())

    def on(threads: int) -> float:
        start = time.perf_counter()
        for _ in ours.decode_all(some, threads=threads):
            pass
        return time.perf_counter() - start

    def twice() -> float:
        pair = [multiprocessing.get_context("fork").Process(target=on, args=(1,)) for _ in "ab"]
        start = time.perf_counter()
        for process in pair:
            process.start()
        for process in pair:
            process.join()
        return (time.perf_counter() - start) / 2

    on(2)
    return {
        "two threads, times as fast": spread([on(1) / on(2) for _ in range(rounds)]),
        "two processes": spread([on(1) / twice() for _ in range(rounds)]),
    }


def greedily(case: Case, rounds: int) -> dict[str, str]:
    """Greedy decoding of one utterance after the other, all to a list of symbols."""
    some = [torch.from_numpy(rows) for rows in case.emissions.values()]

    def spans() -> None:
        for rows in some:
            greedy(rows[None], torch.tensor([len(rows)]), case.symbols)

    def ours() -> None:
        for rows in some:
            best, ids = rows.max(dim=-1)
            tokens, _, _, _ = collapse(ids.numpy(), best.numpy())
            [case.symbols[i] for i in tokens.tolist()]

    def plain() -> None:
        for rows in some:
            ids = rows.argmax(dim=-1).numpy()
            kept = ids[np.flatnonzero(np.diff(ids, prepend=-1))]
            [case.symbols[i] for i in kept[kept != 0].tolist()]

    ours()
    speeds = {
        name: [case.num_frames / seconds(work) for _ in range(rounds)]
        for name, work in (("ours", ours), ("plain", plain), ("spans", spans))
    }
    ratios = [a / b for a, b in zip(speeds["ours"], speeds["plain"], strict=True)]
    return {
        "greedy, frames/s": spread(speeds["ours"], 0),
        "argmax and collapse in numpy, frames/s": spread(speeds["plain"], 0),
        "greedy, times as fast": spread(ratios),
        "greedy with a TokenSpan a symbol, frames/s": spread(speeds["spans"], 0),
    }


def second_peer(case: Case) -> dict[str, str]:
    """Pyctcdecode with the same language model and weights, on a tenth of the frames."""
    names, frames = [], 0
    for id, rows in case.emissions.items():
        names.append(id)
        frames += len(rows)
        if frames > case.num_frames / 10:
            break
    job = {
        "symbols": case.symbols,
        "words": [line.split("\t")[0] for line in open_lines(case.folder / "lexicon.txt")],
        "arpa": str(case.folder / "words.arpa"),
        "emissions": str(case.folder / "emissions.npz"),
        "names": names,
        "beam": 50,
        "lm_weight": LM_WEIGHT / math.log(10),
        "word_score": WORD_SCORE,
    }
    peer = ask("PYCTCDECODE", "pyctcdecode_peer.py", job, case.folder)
    ours = decoder(case, beam_size=50)
    start = time.thread_time()
    found = {id: ours.decode(case.emissions[id])[0] for id in names}
    speed = frames / (time.thread_time() - start)
    words = {id: from_symbols([case.symbols[s] for s in h.symbols]) for id, h in found.items()}
    return {
        "ours / pyctcdecode, frames/s": f"{speed:.0f} / {frames / peer['seconds']:.0f}",
        "WER, ours / pyctcdecode": f"{case.wer(words):.1f} / {case.wer(peer['found']):.1f}",
    }


def ask(variable: str, script: str, job: dict[str, Any], folder: Path) -> Any:
    """What a peer prints about a job, in the environment that a variable names."""
    python = os.environ.get(variable)
    if python is None:
        raise SystemExit(f"set {variable} to the Python of the peer's environment; see --help")
    path = folder / "job.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    command = [python, str(FOLDER / script), str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def open_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def seconds(work: Callable[[], None]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


if __name__ == "__main__":
    main()
