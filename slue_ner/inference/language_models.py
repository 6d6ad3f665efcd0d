"""N-gram language models from manifests and plain text, and how well they predict others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from slue_ner.core.canonical import Changes
from slue_ner.core.canonical_records import Note, warn
from slue_ner.core.labels import END_SYMBOL, LabelSet, label_set
from slue_ner.core.lines import BYTE_ORDER_MARK, DAMAGED, open_unpacked
from slue_ner.core.records import read_manifest
from slue_ner.data.corpora.dataset import check_labelled, check_transcribed
from slue_ner.data.corpora.mark_words import listed_words
from slue_ner.decoding.lm.ngram import UNKNOWN_ID, NgramModel
from slue_ner.decoding.lm.ngram_counts import check_words, split
from slue_ner.decoding.lm.ngram_file import BINARY_SUFFIX, read_model, write_model
from slue_ner.decoding.lm.ngram_labels import label_set_of
from slue_ner.decoding.lm.ngram_training import train
from slue_ner.text.marks import lost_words, survives
from slue_ner.text.markup import DELIMITER, target_words, to_symbols

SUFFIXES = (".arpa", ".arpa.gz", BINARY_SUFFIX)

_TELL_EVERY = 1_000_000


@dataclass(frozen=True)
class TrainedModel:
    """A model and what it was made of.

    Attributes:
        model: the model.
        notes: what had to be guessed.
        num_sentences: of the text.
        num_words: of the text, or symbols where the unit is characters; without sentence ends.
    """

    model: NgramModel
    notes: tuple[str, ...]
    num_sentences: int
    num_words: int


@dataclass(frozen=True, kw_only=True)
class TextScore:
    """How well a model predicts a text, counted as KenLM's ``query`` does.

    Attributes:
        num_sentences: of the text.
        num_words: of the text, or symbols where the unit is characters; without sentence ends.
        num_unknown: words that the model does not know.
        log_prob: of all words and sentence ends, base 10.
        log_prob_unknown: the part of it that unknown words have.
    """

    num_sentences: int
    num_words: int
    num_unknown: int
    log_prob: float
    log_prob_unknown: float

    @property
    def perplexity(self) -> float:
        """Of words and sentence ends."""
        return _perplexity(self.log_prob, self.num_words + self.num_sentences)

    @property
    def perplexity_of_known(self) -> float:
        """Of known words and sentence ends."""
        num_known = self.num_words - self.num_unknown
        return _perplexity(self.log_prob - self.log_prob_unknown, num_known + self.num_sentences)

    def to_json(self) -> dict[str, Any]:
        """Counts and perplexities."""
        return {
            **asdict(self),
            "perplexity": self.perplexity,
            "perplexity_of_known": self.perplexity_of_known,
        }


def train_language_model(
    sources: Sequence[str],
    output: Path,
    *,
    order: int,
    options: SentenceOptions,
    cut_offs: Sequence[int] = (),
    tell: Callable[[int], None] | None = None,
) -> TrainedModel:
    """Train a model and write it.

    Args:
        sources: see ``read_sentences``; manifests of the split test are refused.
        output: ends in ``.arpa``, ``.arpa.gz`` or ``.ngram``.
        order: length of the longest n-grams.
        options: how manifests become sentences.
        cut_offs: see ``train``.
        tell: called with the number of words read, after every million.

    Raises:
        ValueError: for options out of range and for sources that cannot be trained on.
    """
    check_output(output)
    counts = _Counts(tell)
    sentences = counts.over(read_sentences(sources, options, training=True))
    model, notes = train(sentences, order=order, cut_offs=cut_offs)
    if options.target == "tagged" and END_SYMBOL in model.ids:
        # of plain text nobody says in whose marks it is
        has_manifest = any(source.endswith(MANIFEST_SUFFIX) for source in sources)
        model = replace(model, labels=options.labels if has_manifest else None)
    write_model(model, output)
    return TrainedModel(model, tuple(notes), counts.num_sentences, counts.num_words)


def score_text(
    path: Path,
    sources: Sequence[str],
    *,
    options: SentenceOptions,
    note: Callable[[str], None] | None = None,
) -> TextScore:
    """Score a text.

    Args:
        path: of a model.
        sources: see ``read_sentences``.
        options: how manifests become sentences; unit, target and labels as in training.
        note: called with a sentence about whatever of the model is not used.

    Raises:
        ValueError: for a model of another unit or of other labels than the manifests get, one
            that knows no word of the text, and for a text without sentences.
    """
    model = read_model(path, note=note)
    _check_unit(path, model, options)
    labels = label_set_of(model)
    marked = options.label_set if any(s.endswith(MANIFEST_SUFFIX) for s in sources) else None
    if labels is not None and marked is not None and labels is not marked:
        raise ValueError(
            f"{path} has entity marks of {labels.name} labels; score with --labels {labels.name}"
        )
    num_sentences = num_words = num_unknown = 0
    log_prob = log_prob_unknown = 0.0
    for sentence in read_sentences(sources, options):
        scores = model.score(sentence)
        unknown = model.encode(sentence) == UNKNOWN_ID
        num_sentences += 1
        num_words += len(sentence)
        num_unknown += int(unknown.sum())
        log_prob += float(scores.sum())
        log_prob_unknown += float(scores[:-1][unknown].sum())
    if not num_sentences:
        raise ValueError(f"{', '.join(sources)}: no sentences to score")
    if num_words and num_unknown == num_words:
        raise ValueError(
            f"{path} knows none of the {num_words} words of {', '.join(sources)}; unit, target "
            "and case should be as in the text it was trained on"
        )
    return TextScore(
        num_sentences=num_sentences,
        num_words=num_words,
        num_unknown=num_unknown,
        log_prob=log_prob,
        log_prob_unknown=log_prob_unknown,
    )


def check_output(path: Path) -> None:
    """Raise ``ValueError`` for a name that says no format of language models."""
    if not path.name.endswith(SUFFIXES):
        raise ValueError(f"{path}: a language model should end in {', '.join(SUFFIXES)}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name the file to write")


class _Counts:
    """Sentences and words that went by."""

    def __init__(self, tell: Callable[[int], None] | None) -> None:
        self.num_sentences = self.num_words = 0
        self._tell, self._next = tell, _TELL_EVERY

    def over(self, sentences: Iterator[list[str]]) -> Iterator[list[str]]:
        for sentence in sentences:
            self.num_sentences += 1
            self.num_words += len(sentence)
            if self._tell is not None and self.num_words >= self._next:
                self._tell(self.num_words)
                self._next += _TELL_EVERY
            yield sentence


def _check_unit(path: Path, model: NgramModel, options: SentenceOptions) -> None:
    if options.unit == "characters" and DELIMITER not in model.ids:
        raise ValueError(
            f"{path} does not know {DELIMITER!r}, which ends a word in a model of characters; "
            "score with --unit words"
        )
    if options.unit == "words" and model.of_characters:
        raise ValueError(f"{path} is a model of characters; score with --unit characters")


def _perplexity(log_prob: float, num_words: int) -> float:
    exponent = -log_prob / num_words
    return 10**exponent if exponent < 308 else float("inf")


STDIN = "-"
MANIFEST_SUFFIX = ".jsonl"


@dataclass(frozen=True, kw_only=True)
class SentenceOptions:
    """What a sentence is made of; must be as in the task of the recogniser.

    Attributes:
        unit: ``words``, or ``characters`` with ``|`` after every word, the symbols of CTC.
        target: whether entities of manifests are written into the text; plain text is taken as
            it stands.
        labels: set of the entity marks, ``combined``, ``raw`` or one's own; unused when plain.
    """

    unit: Literal["words", "characters"] = "words"
    target: Literal["tagged", "plain"] = "tagged"
    labels: str = "combined"

    @property
    def label_set(self) -> LabelSet | None:
        """Of the entity marks, if there are any."""
        return label_set(self.labels) if self.target == "tagged" else None


def read_sentences(
    sources: Sequence[str],
    options: SentenceOptions,
    *,
    training: bool = False,
    note: Note = warn,
) -> Iterator[list[str]]:
    """The sentences of one source after the other.

    Args:
        sources: manifests, which end in ``.jsonl``; any other file is plain text, one sentence a
            line, packed (gzip, bzip2, xz) or not; ``-`` is plain text from standard input. Empty
            lines are sentences without words, as in KenLM.
        options: how they are written.
        training: whether to refuse manifests of the split test.
        note: told what was changed, as texts are brought to canonical form, and which utterances
            are left out, as their words cannot be told from entity marks.

    Raises:
        ValueError: as ``file:line: what``, or ``file: what``.
    """
    for source in sources:
        if source.endswith((".jsonl.gz", ".json")):
            raise ValueError(f"{source}: manifests end in .jsonl and are not packed")
        if source.endswith(MANIFEST_SUFFIX):
            sentences = _of_manifest(Path(source), options, training=training, note=note)
        else:
            sentences = _of_text(source, note)
        for where, words in sentences:
            check_words(words, f"{where}:")
            yield to_symbols(words) if options.unit == "characters" else words


def _of_manifest(
    path: Path, options: SentenceOptions, *, training: bool, note: Note
) -> Iterator[tuple[str, list[str]]]:
    utterances = read_manifest(path, note=note)
    labels = options.label_set  # one's own is known once the manifest is read
    of_test = next((utterance for utterance in utterances if utterance.split == "test"), None)
    if training and of_test is not None:
        raise ValueError(
            f"{path}: utterance {of_test.id} is of the split test, which no language model may be "
            "trained on; train on 'fine-tune'"
        )
    check_transcribed(utterances)
    if labels is not None:
        check_labelled(utterances)
    lost = {u.id: lost_words(u.text) for u in utterances if not survives(u, labels)}
    if lost:
        note(
            f"{path}: {len(lost)} of {len(utterances)} utterances are left out, since they hold "
            "words that are entity marks or '|', which a recogniser cannot write; `slue-ner "
            "prepare ... --marks remove` takes these words out: "
            f"{listed_words(lost)}"
        )
    for utterance in utterances:
        if utterance.id not in lost:
            yield f"{path}: utterance {utterance.id}", target_words(utterance, labels)


def _of_text(source: str, note: Note) -> Iterator[tuple[str, list[str]]]:
    name = "standard input" if source == STDIN else source
    number = num_returns = 0
    changes = Changes()
    with _opened(source) as lines:
        try:
            for number, line in enumerate(lines, start=1):
                num_returns += b"\r" in line.rstrip(b"\r\n")
                words = " ".join(split(line.decode("utf-8").lstrip(BYTE_ORDER_MARK)))
                yield f"{name}:{number}", changes.of(f"line {number}", words).text.split()
        except UnicodeDecodeError as error:
            raise ValueError(f"{name}:{number}: not UTF-8 text ({error.reason})") from error
        except DAMAGED as error:
            raise ValueError(f"{name}: not a packed file, or cut off ({error})") from error
    changes.tell(name, note)
    if num_returns:
        note(
            f"{name}: carriage returns inside {num_returns} of {number} lines are read as spaces, "
            "as KenLM does; if they end sentences, write line feeds"
        )


def _opened(source: str) -> AbstractContextManager[Iterable[bytes]]:
    if source == STDIN:
        return nullcontext(sys.stdin.buffer)
    opened: AbstractContextManager[Iterable[bytes]] = open_unpacked(Path(source))
    return opened
