"""Sentences for language models: from manifests, as recognisers write them, and from plain text."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slue_ner.core.canonical import Changes
from slue_ner.core.canonical_records import Note, warn
from slue_ner.core.labels import LabelSet, label_set
from slue_ner.core.lines import BYTE_ORDER_MARK
from slue_ner.core.packed import DAMAGED, open_unpacked
from slue_ner.core.records import read_manifest
from slue_ner.data.corpora.dataset import check_labelled
from slue_ner.data.corpora.marks import listed_words
from slue_ner.decoding.ngram_counts import check_words, split
from slue_ner.text.marks import lost_words, survives
from slue_ner.text.markup import target_words, to_symbols

STDIN = "-"
MANIFEST_SUFFIX = ".jsonl"


@dataclass(frozen=True, kw_only=True)
class SentenceOptions:
    """What a sentence is made of; must be as in the task of the recogniser.

    Attributes:
        unit: ``words``, or ``characters`` with ``|`` after every word, the symbols of CTC.
        target: whether entities of manifests are written into the text; plain text is taken as
            it stands.
        labels: set of the entity marks, ``combined`` or ``raw``; unused when plain.
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
            sentences = _of_manifest(Path(source), options.label_set, training=training, note=note)
        else:
            sentences = _of_text(source, note)
        for where, words in sentences:
            check_words(words, f"{where}:")
            yield to_symbols(words) if options.unit == "characters" else words


def _of_manifest(
    path: Path, labels: LabelSet | None, *, training: bool, note: Note
) -> Iterator[tuple[str, list[str]]]:
    utterances = read_manifest(path, note=note)
    of_test = next((utterance for utterance in utterances if utterance.split == "test"), None)
    if training and of_test is not None:
        raise ValueError(
            f"{path}: utterance {of_test.id} is of the split test, which no language model may be "
            "trained on; train on 'fine-tune'"
        )
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
