"""One experiment: train, predict the splits to report, score them, write ``metrics.json``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from slue_ner.core.files import write_json
from slue_ner.core.listing import list_failures
from slue_ner.core.records import SCHEMA, read_manifest, write_predictions
from slue_ner.core.types import Prediction, Utterance
from slue_ner.evaluation.bootstrap import BootstrapOptions
from slue_ner.evaluation.score import score
from slue_ner.evaluation.seen import training_phrases
from slue_ner.models.saving import save_encoder
from slue_ner.pipelines.cascade import gold_text
from slue_ner.pipelines.end_to_end import predict
from slue_ner.pipelines.frames import load_frame_run, predict_frames, tune_run
from slue_ner.pipelines.localizing import localize_all, run_localizer
from slue_ner.pipelines.provenance import provenance
from slue_ner.pipelines.run_files import METRICS_FILE, read_metrics
from slue_ner.pipelines.run_folder import (
    PREDICTIONS,
    claim_data,
    claim_folder,
    claimed,
    load_run,
)
from slue_ner.pipelines.run_localizer import fit_localizer
from slue_ner.tasks.building import ENCODER_FOLDER, trained_encoder
from slue_ner.tasks.config import RunConfig, TrainConfig
from slue_ner.tasks.devices import pick_device
from slue_ner.tasks.frame_targets import FrameOptions
from slue_ner.tasks.reading import read_training
from slue_ner.tasks.text_config import TextConfig, run_config
from slue_ner.tasks.text_training import fit_text, trained_tagger
from slue_ner.tasks.training import fit
from slue_ner.tasks.units import PretrainOptions


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
    manifests |= {path: Path(path) for path in (*config.data.more, *config.data.unlabelled)}
    if isinstance(config, TextConfig) and config.task.asr_text is not None:
        manifests["task.asr_text"] = Path(config.task.asr_text)
    manifests[config.data.tune] = config.data.tune_manifest
    if (run_dir / METRICS_FILE).is_file():
        claim_folder(run_dir, values)
        claim_data(run_dir, manifests)
        console.print(f"{run_dir} is finished already", highlight=False)
        finished: dict[str, Any] = read_metrics(run_dir)
        return finished
    with claimed(run_dir, values, manifests):
        return _train_and_evaluate(config, run_dir, console=console)


def _train_and_evaluate(
    config: TrainConfig | TextConfig, run_dir: Path, *, console: Console
) -> dict[str, Any]:
    origin = provenance()  # of the code that trains: the checkout may move on meanwhile
    if isinstance(config, TextConfig):
        done = fit_text(config, run_dir, console=console)
    else:
        done = fit(config, run_dir, console=console)
    metrics: dict[str, Any] = {
        "schema": SCHEMA,
        "run": {
            "name": config.name,
            "seed": config.seed,
            **origin,
            "adaptation": done.report.to_json(),
            "training": done.figures,
        },
        "splits": {},
    }
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        if isinstance(config, TrainConfig) and isinstance(config.task, PretrainOptions):
            save_encoder(trained_encoder(config, run_dir), run_dir / ENCODER_FOLDER)
        if isinstance(config.task, FrameOptions):
            tune = read_manifest(config.data.tune_manifest)
            tune_run(run_dir, tune, device=_device(config), console=console)
        elif isinstance(config, TrainConfig) and not isinstance(config.task, PretrainOptions):
            fit_localizer(run_dir, device=_device(config), console=console)
        for split in _splits_to_report(config):
            started = time.perf_counter()
            scores = _evaluate(config, run_dir, split, console=console)
            seconds = time.perf_counter() - started
            metrics["splits"][split] = {**scores, "evaluation_seconds": seconds}
        write_json(run_dir / METRICS_FILE, metrics)
    return metrics


def _evaluate(
    config: TrainConfig | TextConfig, run_dir: Path, split: str, *, console: Console
) -> dict[str, Any]:
    """Predict a split and score it; the score object."""
    references = read_manifest(Path(config.data.root) / f"{split}.jsonl")
    predictions = _predict(config, run_dir, references)
    failures = list_failures(predictions)
    if failures is not None:
        console.print(f"{split}: {failures}", highlight=False, markup=False)
    write_predictions(run_dir / PREDICTIONS / f"{split}.jsonl", predictions)
    return score(
        references,
        predictions,
        intervals=BootstrapOptions(),
        seen_phrases=training_phrases(read_training(config.data)),
    ).to_json()


def _predict(
    config: TrainConfig | TextConfig, run_dir: Path, utterances: Sequence[Utterance]
) -> list[Prediction]:
    if isinstance(config, TextConfig):
        tagger = trained_tagger(config, run_dir)
        return gold_text(
            utterances, tagger, batch_size=config.task.batch_size, device=_device(config)
        )
    running: dict[str, Any] = {
        "batch_seconds": config.data.batch_seconds,
        "device": _device(config),
    }
    if isinstance(config.task, FrameOptions):
        run = load_frame_run(run_dir)
        return predict_frames(
            run.model, utterances, vocabulary=run.vocabulary, decoding=run.decoding, **running
        )
    loaded = load_run(run_dir)
    predictions = predict(loaded.model, utterances, vocabulary=loaded.vocabulary, **running)
    kept = run_localizer(run_dir)
    return predictions if kept is None else localize_all(predictions, kept.options)


def _device(config: RunConfig) -> torch.device:
    return pick_device("cpu" if config.trainer.accelerator == "cpu" else "auto")


def _splits_to_report(config: TrainConfig | TextConfig) -> list[str]:
    return [] if isinstance(config.task, PretrainOptions) else config.data.evaluate


def _check_manifests(config: TrainConfig | TextConfig) -> None:
    """Find out now, not after hours of training, that a split to report is not there."""
    root = Path(config.data.root)
    recognised = config.task.asr_text if isinstance(config, TextConfig) else None
    if recognised is not None and not Path(recognised).is_file():
        raise ValueError(f"task.asr_text={recognised} does not exist or is no file")
    for name in (*config.data.more, *config.data.unlabelled):
        if not Path(name).is_file():
            raise ValueError(
                f"{name} of data.more or data.unlabelled does not exist; run `slue-ner prepare` "
                "first"
            )
    for split in (config.data.train, config.data.tune, *_splits_to_report(config)):
        if not (root / f"{split}.jsonl").is_file():
            found = ", ".join(sorted(path.stem for path in root.glob("*.jsonl"))) or "none"
            raise ValueError(
                f"data.root={root} has no {split}.jsonl (splits found: {found}); run "
                "`slue-ner prepare` first, or name other splits in data.evaluate"
            )
