"""A run folder's files, and those that need no torch to be read.

::

    config.yaml       the composed config
    data.json         hashes of the manifests trained and tuned on
    vocabulary.json   CTC symbols, where there is a CTC head
    encoder.json      blueprint of the encoder
    tagger/           what a text tagger is made of, weights aside (text NER only)
    log.csv           update, metric, value
    console.txt       what it printed
    checkpoints/      best.safetensors; until it is finished, or with trainer.keep=all,
                      last.safetensors, and last.ckpt to resume from
    localizer.yaml    rule and offset of its times, fitted on tune (CTC runs only)
    frames.json       how frames are read, tuned (frame heads only)
    clusters.*        what masked prediction guesses (pre-training only)
    encoder/          the encoder for others to load (pre-training only)
    predictions/      SPLIT.jsonl
    scores/           SPLIT.txt, the table of its scores
    metrics.json      {"schema", "splits": {SPLIT: score object}, "run": {...}}
    run.lock          the process that trains here now

A folder belongs to its config and data from the first saved state on: a start that failed before
it claims nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slue_ner.core.files import read_json, read_yaml
from slue_ner.core.listing import shown

CONFIG_FILE = "config.yaml"
METRICS_FILE = "metrics.json"
DATA_FILE = "data.json"
VOCABULARY_FILE = "vocabulary.json"
ENCODER_FILE = "encoder.json"
TAGGER_FOLDER = "tagger"
LOG_FILE = "log.csv"
CONSOLE_FILE = "console.txt"
SCORES = "scores"
CHECKPOINTS = "checkpoints"
LAST_STATE = "last.ckpt"
LAST_WEIGHTS = "last.safetensors"
BEST_WEIGHTS = "best.safetensors"
LOCALIZER_FILE = "localizer.yaml"
FRAMES_FILE = "frames.json"
CENTROIDS_FILE = "clusters.safetensors"
CLUSTERS_FILE = "clusters.json"
ENCODER_FOLDER = "encoder"
PREDICTIONS = "predictions"


RENAMED_KEYS = {"features": "state_cache", "data.more": "data.also_train"}
"""Keys of configs as earlier versions called them, and as they are called now."""


def but_holds_runs(folder: Path) -> str:
    """The end of a sentence about what is no run folder: the runs in it; empty without any."""
    configs = [*folder.glob(f"*/{CONFIG_FILE}"), *folder.glob(f"*/*/{CONFIG_FILE}")]
    if not configs:
        return ""
    return f", but it holds runs; give one of them: {shown(sorted(str(c.parent) for c in configs))}"


def read_config(path: Path) -> dict[str, Any]:
    """Read a config, its keys as they are called now; YAML tags that build objects are refused."""
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path} should hold a mapping, got {type(values).__name__}")
    if "task" not in values:
        return values
    return _renamed(values)


def _renamed(values: dict[str, Any], section: str = "") -> dict[str, Any]:
    made = {}
    for key, value in values.items():
        now = RENAMED_KEYS.get(f"{section}{key}", f"{section}{key}").removeprefix(section)
        made[now] = _renamed(value, f"{now}.") if isinstance(value, dict) else value
    return made


def read_metrics(run_dir: Path) -> Any:
    """What ``metrics.json`` of a finished run holds, without figures that nobody asked for.

    A recogniser alone is not asked for entities, but older runs were scored as if it had found
    none, with F1 0.0.
    """
    metrics = read_json(run_dir / METRICS_FILE)
    config = run_dir / CONFIG_FILE
    task = read_config(config).get("task") if config.is_file() else None
    if not isinstance(task, dict) or not isinstance(metrics, dict):
        return metrics
    if task.get("kind", "ctc") != "ctc" or task.get("target") != "plain":
        return metrics
    splits = metrics.get("splits")
    if isinstance(splits, dict):
        metrics["splits"] = {split: _words_alone(scores) for split, scores in splits.items()}
    return metrics


def _words_alone(scores: Any) -> Any:
    """A score object without what compares entities."""
    if not isinstance(scores, dict):
        return scores
    kept = {key: value for key, value in scores.items() if not _is_of_entities(key)}
    if isinstance(kept.get("intervals"), dict):
        bounds = kept["intervals"].items()
        kept["intervals"] = {path: value for path, value in bounds if not _is_of_entities(path)}
    return kept


def _is_of_entities(path: str) -> bool:
    return path.split(".")[0].split("_")[0] in ("ner", "nel")
