"""N-gram language models from manifests and plain text, and how well they predict others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from slue_ner.core.labels import END_SYMBOL
from slue_ner.decoding.ngram import UNKNOWN_ID, NgramModel
from slue_ner.decoding.ngram_file import BINARY_SUFFIX, read_model, write_model
from slue_ner.decoding.ngram_labels import label_set_of
from slue_ner.decoding.ngram_training import train
from slue_ner.pipelines.sentences import MANIFEST_SUFFIX, SentenceOptions, read_sentences
from slue_ner.text.markup import DELIMITER

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
