"""``slue-ner tune``: choices that need no model, searched on a tuning split."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from slue_ner.cli.shared_options import (
    add_decoding_options,
    add_threads_option,
    chosen_decoding,
    use_threads,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slue_ner.core.types import Utterance
    from slue_ner.decoding.emissions import StoredEmissions
    from slue_ner.inference.beam_decoding import DecodingTrial
    from slue_ner.inference.localizing import Trial

_LOCALIZER_EXAMPLE = """example:
  slue-ner predict runs/mine --manifest data/mine/tune.jsonl --output runs/mine/tune.jsonl
  slue-ner tune localizer --references data/mine/tune.jsonl --predictions runs/mine/tune.jsonl \\
      --output runs/mine/localizer.yaml
  slue-ner localize runs/mine/dev.jsonl --with runs/mine/localizer.yaml \\
      --output runs/mine/dev_localized.jsonl

where only dev has word times, each half of its speakers with the rule of the other half:
  slue-ner tune localizer --references data/mine/dev.jsonl --predictions runs/mine/dev.jsonl \\
      --halves runs/mine/dev_localized.jsonl
"""

_FRAMES_EXAMPLE = """example:
  slue-ner predict runs/frames --manifest data/mine/tune.jsonl --output runs/frames/tune.jsonl \\
      --emissions runs/frames/tune
  slue-ner tune frames --references data/mine/tune.jsonl --emissions runs/frames/tune \\
      --output runs/frames/tuned.json
  slue-ner predict runs/frames --manifest data/mine/dev.jsonl --output runs/frames/dev.jsonl \\
      --decoding runs/frames/tuned.json
"""

_DECODING_EXAMPLE = """example:
  slue-ner lm train data/mine/fine-tune.jsonl --order 4 --output runs/mine/tagged.ngram
  slue-ner predict runs/mine --manifest data/mine/tune.jsonl --output runs/mine/tune.jsonl \\
      --emissions runs/mine/tune
  slue-ner tune decoding runs/mine --references data/mine/tune.jsonl --emissions runs/mine/tune \\
      --lm runs/mine/tagged.ngram --output runs/mine/decoding.yaml
  slue-ner predict runs/mine --manifest data/mine/dev.jsonl --output runs/mine/dev_lm.jsonl \\
      --decoding runs/mine/decoding.yaml
