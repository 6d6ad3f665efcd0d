"""``slue-ner predict``: a trained run and a manifest to a predictions file."""

from __future__ import annotations

import argparse
from pathlib import Path

_EXAMPLE = """example:
  slue-ner predict runs/quickstart --manifest data/synthetic/test.jsonl --output predictions.jsonl
"""


def run(arguments: list[str]) -> int:
    """Predict every utterance of a manifest."""
    options = _parser().parse_args(arguments)
    from slue_ner.cli.console import progress_on, stdout
    from slue_ner.core.records import read_manifest, write_predictions
    from slue_ner.pipelines.end_to_end import predict
    from slue_ner.pipelines.run_folder import load_run
    from slue_ner.tasks.devices import pick_device

    console = stdout()
    utterances = read_manifest(options.manifest)
    loaded = load_run(options.run, weights=options.weights)
    with progress_on(console, "predicting") as progress:
        predictions = predict(
            loaded.model,
            utterances,
            vocabulary=loaded.vocabulary,
            batch_seconds=options.batch_seconds or loaded.config.data.batch_seconds,
            device=pick_device(options.device),
            num_workers=options.num_workers,
            progress=progress,
        )
    write_predictions(options.output, predictions)
    num_entities = sum(len(prediction.entities) for prediction in predictions)
    console.print(
        f"{len(predictions)} utterances, {num_entities} entities -> {options.output}",
        highlight=False,
    )
    errors = [prediction for prediction in predictions if prediction.error]
    if errors:
        console.print(
            f"{len(errors)} utterances could not be predicted and score as missed, "
            f"first: {errors[0].error}",
            highlight=False,
        )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="slue-ner predict",
        description="Find the entities in the audio of a manifest with a trained run.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="run folder that `slue-ner train` wrote")
    parser.add_argument("--manifest", type=Path, required=True, help="utterances to predict")
    parser.add_argument("--output", type=Path, required=True, help="predictions file to write")
    parser.add_argument("--weights", choices=("best", "last"), default="best")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    parser.add_argument(
        "--batch-seconds", type=float, help="padded seconds of audio a batch (default: as trained)"
    )
    parser.add_argument("--num-workers", type=int, default=0, help="loader processes")
    return parser
