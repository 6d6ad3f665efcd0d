"""Everything a training run is told, as dataclasses; the YAML files hold the values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slue_ner.core.config import from_mapping
from slue_ner.core.suggest import nearest
from slue_ner.data.loading.augment import AugmentOptions
from slue_ner.data.loading.features import FeatureOptions
from slue_ner.data.loading.loaders import DataOptions
from slue_ner.models.adaptation.strategies import STRATEGIES
from slue_ner.models.adaptation.strategy import Strategy
from slue_ner.models.head_blocks import BlockOptions
from slue_ner.models.mixing import MixingOptions
from slue_ner.models.options import EncoderOptions
from slue_ner.tasks.frame_targets import FrameOptions
from slue_ner.tasks.optim import OptimOptions
from slue_ner.tasks.targets import CTCOptions
from slue_ner.tasks.units import PretrainOptions

AudioTask = CTCOptions | FrameOptions | PretrainOptions

TASKS: Mapping[str, type[Any]] = {
    "ctc": CTCOptions,
    "frames": FrameOptions,
    "pretrain": PretrainOptions,
}

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
ACCELERATORS = ("auto", "cpu", "gpu")

_LARGEST_SEED = 2**32 - 1  # of numpy


@dataclass(kw_only=True)
class HeadOptions(BlockOptions):
    """The CTC head: its blocks and its dropout, which a frame head shares.

    Attributes:
        dropout: before the last linear layer, and within the blocks.
    """

    kind: str = "linear"  # defaults are for runs of before heads had blocks
    size: int = 256
    num_layers: int = 2
    kernel: int = 5
    dropout: float


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


@dataclass(kw_only=True)
class RunConfig:
    """What every run is told, whatever it trains.

    Attributes:
        name: of the run; its folder is ``runs/NAME`` unless ``run_dir`` says otherwise.
        run_dir: folder of the run.
        seed: of weights, batch order and everything else random.
    """

    name: str
    run_dir: str
    seed: int
    data: DataOptions
    optim: OptimOptions
    trainer: TrainerOptions
    logger: LoggerOptions

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("name is empty, but the run's folder is named after it")
        if not 0 <= self.seed <= _LARGEST_SEED:
            raise ValueError(f"seed must be in [0, {_LARGEST_SEED}], got {self.seed}")


@dataclass(kw_only=True)
class TrainConfig(RunConfig):
    """One run on audio.

    Attributes:
        task: CTC training, classification of frames, or pre-training of an encoder.
        adaptation: one of the strategies, already made from its options.
    """

    task: AudioTask
    encoder: EncoderOptions
    adaptation: Strategy
    mixing: MixingOptions
    head: HeadOptions
    augment: AugmentOptions
    features: FeatureOptions


def train_config(values: Mapping[str, Any]) -> TrainConfig:
    """The typed form of a composed config.

    Raises:
        ValueError: naming the key that is unknown, missing or wrong.
    """
    adaptation, task = strategy(values.get("adaptation")), task_options(values.get("task"))
    return from_mapping(TrainConfig, {**values, "adaptation": adaptation, "task": task})


def task_options(values: Any) -> AudioTask:
    """The options of the task named by ``kind``."""
    if not isinstance(values, Mapping) or "kind" not in values:
        raise ValueError("task.kind is missing; known: " + ", ".join(TASKS))
    kind = values["kind"]
    if kind not in TASKS:
        raise ValueError(f"task.kind={kind!r} is unknown; {nearest(str(kind), TASKS)}")
    options = {key: value for key, value in values.items() if key != "kind"}
    made: AudioTask = from_mapping(TASKS[kind], options, where="task")
    return made


def strategy(values: Any) -> Strategy:
    """The adaptation strategy named by ``strategy``, with the rest as its options."""
    if not isinstance(values, Mapping) or "strategy" not in values:
        raise ValueError("adaptation.strategy is missing; known: " + ", ".join(STRATEGIES))
    name = values["strategy"]
    if name not in STRATEGIES:
        raise ValueError(f"adaptation={name!r} is unknown; {nearest(str(name), STRATEGIES)}")
    options = {key: value for key, value in values.items() if key != "strategy"}
    made: Strategy = from_mapping(STRATEGIES[name], options, where="adaptation")
    return made