"""

_NUM_SHOWN = 5  # of the best trials


def run(arguments: list[str]) -> int:
    """Tune what the sub-command names."""
    options = command_parser().parse_args(arguments)
    tuners = {"frames": _tune_frames, "localizer": _tune_localizer, "decoding": _tune_decoding}
    return tuners[options.what](options)


def _tune_decoding(options: argparse.Namespace) -> int:
    from slue_ner.cli.console import progress_on, stdout
    from slue_ner.core.files import check_writable
    from slue_ner.core.records import read_manifest
    from slue_ner.decoding.emissions import read_emissions
    from slue_ner.inference.beam_decoding import tune_decoding, write_ctc_decoding
    from slue_ner.training.run_folder import RunFolder

    threads = use_threads(options)
    check_writable(options.output, inputs=(options.references,))
    console = stdout()
    references = read_manifest(options.references)
    emissions = read_emissions(options.emissions)
    folder = RunFolder(options.run)
    vocabulary = folder.vocabulary()
    emissions.check_model(
        symbols=vocabulary.symbols, model_hash=folder.weights_hash(options.weights)
    )
    start = chosen_decoding(options)
    if start is None:
        raise ValueError("there is nothing to tune; give --lm, --character-lm or --decoding")
    tagged = vocabulary.labels is not None
    by = options.by or ("f1" if tagged else "wer")
    used = [reference for reference in references if reference.id in emissions]
    _say_without_emissions(references, emissions)

    def told(number: int, trial: DecodingTrial) -> None:
        console.print(f"{number:3}  {_described_decoding(trial, tagged)}", highlight=False)

    with progress_on(console, "decoding", say_when_done=False) as progress:
        trials = tune_decoding(
            references,
            emissions,
            start,
            vocabulary=vocabulary,
            by=by,
            threads=threads,
            tell=told,
            progress=progress,
            note=lambda sentence: console.print(sentence, highlight=False, markup=False),
        )
    best = trials[0]
    remarks = {
        "tuned_on": _described_split(used, options.references),
        "tuned_by": by,
        **({"f1": best.f1} if tagged else {}),
        "wer": best.wer,
    }
    write_ctc_decoding(options.output, replace(start, options=best.options), remarks)
    print(f"best of {len(trials)}: {_described_decoding(best, tagged)} -> {options.output}")
    return 0


def _say_without_emissions(references: Sequence[Utterance], emissions: StoredEmissions) -> None:
    """Name the references whose audio could not be read when the emissions were made."""
    from slue_ner.core.listing import shown

    missing = [reference.id for reference in references if reference.id not in emissions]
    if 0 < len(missing) < len(references):
        print(
            f"{len(missing)} of {len(references)} references have no emissions in "
            f"{emissions.folder} and do not count: {shown(missing)}"
        )


def _described_decoding(trial: DecodingTrial, tagged: bool) -> str:
    options = trial.options
    f1 = f"F1 {100 * trial.f1:.1f}, " if tagged else ""
    unknown = "" if options.unknown_score is None else f", unknown {options.unknown_score:+.2f}"
    entity = f", entity {options.entity_score:+.2f}" if options.entity_score else ""
    return (
        f"{f1}WER {100 * trial.wer:.1f}: LM weight {options.lm_weight:.2f}, "
        f"word score {options.word_score:+.2f}{entity}{unknown}, beam {options.beam_size}"
    )


def _tune_frames(options: argparse.Namespace) -> int:
    from slue_ner.core.records import read_manifest
    from slue_ner.decoding.emissions import read_emissions
    from slue_ner.inference.frame_reading import tune_stored_frames, write_decoding

    references = read_manifest(options.references)
    emissions = read_emissions(options.emissions)
    _say_without_emissions(references, emissions)
    tuned = tune_stored_frames(emissions, references)
    print(tuned)
    write_decoding(
        options.output,
        tuned.decoding,
        tuned_on=_described_split(references, options.references),
        frame_f1=tuned.frame_f1,
        label_frame_f1=tuned.label_frame_f1,
    )
    print(f"best -> {options.output}")
    return 0


def _tune_localizer(options: argparse.Namespace) -> int:
    from slue_ner.core.records import read_manifest, read_predictions, write_predictions
    from slue_ner.core.run_files import LOCALIZER_FILE
    from slue_ner.inference.localizing import run_localizer, tune, tune_by_halves, write_localizer

    references = read_manifest(options.references)
    predictions = read_predictions(options.predictions)
    if options.halves is not None:
        localized, best = tune_by_halves(references, predictions)
        write_predictions(options.halves, localized)
        for half, trial in zip(("one", "other"), best, strict=True):
            print(f"best on {half} half of the speakers: {_described(trial)}")
        print(f"{len(localized)} predictions -> {options.halves}")
        return 0
    trials = tune(references, predictions)
    for trial in trials[:_NUM_SHOWN]:
        print(_described(trial))
    tuned_on = _described_split(references, options.references)
    tuned = trials[0].kept(tuned_on)
    if options.output.name == LOCALIZER_FILE and (kept := run_localizer(options.output.parent)):
        tuned = replace(tuned, align_offset=kept.align_offset, align_ms=kept.align_ms)
    write_localizer(options.output, tuned)
    print(f"best of {len(trials)} -> {options.output}")
    return 0


def _described_split(references: Sequence[Utterance], path: Path) -> str:
    return f"{len(references)} utterances of {path.name}"


def _described(trial: Trial) -> str:
    options = trial.options
    return (
        f"frame F1 {100 * trial.frames.f1:.1f}: kind {options.kind}, "
        f"with_blanks {str(options.with_blanks).lower()}, offset {options.offset:+.2f} s"
    )


def command_parser() -> argparse.ArgumentParser:
    """What its arguments are and what its help says."""
    parser = argparse.ArgumentParser(
        prog="slue-ner tune",
        description="Search settings of decoding and localization without running the model again.",
        epilog=f"{_LOCALIZER_EXAMPLE}\n{_FRAMES_EXAMPLE}\n{_DECODING_EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choices = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    localizer = choices.add_parser(
        "localizer",
        help="how entities get their times from tokens: kind, with_blanks, offset",
        description="Search the localizer with the best official frame F1; references need word "
        "times.",
        epilog=_LOCALIZER_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    localizer.add_argument("--references", type=Path, required=True, help="manifest, not of test")
    localizer.add_argument("--predictions", type=Path, required=True, help="predictions file")
    into = localizer.add_mutually_exclusive_group(required=True)
    into.add_argument("--output", type=Path, metavar="YAML", help="localizer to write")
    into.add_argument(
        "--halves",
        type=Path,
        metavar="PREDICTIONS",
        help="tune on one half of the speakers, localize the other, swap, and write them all",
    )
    frames = choices.add_parser(
        "frames",
        help="how probabilities of a frame head become entities: thresholds, median, lengths",
        description="Search the reading of stored frame probabilities with the best frame F1, of "
        "heads that know types summed over labels; references need word times.",
        epilog=_FRAMES_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    frames.add_argument("--references", type=Path, required=True, help="manifest, not of test")
    frames.add_argument(
        "--emissions", type=Path, required=True, metavar="DIR", help="of its utterances"
    )
    frames.add_argument(
        "--output", type=Path, required=True, metavar="JSON", help="for `predict --decoding`"
    )
    decoding = choices.add_parser(
        "decoding",
        help="weights of a beam search: LM weight, word, entity and unknown score, beam",
        description="Search the weights of a beam search over stored emissions.",
        epilog=_DECODING_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    decoding.add_argument("run", type=Path, help="run folder whose emissions these are")
    decoding.add_argument("--references", type=Path, required=True, help="manifest, not of test")
    decoding.add_argument(
        "--emissions", type=Path, required=True, metavar="DIR", help="of its utterances"
    )
    add_decoding_options(decoding)
    decoding.add_argument("--by", choices=("f1", "wer"), help="default: f1, of plain ASR wer")
    add_threads_option(decoding, "utterances at once")
    for command in (localizer, frames):
        add_threads_option(command, "as for `decoding`; this search is quick and takes one")
    decoding.add_argument(
        "--weights", choices=("best", "last"), default="best", help="that emitted them"
    )
    decoding.add_argument(
        "--output", type=Path, required=True, metavar="YAML", help="for `predict --decoding`"
    )
    return parser
