"""Decode with pyctcdecode, in its own environment; called by ``beam.py``, see there.

Usage: ``python benchmarks/pyctcdecode_peer.py JOB.json``; prints JSON. Needs pyctcdecode and
kenlm, and nothing of this project.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path

import numpy as np
from pyctcdecode import build_ctcdecoder


def main() -> None:
    logging.disable(logging.WARNING)
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    rest = job["symbols"][2:]  # behind blank and unknown
    labels = ["", "\u2047", *(" " if symbol == "|" else symbol for symbol in rest)]
    decoder = build_ctcdecoder(
        labels,
        kenlm_model_path=job["arpa"],
        unigrams=job["words"],
        alpha=job["lm_weight"],
        beta=job["word_score"],
    )
    found, seconds = {}, 0.0
    with np.load(job["emissions"]) as emissions:
        for name in job["names"]:
            begun = time.thread_time()
            text = decoder.decode(emissions[name], beam_width=job["beam"])
            seconds += time.thread_time() - begun
            found[name] = text.split()
    print(json.dumps({"found": found, "seconds": seconds}))


if __name__ == "__main__":
    main()
