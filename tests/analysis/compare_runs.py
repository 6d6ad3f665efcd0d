"""Made-up run folders in the shape that ``slue-ner train`` writes, cut down to a few parameters."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import yaml

CONFIG: dict[str, Any] = {
    "task": {"target": "tagged", "labels": "combined", "monitor": "f1"},
    "encoder": {"source": "microsoft/wavlm-base-plus"},
    "adaptation": {"strategy": "lora", "rank": 8},
    "data": {"root": "data/slue_voxpopuli", "train": "fine-tune", "evaluate": ["dev"]},
    "optim": {"lr": 0.003, "betas": [0.9, 0.98]},
}

RUN: dict[str, Any] = {
    "name": "strategies",
    "seed": 0,
    "command": "slue-ner train -m seed=0,1",
    "date": "2026-11-21",
    "slue_ner": "0.1.0",
    "commit": "bfc096672380",
    "versions": {"torch": "2.11.0"},
    "python": "3.11.7",
    "hardware": "x86_64 CPU, 2 cores",
    "adaptation": {
        "strategy": "lora",
        "num_trainable": 500_000,
        "num_total": 2_000_000,
        "trainable": ["model.encoder.layers.0.attention.q_proj.lora_A"],
        "reinitialized": [],
        "injected": ["model.encoder.layers.0.attention.q_proj.lora_A"],
        "dropped": [],
        "unused": [],
        "encoder_frozen_until": 0,
        "trainable_share": 0.25,
    },
    "training": {
        "updates": 1250,
        "best_update": 625,
        "seconds": 61.4,
        "peak_memory_bytes": 2**30,
        "num_train_utterances": 3600,
        "left_out": {},
        "unreadable": {},
        "model_parameters": 2_001_000,
        "audio_seconds": 4912.0,
        "train_seconds": 60.0,
        "audio_seconds_per_second": 80.2,
        "padding_share": 0.02,
    },
}


def score_object(f1: float = 0.5, wer: float = 0.25, **more: Any) -> dict[str, Any]:
    """A score object with intervals of 0.1 around F1 and none around the others."""
    rates = {"precision": f1, "recall": f1, "f1": f1, "tp": 5, "pred": 10, "gold": 10}
    return {
        "schema": 1,
        "labels": "combined",
        "num_utterances": 400,
        "wer": wer,
        "ner": {"micro": rates, "macro": {"f1": f1}, "per_label": {"PLACE": rates}},
        "ner_label": {"micro": {**rates, "f1": 0.75}},
        "intervals": {"ner.micro.f1": [f1 - 0.1, f1 + 0.1]},
        "interval_method": {"level": 0.95, "unit": "speaker", "resamples": 1000, "seed": 0},
        "not_computed": {},
        "evaluation_seconds": 10.5,
        **more,
    }


def write_run(
    folder: Path,
    *,
    seed: int = 0,
    splits: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    finished: bool = True,
    **run: Any,
) -> Path:
    """Write a run folder; ``config`` and ``run`` replace values at the top or in a section."""
    folder.mkdir(parents=True)
    values = {**CONFIG, "name": folder.name, "run_dir": str(folder), "seed": seed}
    (folder / "config.yaml").write_text(yaml.safe_dump(_merged(values, config or {})))
    if finished:
        metrics = {
            "schema": 1,
            "run": _merged(RUN, {"seed": seed, **run}),
            "splits": {"dev": score_object()} if splits is None else splits,
        }
        (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def _merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(values)
    for key, value in changes.items():
        merged[key] = {**merged[key], **value} if isinstance(value, dict) else value
    return merged
