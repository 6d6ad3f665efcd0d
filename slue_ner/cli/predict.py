"""``slue-ner predict``: a trained run and a manifest to a predictions file."""

from __future__ import annotations

import argparse
from pathlib import Path

from slue_ner.cli.shared_options import (
    add_decoding_options,
    add_running_options,
    add_threads_option,
    check_running,
    chosen_localizer,
    has_decoding_options,
    use_threads,
)

_EXAMPLE = """examples:
  slue-ner predict runs/mine --manifest data/mine/test.jsonl --output runs/mine/test.jsonl

with a language model, tuned (`slue-ner tune decoding --help`) or with the default weights:
  slue-ner predict runs/mine --manifest data/mine/dev.jsonl --output runs/mine/dev_lm.jsonl \\
      --decoding runs/mine/decoding.yaml
  slue-ner predict runs/mine --manifest data/mine/dev.jsonl --output runs/mine/dev_lm.jsonl \\
      --lm runs/mine/tagged.ngram

a cascade of a recogniser (a run, a CTC or Whisper checkpoint, a .ctm or predictions file) and text
NER (a run, a token classifier of transformers, or spacy:NAME); and text NER alone on what was
really said:
  slue-ner predict runs/asr --text-ner runs/text_ner --manifest data/mine/dev.jsonl \\
      --output runs/asr/cascade.jsonl
  slue-ner predict openai/whisper-base --manifest data/mine/dev.jsonl --output runs/words.jsonl
  slue-ner predict runs/words.jsonl --text-ner runs/text_ner --manifest data/mine/dev.jsonl \\
      --output runs/cascade.jsonl
  slue-ner predict runs/asr --text-ner spacy:en_core_web_sm --manifest data/mine/dev.jsonl \\
      --output runs/asr/spacy.jsonl
  slue-ner predict runs/text_ner --manifest data/mine/dev.jsonl --output runs/topline.jsonl
  slue-ner predict dslim/bert-base-NER --label-map map.yaml --manifest data/mine/dev.jsonl \\
      --output runs/bert.jsonl
"""

_PIPELINES = ("end_to_end", "cascade", "topline", "frames", "words")
_AUDIO = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")
_OF_TASK = {
    "ctc": "end_to_end",
    "pretrain": "end_to_end",  # which says what to do
    "frames": "frames",
    "text_ner": "topline",
}


def run(arguments: list[str]) -> int:
    """Predict every utterance of a manifest."""
    options = command_parser().parse_args(arguments)
    from slue_ner.cli.console import stdout
    from slue_ner.core.files import check_writable
    from slue_ner.core.listing import list_failures
    from slue_ner.core.records import check_no_manifest, read_manifest, write_predictions
    from slue_ner.inference.localizing import localize_all

    console = stdout()
    if options.manifest.suffix.lower() in _AUDIO:
        raise ValueError(
            f'{options.manifest} is audio; write lines of {{"id", "audio"}} into a file, and '
            "`slue-ner prepare jsonl FILE data/NAME` makes data/NAME/untranscribed.jsonl of it"
        )
    utterances = read_manifest(options.manifest)
    pipeline = options.pipeline or _pipeline_of(options)
    _check(options, pipeline)
    use_threads(options)
    given = {name: path for name, path in vars(options).items() if isinstance(path, Path)}
    check_writable(given.pop("output"), inputs=given.values())
    check_no_manifest(options.output)
    localizer = chosen_localizer(options, pipeline, console)
    from slue_ner.cli.systems import SYSTEMS

    predictions = SYSTEMS[pipeline](options, utterances, console)
    if localizer is not None:
        predictions = localize_all(predictions, localizer.options)
    write_predictions(options.output, predictions)
    found = [len(p.entities) for p in predictions if p.entities is not None and not p.error]
    entities = f", {sum(found)} entities" if found else ""  # a recogniser finds none
    console.print(f"{len(predictions)} utterances{entities} -> {options.output}", highlight=False)
    failures = list_failures(predictions)
    if failures is not None:
        console.print(failures, highlight=False, markup=False)
    return 1 if all(prediction.error for prediction in predictions) else 0


def _pipeline_of(options: argparse.Namespace) -> str:
    """What the run was trained for; with text NER behind it, a cascade."""
    from slue_ner.core.run_files import CONFIG_FILE, read_config

    if options.text_ner is not None:
        return "cascade"
    path = options.run / CONFIG_FILE
    if not path.is_file():
        from slue_ner.models.encoder.hub_checkpoints import is_checkpoint
        from slue_ner.systems.text_taggers import is_ready_tagger

        if is_ready_tagger(options.run):
            return "topline"
        return "words" if is_checkpoint(options.run) else "end_to_end"
    task = read_config(path).get("task")
    kind = task.get("kind") if isinstance(task, dict) else None
    return _OF_TASK.get(str(kind), "own")


