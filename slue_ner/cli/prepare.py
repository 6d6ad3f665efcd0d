"""``slue-ner prepare``: data sets to manifests."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slue_ner.core.cores import num_cores
from slue_ner.core.suggest import nearest
from slue_ner.core.time import said_length
from slue_ner.core.types import Progress

if TYPE_CHECKING:
    from slue_ner.data.corpora.dataset import PreparedDataset


@dataclass(frozen=True, slots=True)
class DataSet:
    """A kind of data that can be made into manifests.

    Attributes:
        summary: a line of help.
        example: arguments that it takes.
        add_options: adds its arguments, ``out`` among them, to its own parser.
        prepare: makes manifests of what the arguments say; called with utterances done and in all.
    """

    summary: str
    example: str
    add_options: Callable[[argparse.ArgumentParser], None]
    prepare: Callable[[argparse.Namespace, Progress], PreparedDataset]


def run(arguments: list[str]) -> int:
    """Prepare one data set and print what it holds."""
    parser = command_parser()
    if arguments and not arguments[0].startswith("-") and arguments[0] not in DATA_SETS:
        known = nearest(arguments[0], DATA_SETS)
        raise ValueError(f"unknown kind of data {arguments[0]!r}; {known}")
    options = parser.parse_args(arguments)
    from slue_ner.cli.console import progress_on, stdout

    console = stdout()
    with progress_on(console, "preparing") as progress:
        prepared = options.prepare(options, progress)
    for warning in prepared.warnings:
        console.print(f"note: {warning}", highlight=False, markup=False)
    for name, counts in prepared.splits.items():
        speakers = "" if counts.num_speakers is None else f", {counts.num_speakers} speakers"
        console.print(
            f"{name}: {counts.num_utterances} utterances, {said_length(counts.seconds)}{speakers}, "
            f"{sum(counts.num_entities.values())} entities",
            highlight=False,
        )
    console.print(f"manifests in {prepared.folder}", highlight=False, markup=False)
    return 0


def _slue_voxpopuli(options: argparse.Namespace, progress: Progress) -> PreparedDataset:
    source = Path(options.source)
    shared = {
        "tune_share": options.tune_share,
        "seed": options.seed,
        "marks": options.marks,
        "listen": not options.headers_only,
        "progress": progress,
    }
    if source.is_dir() and not _has_parquet(source):
        from slue_ner.data.corpora.slue import prepare_slue_voxpopuli

        if options.revision is not None:
            raise ValueError(f"--revision is for a hub id; {source} is a folder, so leave it out")
        return prepare_slue_voxpopuli(
            source,
            options.out,
            skip_missing_audio=options.skip_missing_audio,
            **shared,
        )
    from slue_ner.data.corpora.slue_hub import prepare_slue_hub

    if options.skip_missing_audio:
        raise ValueError("parquet files hold their audio; leave --skip-missing-audio out")
    return prepare_slue_hub(options.source, options.out, revision=options.revision, **shared)


def _has_parquet(folder: Path) -> bool:
    return any(folder.glob("*.parquet")) or any(folder.glob("voxpopuli/*.parquet"))


def _slue_nel(options: argparse.Namespace, progress: Progress) -> PreparedDataset:
    from slue_ner.data.corpora.slue_nel import prepare_slue_nel

    return prepare_slue_nel(
        options.source,
        options.out,
        ner=options.ner,
        match=options.match,
        revision=options.revision,
        listen=not options.headers_only,
        progress=progress,
    )


def _word_times(options: argparse.Namespace, progress: Progress) -> PreparedDataset:
    from slue_ner.data.corpora.add_times import prepare_word_times

    return prepare_word_times(options.manifest, options.out, source=options.times)


def _jsonl(options: argparse.Namespace, progress: Progress) -> PreparedDataset:
    from slue_ner.core.own_labels import know_labels_beside, read_label_set
    from slue_ner.data.corpora.jsonl import prepare_jsonl

    if options.labels is None:
        know_labels_beside(Path(options.source))
    else:
        read_label_set(options.labels)
    return prepare_jsonl(
        Path(options.source),
        options.out,
        text_is_normalized=options.text_is_normalized,
        lower_case=options.lower_case,
        listen=not options.headers_only,
        tune_share=options.tune_share,
        seed=options.seed,
        marks=options.marks,
        progress=progress,
    )


def _text(options: argparse.Namespace, progress: Progress) -> PreparedDataset:
    from slue_ner.data.corpora.labelled_text import prepare_text

    return prepare_text(
        options.files,
        options.out,
        leave_out=options.leave_out,
        tune_share=options.tune_share,
        seed=options.seed,
        marks=options.marks,
    )


def _refuse_idle(options: argparse.Namespace) -> None:
    """Refuse options of a grammar for text that is given, and of text for a grammar."""
    of_grammar = ("preset", "fine_tune", "tune", "dev", "test")
    idle, why = (
        (of_grammar, "--text says what is said")
        if options.text
        else (("tune_share", "marks"), "a grammar's splits and texts are made as asked for")
    )
    for name in idle:
        if getattr(options, name) != options.defaults(name):
            raise ValueError(f"--{name.replace('_', '-')} has no effect: {why}; leave it out")


def _synthetic(options: argparse.Namespace, progress: Progress) -> PreparedDataset:
    _refuse_idle(options)
    from slue_ner.data.synthesis.corpus import SyntheticOptions, prepare_synthetic

    made = SyntheticOptions(
        num_fine_tune=options.fine_tune,
        num_tune=options.tune,
        num_dev=options.dev,
        num_test=options.test,
        num_voices=options.voices,
        num_accents=options.accents,
        preset=options.preset,
        seed=options.seed,
        text=tuple(options.text or ()),
        tune_share=options.tune_share,
        marks=options.marks,
        num_workers=options.num_workers or num_cores(),
    )
    return prepare_synthetic(options.out, made, progress=progress)


def _slue_voxpopuli_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", help="folder with the official TSVs, folder with parquet files, or a hub id"
    )
    _common(parser)
    parser.add_argument("--revision", help="of a hub id: branch, tag or commit")
    parser.add_argument(
        "--skip-missing-audio", action="store_true", help="leave them out of fine-tune, listed"
    )
    _audio(parser)


def _slue_nel_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", help="a hub id, a folder with its parquet files, or the official zip or folder"
    )
    parser.add_argument("out", type=Path, help="folder for the manifests")
    parser.add_argument(
        "--ner", type=Path, metavar="FOLDER", help="manifests of SLUE-VoxPopuli to join by id"
    )
    parser.add_argument(
        "--match",
        choices=("official", "position"),
        default="official",
        help="an entity's words by the official string search, or by its annotated position",
    )
    parser.add_argument("--revision", help="of a hub id: branch, tag or commit")
    _audio(parser)


def _jsonl_options(parser: argparse.ArgumentParser) -> None:
    parser.description = "Your own data: fields, splits and what may be missing: docs/own_data.md"
    parser.add_argument("source", help='lines of {"id", "audio", "text", "entities": [...]}')
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="YAML",
        help="types of your own: a name and a list of labels (default: labels.yaml beside the "
        "lines, if it is there; else SLUE's)",
    )
    _common(parser)
    parser.add_argument(
        "--text-is-normalized", action="store_true", help="text is in SLUE's NER form already"
    )
    parser.add_argument("--lower-case", action="store_true", help="lower-case the text first")
    _audio(parser)


def _word_times_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", type=Path, help="a manifest, or a folder of them")
    parser.add_argument("out", type=Path, help="another folder, for the new manifests")
    parser.add_argument(
        "--from",
        dest="times",
        type=Path,
        required=True,
        metavar="FILE_OR_FOLDER",
        help='ID.TextGrid files, a .ctm, or a .jsonl of {"id", "words": [[word, start, end], ...]}',
    )


def _text_options(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "--from",
        dest="files",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="SLUE's .tsv, manifests, or lines of {id, text, entities, split, speaker}",
    )
    parser.add_argument(
        "--leave-out",
        type=Path,
        nargs="+",
        default=[],
        metavar="MANIFEST",
        help="what will be tuned and scored on: no id and no text of it stays",
    )


def _synthetic_options(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "--preset",
        default="easy",
        help="easy (small vocabulary), wide, or words (random ones, no entities) (default: easy)",
    )
    parser.add_argument(
        "--text", type=Path, nargs="+", help="speak this SLUE TSV or JSONL instead of a grammar"
    )
    for split, number in (("fine-tune", 3000), ("tune", 200), ("dev", 200), ("test", 400)):
        parser.add_argument(f"--{split}", type=int, default=number, help=f"(default: {number})")
    parser.add_argument("--voices", type=int, default=48, help="in all (default: 48)")
    parser.add_argument("--accents", type=int, default=8, help="of English (default: 8)")
    parser.add_argument("--num-workers", type=int, default=0, help="0: one a core")
    parser.set_defaults(defaults=parser.get_default)


def command_parser() -> argparse.ArgumentParser:
    """What its arguments are and what its help says."""
    parser = argparse.ArgumentParser(
        prog="slue-ner prepare",
        description="Turn a data set into manifests that train, predict and score read.",
        epilog="\n".join(["examples:", *map(_command, DATA_SETS)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(title="kinds of data", required=True, metavar="KIND")
    for name, data_set in DATA_SETS.items():
        own = kinds.add_parser(
            name,
            help=data_set.summary,
            description=data_set.summary,
            epilog=f"example:\n{_command(name)}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        own.set_defaults(prepare=data_set.prepare)
        data_set.add_options(own)
    return parser


def _command(name: str) -> str:
    return f"  slue-ner prepare {name} {DATA_SETS[name].example}"


def _common(parser: argparse.ArgumentParser) -> None:
    from slue_ner.data.corpora.mark_words import MARK_CHOICES

    parser.add_argument("out", type=Path, help="folder for the manifests")
    parser.add_argument(
        "--tune-share",
        type=float,
        default=0.1,
        help="of fine-tune, held out by speaker; 0 for none (default: 0.1)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn at random")
    parser.add_argument(
        "--marks",
        choices=MARK_CHOICES,
        default=MARK_CHOICES[0],
        help="texts with words such as & or $, which are entity marks, or with |: keep them (not "
        "trained on), take the marks out, or leave the utterances out (default: keep)",
    )


def _audio(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--headers-only", action="store_true", help="quicker: do not decode every file once"
    )


DATA_SETS: dict[str, DataSet] = {
    "slue-voxpopuli": DataSet(
        "SLUE-VoxPopuli, official or hub",
        "asapp/slue data/slue_voxpopuli",
        _slue_voxpopuli_options,
        _slue_voxpopuli,
    ),
    "slue-nel": DataSet(
        "SLUE-2 NEL: dev and test with word times",
        "asapp/slue-phase-2 data/slue_nel --ner data/slue_voxpopuli",
        _slue_nel_options,
        _slue_nel,
    ),
    "jsonl": DataSet(
        "your own data, one JSON object a line",
        "speech.jsonl data/mine",
        _jsonl_options,
        _jsonl,
    ),
    "word-times": DataSet(
        "manifests with word times made elsewhere",
        "data/mine data/mine_timed --from textgrids/",
        _word_times_options,
        _word_times,
    ),
    "text": DataSet(
        "labelled text without audio, for LMs and text NER",
        "data/slue_text --from slue-voxpopuli_fine-tune.tsv \\\n"
        "      --leave-out data/mine/tune.jsonl data/mine/dev.jsonl",
        _text_options,
        _text,
    ),
    "synthetic": DataSet(
        "a spoken corpus made on the spot",
        "data/synthetic --preset easy",
        _synthetic_options,
        _synthetic,
    ),
}
"""What can be prepared, by name."""
