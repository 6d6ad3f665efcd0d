"""How CTC emissions are read: a small YAML file beside language models, and what it says.

::

    lm: tagged.ngram        # files are named relative to this one
    character_lm: null
    lexicon: null           # one word a line; default: the words of lm
    hot_words: null         # one phrase a line, perhaps a tab and how often its boost counts
    lm_weight: 0.9          # the rest as in BeamOptions
    beam: 100
    tuned_on: 160 utterances of tune.jsonl
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from slue_ner.core.canonical import Changes
from slue_ner.core.canonical_records import Note, warn
from slue_ner.core.config import from_mapping
from slue_ner.core.files import write_text
from slue_ner.core.labels import LabelSet
from slue_ner.core.lines import numbered_lines
from slue_ner.core.suggest import nearest
from slue_ner.decoding.beam import BeamDecoder, BeamOptions
from slue_ner.decoding.ngram_file import read_model
from slue_ner.decoding.ngram_labels import say_labels
from slue_ner.decoding.scoring_rules import Scorer
from slue_ner.pipelines.run_files import read_config

_COLUMNS = re.compile(r"[ \t]+")
_REMARKS = ("tuned_on", "tuned_by", "f1", "wer")


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


def say_cut(decoder: BeamDecoder | None, note: Callable[[str], None] | None) -> None:
    """Call ``note`` if hypotheses of ``decode_all`` lost their ends, see ``Hypothesis.whole``."""
    if decoder is not None and decoder.num_cut and note is not None:
        note(
            f"{decoder.num_cut} utterances were cut behind their last whole word or entity, for "
            f"no hypothesis in the beam of {decoder.options.beam} could end; a wider one may help"
        )


def _notes(scorer: Scorer, labels: LabelSet | None) -> Iterable[str]:
    if unspelled := scorer.unspelled:
        yield (
            f"{len(unspelled)} words of the lexicon (without one: of the language model) have "
            f"characters that the model cannot write and are left out, first: {unspelled[0]!r}"
        )
    if scorer.unseen_marks and scorer.options.unknown_score is None:
        yield (
            f"the language model never saw the entity marks {' '.join(scorer.unseen_marks)}, so "
            "entities of these types will not be written; were its labels those of the vocabulary?"
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
    if not path.is_file():
        raise ValueError(f"{path}: no such file; `slue-ner tune decoding` writes one")
    values = {key: value for key, value in read_config(path).items() if key not in _REMARKS}
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
