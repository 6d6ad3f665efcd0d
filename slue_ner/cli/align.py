"""``slue-ner align``: word times for a manifest or for predictions, by forced alignment."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slue_ner.cli.shared_options import (
    WORD_TIMES,
    add_running_options,
    add_threads_option,
    check_running,
    kept_localizer,
    use_threads,
)

if TYPE_CHECKING:
    from rich.console import Console

    from slue_ner.core.types import Prediction, Utterance
    from slue_ner.inference.aligning import Aligner
    from slue_ner.inference.emitting import Emitted

_EXAMPLE = """examples:
  slue-ner align runs/quickstart data/mine/dev.jsonl data/mine_timed/dev.jsonl
  slue-ner align runs/quickstart data/mine/dev.jsonl runs/mine/dev_timed.jsonl \\
      --predictions runs/mine/dev.jsonl
  slue-ner align --compare data/mine_by_hand/dev.jsonl data/mine_timed/dev.jsonl
"""


def run(arguments: list[str]) -> int:
    """Align a manifest or predictions, or compare two alignments."""
    options = command_parser().parse_args(arguments)
    if options.compare is not None:
        return _compare(*options.compare, page=options.into)
    if options.output is None:
        raise ValueError("give RUN MANIFEST OUT, or --compare REFERENCE FOUND; see --help")
    if options.priors_from is not None and not options.priors:
        raise ValueError("--priors-from has no effect without --priors WEIGHT; give both")
    if options.into is not None:
        raise ValueError("--into writes what --compare finds; leave it out, or compare")
    from slue_ner.cli.console import progress_on, stdout
    from slue_ner.core.files import check_writable
    from slue_ner.core.listing import list_reasons
    from slue_ner.core.records import (
        read_manifest,
        read_predictions,
        write_manifest,
        write_predictions,
    )
    from slue_ner.data.corpora.dataset import check_transcribed
    from slue_ner.inference.aligning import align_predictions, align_utterances

    check_running(options)
    check_writable(options.output, inputs=(options.manifest, options.predictions))
    use_threads(options)
    console = stdout()
    utterances = read_manifest(options.manifest)
    if options.predictions is None:
        check_transcribed(utterances)
    predictions = None if options.predictions is None else read_predictions(options.predictions)
    aligner, emitted = _load(options, utterances, console)
    doubtful: list[str] = []
    telling: dict[str, Any] = {"doubt": doubtful.append}
    with progress_on(console, "aligning") as progress:
        telling["progress"] = progress
        if predictions is None:
            aligned, failures = align_utterances(utterances, emitted, aligner, **telling)
            write_manifest(options.output, aligned)
            spoken = [record.words or () for record in aligned]
        else:
            timed, failures = align_predictions(predictions, emitted, aligner, **telling)
            write_predictions(options.output, timed)
            spoken = [record.words or () for record in timed]
    lines = [f"{len(spoken) - len(failures)} of {len(spoken)} aligned -> {options.output}"]
    guessed = [word.text for words in spoken for word in words if word.estimated]
    if guessed:
        lines.append(
            f"{len(guessed)} of {sum(map(len, spoken))} words have no symbol of the model's "
            f"vocabulary, so their times are estimated and not scored, first: {guessed[0]!r}"
        )
    if doubtful:
        lines.append(
            f"note: {len(doubtful)} of them got times for a text that is hardly what the model "
            f"hears, first: {doubtful[0]!r}; listen to them, or leave them out with --min-score"
        )
    if failures:
        lines.append(f"{len(failures)} left without times:{list_reasons(failures)}")
    console.print("\n".join(lines), highlight=False, markup=False)
    return 1 if len(failures) == len(spoken) else 0


def _load(
    options: argparse.Namespace, utterances: list[Utterance], console: Console
) -> tuple[Aligner, Emitted]:
    """The aligner and the emissions that the options ask for."""
    from slue_ner.core.records import read_manifest
    from slue_ner.decoding.emissions import read_emissions
    from slue_ner.inference.aligning import Aligner, weighted_priors
    from slue_ner.models.device import pick_device
    from slue_ner.tasks.run import Run

    run = Run.open(options.run)
    predictor = run.recogniser(weights=options.weights)
    running: dict[str, Any] = {
        "batch_seconds": options.batch_seconds,
        "device": pick_device(options.device),
        "num_workers": options.num_workers,
    }
    priors = None
    if options.priors:
        tune = options.priors_from or run.config.data.tune_manifest
        if not tune.is_file():
            raise ValueError(f"{tune} is not there to estimate priors on; give --priors-from")
        priors = weighted_priors(predictor.emit(read_manifest(tune), **running), options.priors)
    offset = options.offset
    if offset is None:
        kept = kept_localizer(options.run, console, what=WORD_TIMES)
        offset = 0.0 if kept is None else kept.align_offset or 0.0
    aligner = Aligner(
        predictor.vocabulary,
        predictor.model.grid,
        priors=priors,
        min_score=options.min_score,
        offset=offset,
    )
    if options.emissions is None:
        return aligner, predictor.emit(utterances, **running)
    emissions = read_emissions(options.emissions)
    emissions.check_model(
        symbols=predictor.vocabulary.symbols,
        model_hash=run.folder.weights_hash(options.weights),
    )
    return aligner, emissions


def _compare(reference: Path, found: Path, *, page: Path | None) -> int:
    from slue_ner.analysis.tables import write_into
    from slue_ner.evaluation.boundary_errors import boundary_errors

    errors = boundary_errors(_records(found), _records(reference))
    print(errors)
    if page is not None:
        write_into(page, "alignment", f"{errors}: `slue-ner align --compare {reference} {found}`")
    return 0


def _records(path: Path) -> list[Utterance] | list[Prediction]:
    """The records of a manifest or of a predictions file; only the former name a split."""
    from slue_ner.core.lines import json_object, numbered_lines
    from slue_ner.core.records import read_manifest, read_predictions

    first = next((line for _, line in numbered_lines(path) if line.strip()), "")
    try:
        is_manifest = "split" in json_object(first)
    except ValueError as error:
        raise ValueError(f"{path}:1: neither an utterance nor a prediction") from error
    return read_manifest(path) if is_manifest else read_predictions(path)


def command_parser() -> argparse.ArgumentParser:
    """What its arguments are and what its help says."""
    parser = argparse.ArgumentParser(
        prog="slue-ner align",
        description="Find when each word of a manifest was spoken, and so each entity, with the "
        "emissions of a CTC run and the known text.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("run", type=Path, nargs="?", help="run folder with a CTC model")
    add("manifest", type=Path, nargs="?", help="utterances with audio and text")
    add("output", type=Path, nargs="?", help="manifest (or predictions) to write, with word times")
    add(
        "--predictions",
        type=Path,
        metavar="FILE",
        help="align the words of these predictions instead of the manifest's text",
    )
    add(
        "--offset",
        type=float,
        metavar="SECONDS",
        help="added to all times, for a model that emits letters late (give less than 0) or early; "
        "--compare shows by how much (default: what the run's training measured on tune)",
    )
    add(
        "--priors",
        type=float,
        default=0.0,
        metavar="WEIGHT",
        help="subtract so much of each symbol's mean log-posterior, against peaky emissions that "
        "make words too short; 0 to 1 (default: 0)",
    )
    add(
        "--priors-from",
        type=Path,
        metavar="MANIFEST",
        help="audio to estimate the priors on (default: what the run was tuned on)",
    )
    add(
        "--min-score",
        type=float,
        default=0.0,
        help="leave utterances without times whose words score less on average, 0 to 1",
    )
    add(
        "--emissions",
        type=Path,
        metavar="FOLDER",
        help="take the run's emissions from here (see `slue-ner predict --emissions`)",
    )
    add(
        "--compare",
        type=Path,
        nargs=2,
        metavar=("REFERENCE", "FOUND"),
        help="print how far the word times of FOUND are from those of REFERENCE, nothing else; "
        "manifests or predictions",
    )
    add(
        "--into",
        type=Path,
        metavar="PAGE",
        help="write that line into the block `alignment` of a page, too",
    )
    add("--weights", choices=("best", "last"), default="best")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    add_running_options(parser)
    add_threads_option(parser)
    return parser
