"""Decode with flashlight-text, in its own environment; called by ``beam.py``, see there.

Usage: ``python benchmarks/flashlight_peer.py JOB.json``; prints JSON. Needs numpy and
flashlight-text, and nothing of this project.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from flashlight.lib.text.decoder import (
    CriterionType,
    KenLM,
    LexiconDecoder,
    LexiconDecoderOptions,
    SmearingMode,
    Trie,
)
from flashlight.lib.text.dictionary import Dictionary, create_word_dict, load_words


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    symbols = job["symbols"]
    lexicon = Path(job["lexicon"])
    spellings = load_words(str(lexicon))
    words = create_word_dict(spellings)
    tokens = Dictionary(symbols)
    language_model = KenLM(job["arpa"], words)
    delimiter, blank = symbols.index("|"), 0
    trie = Trie(len(symbols), delimiter)
    for word, ways in spellings.items():
        index = words.get_index(word)
        score = job["look_ahead"][word]
        for spelling in ways:
            trie.insert([tokens.get_index(symbol) for symbol in spelling], index, score)
    trie.smear(SmearingMode.MAX)
    options = LexiconDecoderOptions(
        beam_size=job["beam"],
        beam_size_token=min(job["num_symbols"], len(symbols)),
        beam_threshold=job["beam_threshold"],
        lm_weight=job["lm_weight"],
        word_score=job["word_score"],
        unk_score=-float("inf"),
        sil_score=0.0,
        log_add=job["merge"] == "sum",
        criterion_type=CriterionType.CTC,
    )
    decoder = LexiconDecoder(
        options, trie, language_model, delimiter, blank, words.get_index("<unk>"), [], False
    )
    found, seconds = {}, 0.0
    with np.load(job["emissions"]) as emissions:
        for name in job["names"]:
            rows = np.ascontiguousarray(emissions[name], np.float32)
            begun = time.thread_time()
            results = decoder.decode(rows.ctypes.data, *rows.shape)
            seconds += time.thread_time() - begun
            best = results[0]
            found[name] = {
                "words": [words.get_entry(index) for index in best.words if index >= 0],
                "score": best.score,
            }
    print(json.dumps({"found": found, "seconds": seconds}))


if __name__ == "__main__":
    main()
