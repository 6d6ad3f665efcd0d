"""The weights of a beam search, tuned over stored emissions without the model.

One weight after the other goes up or down in steps as long as that is better, until no step is;
then the same in half steps, which is as fine as a few hundred utterances can tell. Then the
smallest beam that is as good as the widest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

import numpy as np

from slue_ner.core.types import Prediction, Utterance
from slue_ner.decoding.beam import BeamDecoder, BeamOptions
from slue_ner.decoding.stored_emissions import StoredEmissions
from slue_ner.evaluation.score import score
from slue_ner.pipelines.ctc_decoding import CTCDecoding
from slue_ner.pipelines.localizing import check_tuning_split
from slue_ner.text.markup import from_symbols, read_tagged
from slue_ner.text.vocabulary import Vocabulary

MEASURES = ("f1", "wer")
BEAMS = (10, 25, 50, 100, 200, 500)
STEPS = {"lm_weight": 0.4, "word_score": 1.0, "entity_score": 1.0, "unknown_score": 2.0}
"""The first, long steps."""

_MOST = {
    "lm_weight": (0.0, 5.0),
    "word_score": (-10.0, 10.0),
    "entity_score": (-10.0, 10.0),
    "unknown_score": (-30.0, 10.0),
}
_AS_GOOD = 0.001  # of F1 or WER: a tenth of a point


@dataclass(frozen=True, slots=True)
class DecodingTrial:
    """Weights and what they reach on the tuning split: fractions, F1 over combined labels."""

    options: BeamOptions
    f1: float
    wer: float

    def better(self, other: DecodingTrial, by: str) -> bool:
        """Whether this one is better by ``f1`` or ``wer``; if equal, by the other of the two."""
        return self._rank(by) < other._rank(by)

    def _rank(self, by: str) -> tuple[float, float]:
        return (-self.f1, self.wer) if by == "f1" else (self.wer, -self.f1)


def tune_decoding(
    references: Sequence[Utterance],
    emissions: StoredEmissions,
    start: CTCDecoding,
    *,
    vocabulary: Vocabulary,
    by: str,
    threads: int = 1,
    tell: Callable[[int, DecodingTrial], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> list[DecodingTrial]:
    """Search LM weight, word, entity and unknown score (where there are such) and beam.

    Args:
        references: the tuning split.
        emissions: of its utterances.
        start: files, and where to start; its other options stay.
        vocabulary: of the model.
        by: ``f1`` or ``wer``.
        threads: utterances searched at once.
        tell: called with the number of trials done and the last of them.
        progress: called with utterances done and in all, in each trial.
        note: called with a sentence about whatever of the files cannot be used.

    Returns:
        All trials, the chosen one first: its beam is the smallest within a tenth of a point of
        the best with these weights.

    Raises:
        ValueError: for references of a split named test or without emissions, for an unknown
            measure, and for one that finds nothing to count in the references.
    """
    check_tuning_split(references)
    if by not in MEASURES:
        raise ValueError(f"tune by {' or '.join(MEASURES)}, not by {by!r}")
    if by == "f1" and vocabulary.labels is None:
        raise ValueError("plain ASR writes no entities; tune it by wer")
    if by == "f1" and not any(reference.entities for reference in references):
        raise ValueError("none of the references has entities, so F1 is 0 whatever is found")
    if by == "wer" and not any(reference.text for reference in references):
        raise ValueError("none of the references has a text, so there is no WER to tune by")
    read = _Reader(references, emissions, vocabulary, threads)
    decoder = start.decoder(vocabulary.symbols, vocabulary.label_set, note=note)
    tried: dict[BeamOptions, DecodingTrial] = {}

    def trial(options: BeamOptions) -> DecodingTrial:
        if options not in tried:
            tried[options] = read.trial(decoder.with_options(options), progress)
            if tell is not None:
                tell(len(tried), tried[options])
        return tried[options]

    best = trial(start.options)
    steps = {name: step for name, step in STEPS.items() if _value(start.options, name) is not None}
    if vocabulary.labels is None:
        del steps["entity_score"]
    if start.lm is None and start.character_lm is None:
        del steps["lm_weight"]
    if start.lm is None and start.lexicon is None:
        steps.pop("unknown_score", None)  # no word is unknown
    for share in (1.0, 0.5):
        moves = [(name, way * share * step) for name, step in steps.items() for way in (1, -1)]
        best = _climb(best, moves, trial, by)
    beams = [trial(replace(best.options, beam=beam)) for beam in BEAMS]
    widest = _best([best, *beams], by)
    good = [t for t in [best, *beams] if _is_as_good(t, widest, by)]
    chosen = min(good, key=lambda t: t.options.beam)
    return [chosen, *(t for t in tried.values() if t is not chosen)]


def _value(options: BeamOptions, name: str) -> float | None:
    value: float | None = getattr(options, name)
    return value


def _climb(
    best: DecodingTrial,
    moves: Sequence[tuple[str, float]],
    trial: Callable[[BeamOptions], DecodingTrial],
    by: str,
) -> DecodingTrial:
    """Make each move as often as it is better, until none is."""
    tries = 0  # moves in a row that were of no use
    for name, step in cycle(moves):
        tries += 1
        while (options := _moved(best.options, name, step)) is not None:
            found = trial(options)
            if not found.better(best, by):
                break
            best, tries = found, 0
        if tries == len(moves):
            break
    return best


def _moved(options: BeamOptions, name: str, step: float) -> BeamOptions | None:
    """The options with one weight moved; ``None`` at the end of its range."""
    value = _value(options, name)
    assert value is not None
    low, high = _MOST[name]
    inside: dict[str, Any] = {name: min(max(round(value + step, 4), low), high)}
    return None if inside[name] == value else replace(options, **inside)


def _best(trials: Sequence[DecodingTrial], by: str) -> DecodingTrial:
    best = trials[0]
    for trial in trials[1:]:
        if trial.better(best, by):
            best = trial
    return best


def _is_as_good(trial: DecodingTrial, best: DecodingTrial, by: str) -> bool:
    distance: float = getattr(trial, by) - getattr(best, by)
    return abs(distance) <= _AS_GOOD


class _Reader:
    """Decodes and scores the tuning split."""

    def __init__(
        self,
        references: Sequence[Utterance],
        emissions: StoredEmissions,
        vocabulary: Vocabulary,
        threads: int,
    ) -> None:
        self._references = [r for r in references if r.id in emissions]
        emissions.check_holds_any(references)
        self._log_probs = [emissions[r.id] for r in self._references]
        self._vocabulary = vocabulary
        self._threads = threads

    def trial(
        self, decoder: BeamDecoder, progress: Callable[[int, int], None] | None
    ) -> DecodingTrial:
        def one(log_probs: np.ndarray) -> tuple[int, ...]:
            return decoder.decode(log_probs)[0].symbols

        with ThreadPoolExecutor(max(1, self._threads)) as pool:
            found: list[tuple[int, ...]] = []
            for symbols in pool.map(one, self._log_probs):
                found.append(symbols)
                if progress is not None:
                    progress(len(found), len(self._log_probs))
        predictions = [
            self._prediction(reference.id, symbols)
            for reference, symbols in zip(self._references, found, strict=True)
        ]
        figures = score(self._references, predictions)
        entities = figures.entities.get("ner")
        f1 = 0.0 if entities is None else entities.micro.f1
        return DecodingTrial(decoder.options, f1, figures.error_rates.get("wer", math.inf))

    def _prediction(self, id: str, symbols: Sequence[int]) -> Prediction:
        words = from_symbols(self._vocabulary.decode(symbols))
        labels = self._vocabulary.label_set
        if labels is None:
            return Prediction(id=id, text=" ".join(words), entities=None)
        read = read_tagged(words, labels)
        entities = tuple(replace(entity, words=None) for entity in read.entities)
        return Prediction(id=id, text=" ".join(read.words), entities=entities)
