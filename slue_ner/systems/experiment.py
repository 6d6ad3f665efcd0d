"""One experiment: train, predict the splits to report, score them, write ``metrics.json``."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from slue_ner.core.files import write_json, write_text
from slue_ner.core.kept_console import KeptConsole
from slue_ner.core.listing import list_failures
from slue_ner.core.locks import held
from slue_ner.core.processes import own_rank
from slue_ner.core.provenance import provenance
from slue_ner.core.records import SCHEMA, read_manifest, write_predictions
from slue_ner.core.run_files import (
    CONSOLE_FILE,
    METRICS_FILE,
    PREDICTIONS,
    SCORES,
    read_metrics,
)
from slue_ner.data.corpora.dataset import check_manifests, check_more, check_transcribed
from slue_ner.evaluation.bootstrap import BootstrapOptions
from slue_ner.evaluation.ner import training_phrases
from slue_ner.evaluation.score import Score, score
from slue_ner.evaluation.table import render
from slue_ner.models.device import pick_device
from slue_ner.tasks.registry import run_config
from slue_ner.tasks.run import Run
from slue_ner.training.fit import fit
from slue_ner.training.manifests import read_training
from slue_ner.training.run_folder import RunFolder, claim_data, claim_folder, claimed
from slue_ner.training.task import RunConfig


def run_experiment(values: Mapping[str, Any], run_dir: Path, *, console: Console) -> dict[str, Any]:
    """Train and evaluate a composed config; returns at once when that is already done.

    Args:
        values: the composed config as plain values.
        run_dir: the run folder.
        console: where progress goes.

    Returns:
        The content of ``metrics.json``.

    Raises:
        ValueError: for a config or data that cannot be used.
    """
    config = run_config(values)
    _check_manifests(config)
    manifests = {config.data.train: config.data.train_manifests[0]}
    manifests |= {path: Path(path) for path in (*config.data.also_train, *config.data.unlabelled)}
    manifests |= config.task.inputs()
    manifests[config.data.tune] = config.data.tune_manifest
    if (run_dir / METRICS_FILE).is_file():
        claim_folder(run_dir, values)
        claim_data(run_dir, manifests)
        return _finished(config, run_dir, console=console)
    if RunFolder(run_dir).was_finished():
        raise ValueError(
            f"{run_dir} was finished and has no {METRICS_FILE} any more, nor the state to go on "
            "from; `slue-ner predict` and `slue-ner score` make its figures anew, and without the "
            "folder it is trained from the start"
        )
    with claimed(run_dir, values, manifests):
        if isinstance(console, KeptConsole):
            console.kept_in = run_dir / CONSOLE_FILE
        return _train_and_evaluate(config, run_dir, console=console)


def _finished(config: RunConfig, run_dir: Path, *, console: Console) -> dict[str, Any]:
    """What a finished run has reported, and the splits that are asked for beside it."""
    asked = _splits_to_report(config)
    metrics: dict[str, Any] = read_metrics(run_dir)
    missing = [split for split in asked if split not in metrics["splits"]]
    said = f"; {', '.join(missing)} is scored now" if missing else ""
    console.print(f"{run_dir} is finished already{said}", highlight=False)
    folder = RunFolder(run_dir)
    too_much = folder.holds_too_much()  # it was stopped between its report and this
    if own_rank() == 0 and (missing or too_much):
        with held(run_dir):
            if too_much:
                folder.forget_training()
            metrics = read_metrics(run_dir)  # another process may have added a split
            missing = [split for split in asked if split not in metrics["splits"]]
            if missing:
                _report(Run(folder, config), missing, metrics, console=console)
    return metrics


def _train_and_evaluate(config: RunConfig, run_dir: Path, *, console: Console) -> dict[str, Any]:
    origin = provenance()  # of the code that trains: the checkout may move on meanwhile
    done = fit(config, run_dir, console=console)
    metrics: dict[str, Any] = {
        "schema": SCHEMA,
        "splits": {},
        "run": {
            "name": config.name,
            "seed": config.seed,
            **origin,
            "adaptation": done.report.to_json(),
            "training": done.figures,
        },
    }
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        run = Run(RunFolder(run_dir), config)
        config.task.finish(config, run.folder, device=_device(config), console=console)
        _report(run, _splits_to_report(config), metrics, console=console)
        if config.trainer.keep == "trained":
            run.folder.forget_training()
    return metrics


def _report(run: Run, splits: Sequence[str], metrics: dict[str, Any], *, console: Console) -> None:
    """Predict and score splits, put their scores under ``metrics`` and write it."""
    for split in splits:
        started = time.perf_counter()
        found = _evaluate(run, split, device=_device(run.config), console=console)
        scores = found.to_json()
        _write_table(found, run.folder.path / SCORES / f"{split}.txt")
        seconds = time.perf_counter() - started
        metrics["splits"][split] = {**scores, "evaluation_seconds": seconds}
        figures = metrics["run"]["training"]
        for note in (_nothing_found(split, scores, figures), _hardly_found(split, scores)):
            if note is not None:
                console.print(note, highlight=False, markup=False)
    write_json(run.folder.path / METRICS_FILE, metrics)


def _device(config: RunConfig) -> torch.device:
    return pick_device("cpu" if config.trainer.accelerator == "cpu" else "auto")


def _evaluate(run: Run, split: str, *, device: torch.device, console: Console) -> Score:
    """Predict a split and score it."""
    data = run.config.data
    references = read_manifest(Path(data.root) / f"{split}.jsonl")
    check_transcribed(references)
    predictions = run.predictor().predict(references, device=device)
    failures = list_failures(predictions)
    if failures is not None:
        console.print(f"{split}: {failures}", highlight=False, markup=False)
    write_predictions(run.folder.path / PREDICTIONS / f"{split}.jsonl", predictions)
    return score(
        references,
        predictions,
        intervals=BootstrapOptions(),
        seen_phrases=training_phrases(read_training(data)),
    )


def _write_table(scores: Score, path: Path) -> None:
    text = io.StringIO()
    render(scores, Console(file=text, width=100, markup=False, emoji=False, highlight=False))
    write_text(path, text.getvalue())


def _nothing_found(split: str, scores: Mapping[str, Any], figures: Mapping[str, Any]) -> str | None:
    """What to look at when not one entity was found; ``None`` where one was, or none is there."""
    entities = scores.get("ner", {}).get("micro", {})
    if not entities.get("gold") or entities.get("tp"):
        return None
    words = f", WER {100 * scores['wer']:.0f} %" if "wer" in scores else ""
    return (
        f"note: {split} has {entities['gold']} entities and none was found right (F1 0{words}) "
        f"after {figures['updates']} updates; docs/troubleshooting.md says what to look at"
    )


_MANY_ENTITIES = 20
_HARDLY = 0.05


def _hardly_found(split: str, scores: Mapping[str, Any]) -> str | None:
    """Types with many entities of which hardly one was found, where others were."""
    entities = scores.get("ner", {})
    if not entities.get("micro", {}).get("tp"):
        return None
    missed = [
        f"{label} {counts['tp']} of {counts['gold']}"
        for label, counts in entities["per_label"].items()
        if counts["gold"] >= _MANY_ENTITIES and counts["tp"] < _HARDLY * counts["gold"]
    ]
    return f"note: hardly found in {split}: {', '.join(missed)}" if missed else None


def _splits_to_report(config: RunConfig) -> list[str]:
    return config.data.evaluate if config.task.is_scored else []


def _check_manifests(config: RunConfig) -> None:
    """Find out now, not after hours of training, that a split to report is not there."""
    for option, path in config.task.inputs().items():
        if not path.is_file():
            raise ValueError(f"{option}={path} does not exist or is no file")
    data = config.data
    check_manifests(data.root, [data.train, data.tune, *_splits_to_report(config)])
    check_more([*data.also_train, *data.unlabelled])
