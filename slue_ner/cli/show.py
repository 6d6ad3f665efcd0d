"""``slue-ner show``: what was said and what was predicted, one above the other, worst first."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from slue_ner.data.corpora.dataset import UNTRANSCRIBED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from slue_ner.core.types import EntitySpan, Prediction, Utterance

_EXAMPLE = """examples:
  slue-ner show runs/quickstart
  slue-ner show runs/quickstart --split test --label PLACE --limit 5
  slue-ner show runs/cascade.jsonl --references data/mine/dev.jsonl --id dev_0413
"""

_PICTURE_WIDTH = 130

_Key = tuple[str, str]
"""Combined label and phrase of an entity, which is what NER F1 compares."""


@dataclass(frozen=True, slots=True)
class Compared:
    """An utterance, its prediction and where they differ.

    Attributes:
        missed, spurious: entities of one side alone.
        word_edits: edits between the words.
    """

    reference: Utterance
    prediction: Prediction
    missed: tuple[_Key, ...]
    spurious: tuple[_Key, ...]
    word_edits: int

    @property
    def is_known(self) -> bool:
        """Whether somebody wrote down what was said."""
        return self.reference.split != UNTRANSCRIBED

    @property
    def is_wrong(self) -> bool:
        """Whether an entity is, or all failed."""
        return bool(self.missed or self.spurious or self.prediction.error)

    @property
    def badness(self) -> tuple[int, int]:
        """Wrong entities, then wrong words."""
        return len(self.missed) + len(self.spurious), self.word_edits


def run(arguments: list[str]) -> int:
    """Show what differs, worst first."""
    options = command_parser().parse_args(arguments)
    if options.limit < 1:
        raise ValueError(f"--limit should be at least 1, got {options.limit}")
    from slue_ner.cli.console import picture_console, stdout, svg
    from slue_ner.cli.highlight import heard, said
    from slue_ner.core.files import check_writable, write_text
    from slue_ner.core.records import read_manifest, read_predictions
    from slue_ner.evaluation.joining import join

    manifest, path = _files(options)
    joined = join(read_manifest(manifest), read_predictions(path), missing_as_empty=True)
    everything = [compared(*pair) for pair in joined.pairs]
    chosen = _chosen(everything, options)
    console = stdout() if options.svg is None else picture_console(_PICTURE_WIDTH)
    for one in chosen[: options.limit]:
        console.print(f"{one.reference.id}  {_told(one)}", highlight=False, markup=False)
        if one.is_known:
            console.print("  said  ", said(one.reference))
        console.print("  heard ", heard(clean(one.prediction)))
    num_wrong = sum(one.is_wrong for one in everything)
    more = len(chosen) - min(len(chosen), options.limit)
    console.print(
        f"{len(everything)} utterances of {manifest}, {num_wrong} with a wrong entity; "
        f"{min(len(chosen), options.limit)} shown"
        + (f", --limit {len(chosen)} shows {more} more" if more else ""),
        highlight=False,
        markup=False,
    )
    if options.svg is not None:
        check_writable(options.svg, inputs=(manifest, path))
        write_text(options.svg, svg(console, f"slue-ner show {options.source}"))
        print(f"{min(len(chosen), options.limit)} utterances -> {options.svg}")
    return 0


def compared(reference: Utterance, prediction: Prediction) -> Compared:
    """What NER F1 and WER count as wrong in one utterance."""
    from slue_ner.evaluation.wer import word_edits

    gold, found = _keys(reference.entities), _keys(prediction.entities or ())
    if reference.split == UNTRANSCRIBED:
        return Compared(reference, prediction, missed=(), spurious=(), word_edits=0)
    return Compared(
        reference,
        prediction,
        missed=tuple((gold - found).elements()),
        spurious=tuple((found - gold).elements()),
        word_edits=word_edits(prediction.text, reference=reference.text).edits,
    )


def clean(prediction: Prediction) -> Prediction:
    """The prediction without entity marks that are left among its letters.

    Greedy decoding writes some where no entity could be read (``rossi ]thank``): they stay in the
    file and are scored, but nobody wants to read them. Words that were nothing else keep one, so
    that entities stay where they are.
    """
    from slue_ner.core.labels import LABEL_SETS

    marks = "".join({mark for labels in LABEL_SETS.values() for mark in labels.marks})
    table = str.maketrans("", "", marks)
    words = [word.translate(table) or word for word in prediction.text.split()]
    return replace(prediction, text=" ".join(words))


def _keys(entities: Iterable[EntitySpan]) -> Counter[_Key]:
    from slue_ner.core.labels import label_set_for

    keys: Counter[_Key] = Counter()
    for entity in entities:
        label = None
        if entity.label is not None:
            label = label_set_for([entity.label]).convert(entity.label)
        if label is not None:
            keys[label, entity.phrase or ""] += 1
    return keys


def _told(one: Compared) -> str:
    if one.prediction.error is not None:
        return f"not predicted: {one.prediction.error}"
    if not one.is_known:
        return f"{len(one.prediction.entities or ())} entities, not transcribed"
    parts = [f"missed {label} {phrase!r}" for label, phrase in one.missed]
    parts += [f"spurious {label} {phrase!r}" for label, phrase in one.spurious]
    if one.word_edits:
        parts.append(f"{one.word_edits} wrong words")
    return ", ".join(parts) or "right"


def _chosen(everything: Sequence[Compared], options: argparse.Namespace) -> list[Compared]:
    """Those that were asked for, worst first."""
    chosen = list(everything)
    if options.id:
        known = {one.reference.id for one in everything}
        unknown = [id for id in options.id if id not in known]
        if unknown:
            from slue_ner.core.suggest import nearest

            raise ValueError(f"--id {unknown[0]} is not there; {nearest(unknown[0], known)}")
        chosen = [one for one in chosen if one.reference.id in options.id]
    if options.label:
        _check_label(options.label)
        chosen = [one for one in chosen if options.label in _labels_of(one, options.errors)]
    if options.errors:
        chosen = [one for one in chosen if one.is_wrong]
    return sorted(chosen, key=lambda one: one.badness, reverse=True)


def _check_label(label: str) -> None:
    from slue_ner.core.labels import LABEL_SETS
    from slue_ner.core.suggest import nearest

    known = {name for known in LABEL_SETS.values() if known.name != "raw" for name in known.labels}
    if label not in known:
        raise ValueError(f"--label {label} is shown nowhere; {nearest(label, known)}")


def _labels_of(one: Compared, only_wrong: bool) -> set[str]:
    if only_wrong:
        return {label for label, _ in (*one.missed, *one.spurious)}
    found = (*one.reference.entities, *(one.prediction.entities or ()))
    return {label for label, _ in _keys(found)}


def _files(options: argparse.Namespace) -> tuple[Path, Path]:
    """The manifest and the predictions."""
    from slue_ner.core.run_files import CONFIG_FILE, PREDICTIONS, but_holds_runs, read_config

    source: Path = options.source
    if not (source / CONFIG_FILE).is_file():
        if source.is_dir():
            raise ValueError(
                f"{source} is not a run folder: it has no {CONFIG_FILE}{but_holds_runs(source)}"
            )
        if not source.is_file():
            raise ValueError(f"{source}: no such run folder or predictions file")
        if options.references is None:
            raise ValueError(f"{source} is a predictions file; give its manifest by --references")
        if options.split is not None:
            raise ValueError("--split is for a run folder; leave it out")
        return options.references, source
    data = read_config(source / CONFIG_FILE).get("data")
    data = data if isinstance(data, dict) else {}
    there = sorted(path.stem for path in (source / PREDICTIONS).glob("*.jsonl"))
    split = options.split or next(iter(there), None)
    if split not in there:
        found = ", ".join(there) or "none; is the run finished?"
        raise ValueError(
            f"{source} has no predictions{f' of {split}' if split else ''} (splits found: {found})"
        )
    manifest = options.references or Path(str(data.get("root"))) / f"{split}.jsonl"
    if not manifest.is_file():
        raise ValueError(f"{manifest} is not there; give the manifest by --references")
    return manifest, source / PREDICTIONS / f"{split}.jsonl"


def command_parser() -> argparse.ArgumentParser:
    """What its arguments are and what its help says."""
    parser = argparse.ArgumentParser(
        prog="slue-ner show",
        description="What was said and what was predicted, with entities in colour (in brackets "
        "where there is no colour), worst first: wrong entities count before wrong words.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help="run folder or predictions file")
    parser.add_argument("--references", type=Path, metavar="MANIFEST", help="default: of the run")
    parser.add_argument("--split", help="of a run (default: the first that it predicted)")
    parser.add_argument("--errors", action="store_true", help="only utterances with a wrong entity")
    parser.add_argument("--label", help="only with such an entity (with a wrong one)")
    parser.add_argument("--id", nargs="+", help="only these utterances")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="as a picture, not on the screen")
    parser.add_argument("--limit", type=int, default=10, help="at most so many (default: 10)")
    return parser
