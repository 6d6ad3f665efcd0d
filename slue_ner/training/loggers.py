"""Metrics on disk: a CSV that survives restarts, and wandb or TensorBoard when asked for."""

from __future__ import annotations

import csv
import secrets
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from slue_ner.core.files import write_text
from slue_ner.core.run_files import LOG_FILE
from slue_ner.training.task import LoggerOptions


class CSVLog(Logger):
    """Appends ``update,metric,value`` rows; rows after the update resumed from are dropped.

    Lightning's own CSV logger deletes an existing file when a run resumes.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "csv"

    @property
    def version(self) -> str:
        """There is one log a run."""
        return ""

    @rank_zero_only
    def resume_at(self, update: int) -> None:
        """Start the file, or cut off what an interrupted run wrote after ``update``."""
        kept = ["update,metric,value"]
        if self.path.is_file():
            rows = self.path.read_text(encoding="utf-8").splitlines()[1:]
            for row in rows:
                first = row.split(",")[0]  # a killed run may leave half a row
                if row.count(",") == 2 and first.isdecimal() and int(first) <= update:
                    kept.append(row)
        write_text(self.path, "\n".join(kept) + "\n")

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Nothing: the run folder holds the whole config."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append one row a metric."""
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows(
                (int(step or 0), name, value) for name, value in metrics.items() if name != "epoch"
            )


class LearningRates(Callback):
    """Tells trackers the rates of encoder and head, as often as they are told the loss.

    Lightning's ``LearningRateMonitor`` refuses groups that share a name, as those do that are
    decayed and those that are not.
    """

    def __init__(self) -> None:
        self._told = 0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Log ``lr_encoder`` and ``lr_head``."""
        step = trainer.global_step
        if step == self._told or step % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return  # several batches may make an update
        self._told = step
        groups = trainer.optimizers[0].param_groups
        rates = {f"lr_{group['name']}": float(group["lr"]) for group in groups}
        for tracker in trainer.loggers[1:]:
            tracker.log_metrics(rates, step)


def build_loggers(options: LoggerOptions, *, name: str, folder: Path) -> list[Logger]:
    """The CSV log first, then what ``options`` asks for.

    Raises:
        ValueError: when TensorBoard is asked for but not installed.
    """
    loggers: list[Logger] = [CSVLog(folder / LOG_FILE)]
    if options.kind == "wandb":
        loggers.append(
            WandbLogger(
                project=options.project,
                name=name,
                id=_run_id(folder),
                resume="allow",
                offline=options.offline,
                save_dir=folder,
            )
        )
    if options.kind == "tensorboard":
        try:
            loggers.append(TensorBoardLogger(folder, name="tensorboard", version=""))
        except ModuleNotFoundError as error:
            raise ValueError(
                "logger=tensorboard needs the package: pip install 'slue-ner[tensorboard]'"
            ) from error
    return loggers


def finish_loggers(loggers: Sequence[Logger]) -> None:
    """Close what a run has open: wandb would log the next run of this process into it."""
    for logger in loggers:
        opened = getattr(logger, "_experiment", None)  # the property would open it only to close
        if isinstance(logger, WandbLogger) and opened is not None:
            opened.finish()


def _run_id(folder: Path) -> str:
    """An id that stays the same when the run is started again, so that wandb goes on with it."""
    path = folder / "wandb_id.txt"
    if not path.is_file():
        write_text(path, secrets.token_hex(4))
    return path.read_text(encoding="utf-8").strip()
