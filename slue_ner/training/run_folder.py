"""The run folder as training leaves it: who may write into it, and what is read out of it.

``core.run_files`` lists its files.
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
from torch import nn

from slue_ner.core.files import read_json, sha256, sweep, write_json, write_text
from slue_ner.core.locks import held
from slue_ner.core.own_labels import LABELS_FILE, know_labels_beside
from slue_ner.core.processes import own_rank
from slue_ner.core.run_files import (
    BEST_WEIGHTS,
    CENTROIDS_FILE,
    CHECKPOINTS,
    CLUSTERS_FILE,
    CONFIG_FILE,
    CONSOLE_FILE,
    DATA_FILE,
    ENCODER_FILE,
    FRAMES_FILE,
    LAST_STATE,
    LAST_WEIGHTS,
    LOCALIZER_FILE,
    LOG_FILE,
    METRICS_FILE,
    PREDICTIONS,
    TAGGER_FOLDER,
    VOCABULARY_FILE,
    but_holds_runs,
    read_config,
)
from slue_ner.models.encoder.building import encoder_from_blueprint
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.text.vocabulary import Vocabulary
from slue_ner.training.checkpoints import check_written, holds_all, load_weights

_STARTED = (
    *(DATA_FILE, VOCABULARY_FILE, ENCODER_FILE, CLUSTERS_FILE, CENTROIDS_FILE),
    *(CONSOLE_FILE, LABELS_FILE),
    *(LOCALIZER_FILE, FRAMES_FILE),  # of weights that somebody has removed
)
"""What may stand in a folder without a saved state, beside config and tagger."""

_PATIENCE = 60.0  # seconds that other ranks give the first one to claim the folder

_MAY_DIFFER = (
    *("name", "run_dir", "data.evaluate"),
    *("data.num_workers", "trainer.num_threads", "trainer.log_every", "trainer.keep"),
)
"""What has no part in the weights; a folder may be renamed, and further splits be scored."""


_WEIGHTS = {"best": BEST_WEIGHTS, "last": LAST_WEIGHTS}

_WRITTEN_BY = {
    VOCABULARY_FILE: "with a CTC head",
    ENCODER_FILE: "with a speech encoder",
    TAGGER_FOLDER: "of text NER",
}


@dataclass(frozen=True, slots=True)
class RunFolder:
    """What a task restores a trained run from.

    Attributes:
        path: the folder.
    """

    path: Path

    def __post_init__(self) -> None:
        know_labels_beside(self.path / CONFIG_FILE)

    def vocabulary(self) -> Vocabulary:
        """The symbols of its CTC head.

        Raises:
            ValueError: naming the file that is missing or damaged.
        """
        return Vocabulary.load(self._needed(VOCABULARY_FILE))

    def encoder(self) -> SpeechEncoder:
        """The structure of its encoder before adaptation, with random weights.

        Raises:
            ValueError: naming the file that is missing or damaged.
        """
        path = self._needed(ENCODER_FILE)
        blueprint: Mapping[str, Any] = read_json(path)
        try:
            return encoder_from_blueprint(blueprint)
        except (LookupError, TypeError) as error:
            raise ValueError(
                f"{path} describes no encoder ({type(error).__name__}: {error}); copy the run again"
            ) from error

    def tagger(self) -> Path:
        """The folder of its text tagger.

        Raises:
            ValueError: when it is missing.
        """
        return self._needed(TAGGER_FOLDER)

    def load_into(
        self, model: nn.Module, *, weights: str, vocabulary: Vocabulary | None = None
    ) -> None:
        """Load its ``best`` or ``last`` weights, which must be of this vocabulary.

        Raises:
            ValueError: naming the file that is missing or does not fit.
        """
        load_weights(model, self.weights(weights), vocabulary=vocabulary)

    def weights(self, name: str) -> Path:
        """The file of the ``best`` or ``last`` weights, there or not."""
        return self.path / CHECKPOINTS / _WEIGHTS[name]

    def weights_hash(self, name: str = "best") -> str:
        """sha256 of the file of the ``best`` or ``last`` weights: what emissions are marked with.

        Raises:
            ValueError: when it is missing.
        """
        path = self.weights(name)
        check_written(path)
        return sha256(path)

    def holds_all(self, weights: str) -> bool:
        """Whether its ``best`` or ``last`` weights need no other checkpoint beside them.

        Raises:
            ValueError: naming the file when it is damaged.
        """
        return holds_all(self.weights(weights))

    def holds_too_much(self) -> bool:
        """Whether a finished run, by its own config, should have forgotten its training by now."""
        trainer = read_config(self.path / CONFIG_FILE).get("trainer", {})
        return trainer.get("keep") == "trained" and any(
            (self.path / CHECKPOINTS / name).is_file() for name in (LAST_STATE, LAST_WEIGHTS)
        )

    def was_finished(self) -> bool:
        """Whether it has reported before and forgotten its training: it cannot go on."""
        reported = any((self.path / PREDICTIONS).glob("*.jsonl"))
        best, state = (self.path / CHECKPOINTS / n for n in (BEST_WEIGHTS, LAST_STATE))
        return reported and best.is_file() and not state.is_file()

    def forget_training(self) -> None:
        """Leave the best weights alone, once the run is finished."""
        for name in (LAST_STATE, LAST_WEIGHTS):
            (self.path / CHECKPOINTS / name).unlink(missing_ok=True)

    def _needed(self, name: str) -> Path:
        path = self.path / name
        if not path.exists():
            if (inside := but_holds_runs(self.path)) != "":
                raise ValueError(f"{self.path} is not a run folder{inside}")
            raise ValueError(
                f"{self.path} has no {name}, which runs {_WRITTEN_BY[name]} have once they have "
                "begun to train"
            )
        return path


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
            found = f"{key} is {there.get(key)!r} there and {here.get(key)!r} here"
            return f"{found}{_HINTS.get(key, '')}"
    return None


_HINTS = {
    "trainer.max_updates": " (the schedule of a run is as long as it was started: `slue-ner "
    "export` gives its encoder to a longer one)"
}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
