"""A run folder: what ``train`` leaves behind and ``predict`` starts from.

::

    config.yaml       the composed config
    data.json         hashes of the manifests trained and tuned on
    vocabulary.json   CTC symbols, where there is a CTC head
    encoder.json      blueprint of the encoder, so that no hub is needed again
    tagger/           what a text tagger is made of, weights aside (text NER only)
    log.csv           update, metric, value
    checkpoints/      last.ckpt to resume from; best.safetensors, last.safetensors
    localizer.yaml    rule and offset of its times, fitted on tune (CTC runs only)
    frames.json       how frames are read, tuned (frame heads only)
    predictions/      SPLIT.jsonl
    metrics.json      {"schema", "run": {...}, "splits": {SPLIT: score object}}
    run.lock          the process that trains here now

A folder belongs to its config and data from the first saved state on: a start that failed before
it claims nothing.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from slue_ner.core.files import read_json, sha256, sweep, write_json, write_text
from slue_ner.core.locks import held
from slue_ner.core.processes import own_rank
from slue_ner.models.ctc_model import CTCModel
from slue_ner.models.text_tagger import TextTagger
from slue_ner.pipelines.frames_file import FRAMES_FILE
from slue_ner.pipelines.localizing import LOCALIZER_FILE
from slue_ner.pipelines.run_files import CONFIG_FILE, METRICS_FILE, read_config
from slue_ner.tasks.building import CHECKPOINTS, ENCODER_FILE, VOCABULARY_FILE, trained_model
from slue_ner.tasks.clustering import CENTROIDS_FILE, CLUSTERS_FILE
from slue_ner.tasks.config import TrainConfig, train_config
from slue_ner.tasks.loggers import LOG_FILE
from slue_ner.tasks.text_config import is_text, text_config
from slue_ner.tasks.text_training import TAGGER_FOLDER, trained_tagger
from slue_ner.text.vocabulary import Vocabulary

DATA_FILE = "data.json"
PREDICTIONS = "predictions"

_STARTED = (
    *(DATA_FILE, VOCABULARY_FILE, ENCODER_FILE, CLUSTERS_FILE, CENTROIDS_FILE),
    *(LOCALIZER_FILE, FRAMES_FILE),  # of weights that somebody has removed
)
"""What may stand in a folder without a saved state, beside config and tagger."""

_PATIENCE = 60.0  # seconds that other ranks give the first one to claim the folder

_MAY_DIFFER = ("run_dir", "data.num_workers", "trainer.num_threads", "trainer.log_every")


@dataclass(frozen=True)
class LoadedRun:
    """A finished (or still training) run, ready to predict."""

    config: TrainConfig
    model: CTCModel
    vocabulary: Vocabulary


def load_run(run_dir: Path, *, weights: str = "best") -> LoadedRun:
    """Load the model of a run folder.

    Args:
        run_dir: the folder.
        weights: ``best`` on tune, or ``last``.

    Raises:
        ValueError: naming what is missing or damaged.
    """
    path = run_dir / CONFIG_FILE
    if not path.is_file():
        raise ValueError(f"{run_dir} is not a run folder: it has no {CONFIG_FILE}")
    values = read_config(path)
    if is_text(values):
        raise ValueError(
            f"{run_dir} finds entities in text and hears nothing; use it with --pipeline cascade "
            f"--text-ner {run_dir} behind a recogniser"
        )
    config = train_config(values)
    model, vocabulary = trained_model(config, run_dir, weights=weights)
    return LoadedRun(config, model, vocabulary)


def load_tagger(run_dir: Path, *, weights: str = "best") -> TextTagger:
    """Load the text NER of a run folder.

    Args:
        run_dir: the folder.
        weights: ``best`` on tune, or ``last``.

    Raises:
        ValueError: naming what is missing or damaged, or a run that is no text NER.
    """
    path = run_dir / CONFIG_FILE
    if not path.is_file():
        raise ValueError(f"{run_dir} is not a run folder: it has no {CONFIG_FILE}")
    values = read_config(path)
    if not is_text(values):
        raise ValueError(f"{run_dir} is no text NER; train one with `slue-ner train task=text_ner`")
    return trained_tagger(text_config(values), run_dir, weights=weights)


@contextmanager
def claimed(
    run_dir: Path, values: Mapping[str, Any], manifests: Mapping[str, Path]
) -> Iterator[None]:
    """Hold the run folder for this config and data within the block; all ranks share the claim.

    What killed processes have not finished writing is removed. A block that fails before a state
    was saved leaves the folder unclaimed.

    Raises:
        ValueError: naming what differs from the run already there, or the process that has it.
    """
    if own_rank():
        _await_claim(run_dir, values)
        yield
        return
    with held(run_dir):
        if not _has_state(run_dir) and not _is_claimed(run_dir, values, manifests):
            _forget_start(run_dir)
        claim_folder(run_dir, values)
        claim_data(run_dir, manifests)
        sweep(run_dir)
        for name in (CHECKPOINTS, PREDICTIONS):
            sweep(run_dir / name, all_of_them=True)
        try:
            yield
        except Exception:
            if not _has_state(run_dir):
                _forget_start(run_dir)
            raise


def _await_claim(run_dir: Path, values: Mapping[str, Any]) -> None:
    until = time.monotonic() + _PATIENCE
    while not (run_dir / CONFIG_FILE).is_file() or _difference(run_dir, values) is not None:
        if time.monotonic() > until:
            raise ValueError(f"the first rank has not claimed {run_dir}; see what it says")
        time.sleep(0.1)


def _has_state(run_dir: Path) -> bool:
    return any((run_dir / CHECKPOINTS).glob("[!.]*")) or (run_dir / METRICS_FILE).is_file()


def _is_claimed(run_dir: Path, values: Mapping[str, Any], manifests: Mapping[str, Path]) -> bool:
    try:
        claim_folder(run_dir, values)
        claim_data(run_dir, manifests)
    except ValueError:
        return False
    return True


def _forget_start(run_dir: Path) -> None:
    """Leave nothing of a start but rows of its log."""
    log = run_dir / LOG_FILE
    if log.is_file() and log.read_text(encoding="utf-8").count("\n") < 2:
        log.unlink()
    for name in _STARTED:
        (run_dir / name).unlink(missing_ok=True)
    shutil.rmtree(run_dir / TAGGER_FOLDER, ignore_errors=True)
    if (run_dir / CHECKPOINTS).is_dir() and not any((run_dir / CHECKPOINTS).iterdir()):
        (run_dir / CHECKPOINTS).rmdir()
    (run_dir / CONFIG_FILE).unlink(missing_ok=True)  # last: it says that the rest is its own


def claim_folder(run_dir: Path, values: Mapping[str, Any]) -> None:
    """Write the config into the run folder, or check that the folder is this config's.

    Raises:
        ValueError: naming the first value that differs from the run already there.
    """
    path = run_dir / CONFIG_FILE
    if not path.is_file():
        write_text(path, yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True))
        return
    if (found := _difference(run_dir, values)) is not None:
        raise ValueError(
            f"{run_dir} already holds another run: {found}; choose another name=, or remove the "
            "folder"
        )


def claim_data(run_dir: Path, manifests: Mapping[str, Path]) -> None:
    """Note which manifests the run is trained on, or check that they are still the same.

    Raises:
        ValueError: naming the manifest that changed; its symbols and utterances may be others.
    """
    hashes = {split: sha256(path) for split, path in manifests.items()}
    path = run_dir / DATA_FILE
    if not path.is_file():
        write_json(path, hashes)
        return
    there = read_json(path)
    for split, digest in hashes.items():
        if there.get(split) != digest:
            raise ValueError(
                f"{manifests[split]} has changed since {run_dir} was started; choose another "
                "name=, or remove the folder to train anew"
            )


def _difference(run_dir: Path, values: Mapping[str, Any]) -> str | None:
    there, here = dict(_flat(read_config(run_dir / CONFIG_FILE))), dict(_flat(values))
    for key in [*here, *there]:
        if key not in _MAY_DIFFER and there.get(key) != here.get(key):
            return f"{key} is {there.get(key)!r} there and {here.get(key)!r} here"
    return None


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
