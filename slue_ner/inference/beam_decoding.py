"""How CTC emissions are searched: a small YAML file beside language models, and its weights tuned.

::

    lm: tagged.ngram        # files are named relative to this one
    character_lm: null
    lexicon: null           # one word a line; default: the words of lm
    hot_words: null         # one phrase a line, perhaps a tab and how often its boost counts
    lm_weight: 0.9          # the rest as in BeamOptions
    beam_size: 100
    tuned_on: 160 utterances of tune.jsonl

Tuning reads stored emissions and needs no model. One weight after the other goes up or down in
steps as long as that is better, until no step is; then the same in half steps, which is as fine as
a few hundred utterances can tell. Then the smallest beam that is as good as the widest.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from slue_ner.core.canonical import Changes
from slue_ner.core.canonical_records import Note, warn
from slue_ner.core.files import write_text
from slue_ner.core.labels import LabelSet
from slue_ner.core.lines import check_file, numbered_lines
from slue_ner.core.run_files import read_config
from slue_ner.core.suggest import nearest
from slue_ner.core.typed_config import from_mapping
from slue_ner.core.types import Prediction, Utterance
from slue_ner.decoding.beam.scoring_rules import BeamOptions, Scorer
from slue_ner.decoding.beam.search import BeamDecoder
from slue_ner.decoding.emissions import StoredEmissions
from slue_ner.decoding.lm.ngram_file import read_model
from slue_ner.decoding.lm.ngram_labels import say_labels
from slue_ner.evaluation.score import score
from slue_ner.inference.localizing import check_tuning_split
from slue_ner.text.markup import from_symbols, read_tagged
from slue_ner.text.vocabulary import Vocabulary

_COLUMNS = re.compile(r"[ \t]+")
_REMARKS = ("tuned_on", "tuned_by", "f1", "wer")
_RENAMED = {"beam": "beam_size", "symbols": "num_symbols"}
"""Keys as earlier versions wrote them, and as they are called now."""


@dataclass(frozen=True, slots=True)
class CTCDecoding:
    """A beam search and the files it needs.

    Attributes:
        lm: language model over words, ARPA or ``.ngram``.
        character_lm: language model over symbols.
        lexicon: words that may be written, one a line; default: those of ``lm``.
        hot_words: phrases to favour, one a line.
        options: the search.
    """

    lm: Path | None = None
    character_lm: Path | None = None
    lexicon: Path | None = None
    hot_words: Path | None = None
    options: BeamOptions = field(default_factory=BeamOptions)

    def decoder(
        self,
        symbols: Sequence[str],
        labels: LabelSet | None,
        *,
        note: Callable[[str], None] | None = None,
    ) -> BeamDecoder:
        """Read the files and make them ready.

        Args:
            symbols: of the recogniser, the blank first.
            labels: the label set of its marks; ``None`` for plain ASR.
            note: called with a sentence about whatever of the files cannot be used.

        Raises:
            ValueError: naming the file that is missing, damaged, does not fit the symbols or
                would have no effect.
        """
        closed = self.options.unknown_score is None
        if closed and self.lm and self.character_lm and not (self.lexicon or self.hot_words):
            raise ValueError(
                f"{self.character_lm}: beside a word model it scores the spelling of unknown "
                "words, which unknown_score: null forbids; set unknown_score in the decoding file "
                "(-2.0, say) or leave one of the models out"
            )
        say = warn if note is None else note
        words = None if self.lm is None else read_model(self.lm, note=say)
        characters = None
        if self.character_lm is not None:
            characters = read_model(self.character_lm, note=say)
        lexicon = None if self.lexicon is None else _read_lexicon(self.lexicon, say)
        hot_words = None if self.hot_words is None else read_hot_words(self.hot_words, note=say)
        try:
            scorer = Scorer(
                symbols,
                self.options,
                labels=labels,
                words=words,
                characters=characters,
                lexicon=lexicon,
                hot_words=hot_words,
            )
        except ValueError as error:
            files = (self.lm, self.character_lm, self.lexicon, self.hot_words)
            named = ", ".join(str(path) for path in files if path is not None)
            raise ValueError(f"{named or 'decoding'}: {error}") from error
        if note is not None:
            for sentence in _notes(scorer, labels):
                note(sentence)
        return BeamDecoder(scorer)


def note_truncated(decoder: BeamDecoder | None, note: Callable[[str], None] | None) -> None:
    """Call ``note`` if hypotheses of ``decode_all`` lost their ends, see ``Hypothesis.whole``."""
    if decoder is not None and decoder.num_truncated and note is not None:
        note(
            f"{decoder.num_truncated} utterances were cut behind their last whole word or entity, "
            f"for no hypothesis in the beam of {decoder.options.beam_size} could end; a wider one "
            "may help"
        )


def _notes(scorer: Scorer, labels: LabelSet | None) -> Iterable[str]:
    if unspelled := scorer.unspelled:
        yield (
            f"{len(unspelled)} words of the lexicon (without one: of the language model) have "
            f"characters that the model cannot write and are left out, first: {unspelled[0]!r}"
        )
    if scorer.unseen_marks and scorer.options.unknown_score is None:
        yield (
            f"the text of the language model has no entity with the marks "
            f"{' '.join(scorer.unseen_marks)}, so none of these types will be written; more text "
            "helps, or a model of the same labels if it was of others"
        )
    if scorer.labels_untold and labels is not None:
        yield (
            "the language model does not say of which label set its entity marks are, and they fit "
            f"both; they are taken as {labels.name} ones; a model of `slue-ner lm train` says it, "
            f"and so does {say_labels(labels)}"
        )


_FILES = tuple(f.name for f in fields(CTCDecoding) if f.name != "options")


def read_ctc_decoding(path: Path) -> CTCDecoding:
    """Read what ``write_ctc_decoding`` wrote, or what was written by hand.

    Raises:
        ValueError: naming the file and what is wrong in it.
    """
    check_file(path, hint="`slue-ner tune decoding` writes one")
    values = {
        _RENAMED.get(key, key): value
        for key, value in read_config(path).items()
        if key not in _REMARKS
    }
    known = [f.name for f in fields(BeamOptions)]
    for key in values:
        if key not in (*known, *_FILES):
            raise ValueError(f"{path}: {key} is unknown; {nearest(str(key), [*known, *_FILES])}")
    files: dict[str, Path] = {}
    for name in _FILES:
        value = values.get(name)
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{path}: {name} should be the name of a file, got {value!r}")
        if value is not None:
            files[name] = path.parent / value
    search = {key: value for key, value in values.items() if key not in _FILES}
    try:
        return CTCDecoding(**files, options=from_mapping(BeamOptions, search))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def write_ctc_decoding(path: Path, decoding: CTCDecoding, remarks: Mapping[str, Any]) -> None:
    """Write a decoding as YAML, with remarks on where it comes from; files relative to it."""
    assert set(remarks) <= set(_REMARKS)
    named: dict[str, str | None] = {}
    for name in _FILES:
        file = getattr(decoding, name)
        named[name] = None if file is None else os.path.relpath(file, path.parent)
    values = {**named, **asdict(decoding.options), **remarks}
    write_text(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def read_hot_words(path: Path, *, note: Note = warn) -> dict[str, float]:
    """Phrases of a file and how often the boost counts for each: ``phrase`` or ``phrase<TAB>2``.

    Phrases are brought to canonical form, as transcripts are.

    Raises:
        ValueError: as ``file:line: what``.
    """
    phrases: dict[str, float] = {}
    changes = Changes()
    for number, line in numbered_lines(path):
        field, _, times = line.partition("\t")
        phrase = changes.of(f"line {number}", field.strip()).text
        if not phrase:
            continue
        try:
            value = float(times) if times.strip() else 1.0
        except ValueError:
            value = -1.0
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(
                f"{path}:{number}: {times!r} behind the tab should be a number of at least 0"
            )
        phrases[phrase] = value
    if not phrases:
        raise ValueError(f"{path}: no phrases; write one a line, as in the transcripts")
    changes.tell(str(path), note)
    return phrases


def _read_lexicon(path: Path, note: Note) -> list[str]:
    """The first column of a file: a plain list of words, or a wav2letter lexicon."""
    words: list[str] = []
    changes = Changes()
    for number, line in numbered_lines(path):
        columns = _COLUMNS.split(line.strip(" \t"))
        words += changes.of(f"line {number}", columns[0]).text.split()
    if not words:
        raise ValueError(f"{path}: the lexicon is empty; write one word a line")
    changes.tell(str(path), note)
    return list(dict.fromkeys(words))


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
    beams = [trial(replace(best.options, beam_size=beam)) for beam in BEAMS]
    widest = _best([best, *beams], by)
    good = [t for t in [best, *beams] if _is_as_good(t, widest, by)]
    chosen = min(good, key=lambda t: t.options.beam_size)
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
