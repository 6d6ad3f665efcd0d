"""What a run is told, and a task: from its config to Lightning and back to what predicts.

A task is the typed config of ``task=...`` that acts, as an adaptation strategy is one of
``adaptation=...``. It builds what is trained and writes nothing; ``training.fit`` saves what it
says is to be saved. ``tasks.registry`` has the table of all tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from rich.console import Console
from torch.utils.data import DataLoader

from slue_ner.core.suggest import nearest
from slue_ner.core.types import Prediction, Utterance
from slue_ner.data.loading.loaders import DataOptions
from slue_ner.models.adaptation.strategy import AdaptationReport
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.text.vocabulary import Vocabulary
from slue_ner.training.module import TrainingModule
from slue_ner.training.optim import OptimOptions
from slue_ner.training.progress import Throughput
from slue_ner.training.run_folder import RunFolder

_LARGEST_SEED = 2**32 - 1  # of numpy

Loaders = tuple[DataLoader[Any], DataLoader[Any]]
"""Training batches without end, and one pass over tune."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What there is to train on.

    Attributes:
        train: all utterances of the training manifests; a task keeps what it can use.
        tune: those that checkpoints are chosen on.
        num_ranks: processes that share them.
        vocabulary: the CTC symbols of a run that goes on; ``None`` at a start.
    """

    train: list[Utterance]
    tune: list[Utterance]
    num_ranks: int = 1
    vocabulary: Vocabulary | None = None


class Batches(Protocol):
    """What a run is trained and validated on, ready to be loaded."""

    throughput: Throughput

    def opened(
        self, run_dir: Path, *, rank: int, num_ranks: int, console: Console
    ) -> AbstractContextManager[Callable[[int], Loaders]]:
        """The loaders of this rank, those of training from a given batch on."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """A task at the start of its training.

    Attributes:
        module: ready for Lightning.
        batches: what it is trained on.
        report: what was made trainable.
        files: what a finished run is restored from, weights aside: name in the run folder to the
            function that writes it.
        notes: sentences for the user, in order.
        figures: for ``metrics.json``.
    """

    module: TrainingModule
    batches: Batches
    report: AdaptationReport
    files: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


class Predictor(Protocol):
    """A trained run, reading as it was tuned to read.

    Those that hear also have ``emit``, see ``inference.emitting``.
    """

    def predict(
        self, utterances: Sequence[Utterance], *, device: torch.device | str = "cpu"
    ) -> list[Prediction]:
        """One prediction an utterance, in their order; none is ever left out."""


@dataclass(kw_only=True)
class Task:
    """What a run trains. A subclass is a dataclass of the options of ``task=...``.

    Attributes:
        config_type: the config of its runs; one that hears nothing has no speech groups.
        is_scored: whether its runs predict anything that could be scored.
        instead: what to do with a run of it that was taken for another, as the end of a
            sentence that begins with its folder; ``{run}`` stands for that.
    """

    config_type: ClassVar[type[RunConfig]]
    is_scored: ClassVar[bool] = True
    instead: ClassVar[str] = "is no recogniser"

    def inputs(self) -> dict[str, Path]:
        """Files that a run is trained on beside its manifests, by the option that names them."""
        return {}

    def build(self, config: Any, data: TrainingData) -> Built:
        """What is to be trained; nothing is written.

        Args:
            config: a ``config_type``.
            data: utterances of train and tune.

        Raises:
            ValueError: for data, config or a model that cannot be trained, in one sentence.
        """
        raise NotImplementedError

    def finish(
        self, config: Any, folder: RunFolder, *, device: torch.device, console: Console
    ) -> None:
        """What is left to do when training has ended: tune how the best weights are read."""

    def restore(self, config: Any, folder: RunFolder, *, weights: str = "best") -> Predictor:
        """The trained run; neither hub nor original checkpoint is needed.

        Args:
            config: what the run was started with.
            folder: what it has left.
            weights: ``best`` on tune, or ``last``.

        Raises:
            ValueError: naming the file that is missing or does not fit.
        """
        raise ValueError(self.not_this(folder.path))

    def not_this(self, path: Path) -> str:
        """The sentence for a run that was taken for another."""
        return f"{path} {self.instead.format(run=path)}"

    def restore_encoder(
        self, config: Any, folder: RunFolder, *, weights: str = "best"
    ) -> SpeechEncoder:
        """The trained speech encoder; arguments and errors as of ``restore``."""
        raise ValueError(f"{folder.path} has no speech encoder to export")


@dataclass(kw_only=True)
class RunConfig:
    """What every run is told, whatever it trains.

    Attributes:
        name: of the run; its folder is ``runs/NAME`` unless ``run_dir`` says otherwise.
        run_dir: folder of the run.
        seed: of weights, batch order and everything else random.
        task: what is trained, made from its options.
    """

    name: str
    run_dir: str
    seed: int
    task: Task
    data: DataOptions
    optim: OptimOptions
    trainer: TrainerOptions
    logger: LoggerOptions

    @property
    def learner(self) -> str:
        """What learns, in a few words for the start of a run."""
        return type(self.task).__name__

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("name is empty, but the run's folder is named after it")
        if not 0 <= self.seed <= _LARGEST_SEED:
            raise ValueError(f"seed must be in [0, {_LARGEST_SEED}], got {self.seed}")


PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
ACCELERATORS = ("auto", "cpu", "gpu")
KEEP = ("trained", "all")


@dataclass(kw_only=True)
class TrainerOptions:
    """How long and on what to train.

    Attributes:
        max_updates: optimizer updates.
        accumulate: batches an update.
        validate_every: updates between two validations on tune.
        save_every: updates between two writes of the state to resume from; 0 at validations only.
        patience: validations without improvement before stopping early; 0 for never.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``; CTC itself is always float32.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        devices, num_nodes: processes, started by torchrun or SLURM when more than one.
        num_threads: CPU threads of torch; 0 leaves torch's choice.
        log_every: updates between two log entries.
        keep: what a finished run keeps: ``trained`` (the best weights; where most of the encoder
            is as its checkpoint has it, only what was trained) or ``all`` (whole weights, the last
            ones and the state to resume from, too).
    """

    max_updates: int
    accumulate: int
    validate_every: int
    save_every: int
    patience: int
    precision: str
    accelerator: str
    devices: int
    num_nodes: int
    num_threads: int
    log_every: int
    keep: str = "all"  # of runs of before there was a choice

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"trainer.precision={self.precision!r} is unknown; "
                f"{nearest(self.precision, PRECISIONS)}"
            )
        if self.accelerator not in ACCELERATORS:
            raise ValueError(
                f"trainer.accelerator={self.accelerator!r} is unknown; "
                f"{nearest(self.accelerator, ACCELERATORS)}"
            )
        if self.keep not in KEEP:
            raise ValueError(f"trainer.keep={self.keep!r} should be {' or '.join(KEEP)}")
        counts = ("max_updates", "accumulate", "validate_every", "devices", "num_nodes")
        for name in (*counts, "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"trainer.{name} must be at least 1, got {getattr(self, name)}")
        for name in ("save_every", "patience", "num_threads"):
            if getattr(self, name) < 0:
                raise ValueError(f"trainer.{name} must not be negative, got {getattr(self, name)}")


@dataclass(kw_only=True)
class LoggerOptions:
    """Where metrics go besides ``log.csv``, which is always written.

    Attributes:
        kind: ``csv`` (nothing more), ``wandb`` or ``tensorboard``.
        project: project on wandb.
        offline: keep wandb's files on this machine.
    """

    kind: str
    project: str = "slue-ner"
    offline: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("csv", "wandb", "tensorboard"):
            raise ValueError(f"logger.kind={self.kind!r} should be csv, wandb or tensorboard")