def _check(options: argparse.Namespace, pipeline: str) -> None:
    """Refuse options that would have no effect, or no sense."""
    check_running(options)
    if options.ner_form and pipeline != "cascade":
        raise ValueError("--ner-form is for a predictions file in a cascade; leave it out")
    if (options.text_ner is None) == (pipeline == "cascade"):
        raise ValueError("--pipeline cascade and --text-ner RUN go together; give both or neither")
    if options.label_map is not None and pipeline not in ("cascade", "topline"):
        raise ValueError("--label-map is for text NER; leave it out")
    if options.emissions is not None and pipeline not in ("end_to_end", "frames"):
        raise ValueError(
            f"pipeline {pipeline} has no emissions; predict with the recogniser alone to save "
            "them, its predictions file can then take its place in a cascade"
        )
    if options.emissions_from is not None and pipeline not in ("end_to_end", "frames"):
        raise ValueError(f"pipeline {pipeline} does not read emissions; leave --emissions-from out")
    if options.marks_apart and pipeline != "end_to_end":
        raise ValueError(f"pipeline {pipeline} reads no entity marks; leave --marks-apart out")
    if options.localizer is not None and pipeline == "frames":
        raise ValueError("a frame head finds times itself; leave --localizer out")
    if pipeline == "own" and (has_decoding_options(options) or options.localizer is not None):
        raise ValueError(
            f"{options.run} was trained for a task of your own, which predicts by itself; leave "
            "--decoding, --lm and --localizer out"
        )
    if has_decoding_options(options) and pipeline == "topline":
        raise ValueError("text NER reads no emissions; leave --decoding and --lm out")
    if options.batch_seconds is not None or options.num_workers:
        ignored = {"topline": "text NER reads no audio", "own": "your task makes its own batches"}
        if pipeline in ignored:
            raise ValueError(f"{ignored[pipeline]}; leave --batch-seconds and --num-workers out")


def command_parser() -> argparse.ArgumentParser:
    """What its arguments are and what its help says."""
    parser = argparse.ArgumentParser(
        prog="slue-ner predict",
        description="Find the entities in the audio of a manifest with a trained run.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "run",
        type=Path,
        help="run folder that `slue-ner train` wrote, a CTC or Whisper checkpoint (words alone), "
        "or any text NER; in a cascade any recogniser",
    )
    parser.add_argument("--manifest", type=Path, required=True, help="utterances to predict")
    parser.add_argument("--output", type=Path, required=True, help="predictions file to write")
    parser.add_argument(
        "--pipeline",
        choices=_PIPELINES,
        help="default: what the run was trained for, and cascade with --text-ner",
    )
    parser.add_argument(
        "--text-ner",
        type=Path,
        metavar="TAGGER",
        help="finds the entities in what the run writes: a run folder, a token classifier (hub id "
        "or folder), or spacy:NAME",
    )
    parser.add_argument(
        "--label-map",
        type=Path,
        metavar="FILE",
        help="YAML or JSON: labels of some types of text NER that is no run, `MISC: NORP` (null: "
        "leave out); OntoNotes', SLUE's and CoNLL's names are known",
    )
    parser.add_argument(
        "--ner-form",
        action="store_true",
        help="of a predictions file as the recogniser: read it by the rules of a .ctm (lower case, "
        "no . , ! ? ;, 's a word of its own)",
    )
    parser.add_argument(
        "--localizer",
        type=Path,
        metavar="YAML",
        help="what `slue-ner tune localizer` wrote, or none for times as decoded (default: the "
        "run's own, fitted at the end of its training)",
    )
    add_decoding_options(parser)
    parser.add_argument(
        "--marks-apart",
        action="store_true",
        help="read an entity mark that is glued to letters as a mark; published figures read it "
        "as letters, which is the default",
    )
    emissions = parser.add_mutually_exclusive_group()
    emissions.add_argument(
        "--emissions", type=Path, metavar="DIR", help="folder to save log-probabilities in, too"
    )
    emissions.add_argument(
        "--emissions-from", type=Path, metavar="DIR", help="saved ones to decode without the model"
    )
    parser.add_argument(
        "--weights",
        choices=("best", "last"),
        default="best",
        help="of the run; those of --text-ner are always the best",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    add_running_options(parser)
    add_threads_option(parser)
    return parser
