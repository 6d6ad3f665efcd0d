"""``slue-ner score``: predictions against a manifest, without torch."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

_EXAMPLE = """examples:
  slue-ner score --references data/mine/dev.jsonl --predictions runs/mine/predictions/dev.jsonl
  slue-ner score --references data/mine/dev.jsonl --predictions runs/cascade.jsonl \\
      --json runs/cascade.json
"""


def run(arguments: list[str]) -> int:
    """Score a predictions file; a table by default, JSON on request."""
    options = command_parser().parse_args(arguments)
    from slue_ner.cli.console import stdout
    from slue_ner.core.canonical_records import warn
    from slue_ner.core.files import check_writable, write_json
    from slue_ner.core.provenance import provenance
    from slue_ner.core.records import read_manifest, read_predictions
    from slue_ner.data.corpora.dataset import check_transcribed
    from slue_ner.evaluation.bootstrap import BootstrapOptions
    from slue_ner.evaluation.ner import training_phrases
    from slue_ner.evaluation.score import score
    from slue_ner.evaluation.table import explain, render
    from slue_ner.text.recognised import foreign_note, in_ner_form

    if options.json not in (None, "-"):
        inputs = (options.references, options.predictions, options.seen)
        check_writable(Path(options.json), inputs=inputs)
    seen = None if options.seen is None else training_phrases(read_manifest(options.seen))
    references = read_manifest(options.references)
    if not references:
        raise ValueError(
            f"{options.references} holds no utterance; nothing can be scored against it"
        )
    check_transcribed(references)
    predictions = read_predictions(options.predictions)
    if options.ner_form:
        predictions = [in_ner_form(prediction) for prediction in predictions]
    elif (foreign := foreign_note(predictions, references, flag="--ner-form")) is not None:
        warn(f"{options.predictions}: {foreign}")
    result = score(
        references,
        predictions,
        labels=options.labels,
        missing_as_empty=options.missing_as_empty,
        intervals=BootstrapOptions(resamples=options.resamples, seed=options.seed)
        if options.resamples
        else None,
        seen_phrases=seen,
    )
    if options.json is not None:
        files = {name: str(getattr(options, name)) for name in ("references", "predictions")}
        values = {**result.to_json(), "scored": {**files, **provenance()}}
        if options.json == "-":
            json.dump(values, sys.stdout, indent=2, ensure_ascii=False)
            print()
            return 0
        write_json(Path(options.json), values)
    render(result, stdout())
    if options.explain:
        explain(stdout())
    return 0


def command_parser() -> argparse.ArgumentParser:
    """What its arguments are and what its help says."""
    parser = argparse.ArgumentParser(
        prog="slue-ner score",
        description="Compare predictions with a manifest, as SLUE scores them, with intervals. "
        "Times of entities are scored where the manifest has word times.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--references", type=Path, required=True, help="manifest")
    parser.add_argument("--predictions", type=Path, required=True, help="predictions file")
    parser.add_argument(
        "--ner-form",
        action="store_true",
        help="predictions of another recogniser: read them by the rules that a .ctm gets (lower "
        "case, no . , ! ? ;, 's a word of its own)",
    )
    parser.add_argument(
        "--json",
        metavar="PATH",
        help="write the score object, for `slue-ner compare`; - prints it alone",
    )
    parser.add_argument(
        "--labels",
        metavar="SET",
        help="label set of NER and corrected NEL: combined, raw, one of your own, or as-is "
        "(default: combined, as SLUE reports, or that of your own that the references are in)",
    )
    parser.add_argument(
        "--missing-as-empty",
        action="store_true",
        help="score a missing id as an utterance without entities instead of refusing",
    )
    parser.add_argument(
        "--seen", type=Path, metavar="MANIFEST", help="training manifest: F1 on phrases in it apart"
    )
    parser.add_argument("--explain", action="store_true", help="say what the rows mean")
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap; 0 for none")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    return parser
