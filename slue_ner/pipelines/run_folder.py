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
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from slue_ner.core.files import read_json, sha256, write_json, write_text
from slue_ner.models.ctc_model import CTCModel
from slue_ner.models.text_tagger import TextTagger
from slue_ner.pipelines.run_files import CONFIG_FILE, read_config
from slue_ner.tasks.building import trained_model
from slue_ner.tasks.config import TrainConfig, train_config
from slue_ner.tasks.text_config import is_text, text_config
from slue_ner.tasks.text_training import trained_tagger
from slue_ner.text.vocabulary import Vocabulary

DATA_FILE = "data.json"
PREDICTIONS = "predictions"

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


def claim_folder(run_dir: Path, values: Mapping[str, Any]) -> None:
    """Write the config into the run folder, or check that the folder is this config's.

    Raises:
        ValueError: naming the first value that differs from the run already there.
    """
    path = run_dir / CONFIG_FILE
    if not path.is_file():
        write_text(path, yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True))
        return
    there, here = dict(_flat(read_config(path))), dict(_flat(values))
    for key in [*here, *there]:
        if key not in _MAY_DIFFER and there.get(key) != here.get(key):
            raise ValueError(
                f"{run_dir} already holds another run: {key} is {there.get(key)!r} there and "
                f"{here.get(key)!r} here; choose another name=, or remove the folder"
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


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
