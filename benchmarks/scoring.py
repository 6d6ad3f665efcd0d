"""Seconds to score a large set with intervals: synthetic pairs, one core, no model.

Usage: ``python benchmarks/scoring.py [--utterances 100000] [--resamples 1000] [--json FILE]``.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from dataclasses import replace
from pathlib import Path

from slue_ner.core.labels import RAW
from slue_ner.core.types import EntitySpan, Prediction, Utterance
from slue_ner.evaluation.bootstrap import BootstrapOptions
from slue_ner.evaluation.score import score

WORDS_PER_UTTERANCE = 24
WORD_ERROR_RATE = 0.12
ENTITY_RATE = 1.5
"""Mean entities an utterance; SLUE-VoxPopuli has fewer."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--utterances", type=int, default=100_000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--by", choices=("speaker", "utterance"), default="utterance")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    generator = random.Random(0)
    pairs = [_pair(index, generator) for index in range(arguments.utterances)]
    references = [reference for reference, _ in pairs]
    if arguments.by == "utterance":
        references = [replace(reference, speaker=None) for reference in references]
    predictions = [prediction for _, prediction in pairs]
    start = time.perf_counter()
    score(references, predictions, seen_phrases=())
    without = time.perf_counter() - start
    start = time.perf_counter()
    options = BootstrapOptions(resamples=arguments.resamples)
    result = score(references, predictions, intervals=options, seen_phrases=())
    seconds = time.perf_counter() - start
    figures = {
        "utterances": arguments.utterances,
        "entities": result.entities["ner"].micro.gold,
        "resamples": arguments.resamples,
        "unit": arguments.by,
        "seconds_without_intervals": round(without, 2),
        "seconds": round(seconds, 2),
        "utterances_per_second": round(arguments.utterances / seconds),
        "wer": result.error_rates["wer"],
        "f1": result.entities["ner"].micro.f1,
    }
    print(
        f"scored {arguments.utterances} utterances in {seconds:.2f}s, {arguments.resamples} "
        f"resamples by {arguments.by} included ({without:.2f}s without intervals)"
    )
    line = json.dumps(figures)
    print(line)
    if arguments.json:
        arguments.json.write_text(line + "\n", encoding="utf-8")


def _pair(index: int, generator: random.Random) -> tuple[Utterance, Prediction]:
    words = [_word(generator) for _ in range(generator.randint(1, 2 * WORDS_PER_UTTERANCE - 1))]
    text = " ".join(words)
    heard, place = _misheard(words, generator)
    entities, predicted = [], []
    first = 0
    while first < len(words):
        last = min(len(words), first + generator.randint(1, 3))
        if generator.random() < 2 * ENTITY_RATE / WORDS_PER_UTTERANCE:
            label = generator.choice(RAW.labels)
            start = len(" ".join(words[:first])) + (first > 0)
            phrase = " ".join(words[first:last])
            entities.append(EntitySpan(label, phrase, start, start + len(phrase)))
            begin, end = place[first], place[last]
            if begin < end and generator.random() < 0.85:
                predicted.append(EntitySpan(label, " ".join(heard[begin:end]), words=(begin, end)))
        first = last
    id = f"synthetic_{index}"
    reference = Utterance(
        id=id,
        split="dev",
        audio=None,
        num_samples=None,
        sample_rate=16_000,
        text=text,
        asr_text=text,
        speaker=str(generator.randrange(200)),
        entities=tuple(entities),
    )
    return reference, Prediction(id=id, text=" ".join(heard), entities=tuple(predicted))


def _misheard(words: list[str], generator: random.Random) -> tuple[list[str], list[int]]:
    """Words with errors, and where each boundary of ``words`` came to lie in them."""
    heard: list[str] = []
    place = [0]
    for word in words:
        if generator.random() >= WORD_ERROR_RATE:
            heard.append(word)
        else:
            heard += generator.choice(([], [_word(generator)], [word[:-1] + "x"], [word, "a"]))
        place.append(len(heard))
    return heard, place


def _word(generator: random.Random) -> str:
    rank = min(int(generator.paretovariate(0.6)), 20_000)
    return "".join("etaoinsrhl"[int(digit)] for digit in str(rank))


if __name__ == "__main__":
    main()
