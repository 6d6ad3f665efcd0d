"""What every run is told about time, place and logs; the YAML files hold the values."""

from __future__ import annotations

from dataclasses import dataclass

from slue_ner.core.suggest import nearest

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
ACCELERATORS = ("auto", "cpu", "gpu")


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
