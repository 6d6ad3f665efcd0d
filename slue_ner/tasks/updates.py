"""The updates of a run, from its last saved state to its end, whatever it trains."""

from __future__ import annotations

import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console
from torch.utils.data import DataLoader

from slue_ner.core.listing import shown
from slue_ner.models.adaptation.report import AdaptationReport
from slue_ner.tasks.building import CHECKPOINTS
from slue_ner.tasks.checkpoint_files import (
    LAST_STATE,
    LAST_WEIGHTS,
    read_state,
    save_weights,
)
from slue_ner.tasks.checkpoints import Checkpoints
from slue_ner.tasks.config import RunConfig, TrainerOptions
from slue_ner.tasks.loggers import CSVLog, build_loggers, finish_loggers
from slue_ner.tasks.progress import Throughput, TrainingProgress
from slue_ner.tasks.quiet import quiet_lightning
from slue_ner.tasks.ranks import find_ranks
from slue_ner.tasks.resumable import ResumableTask
from slue_ner.tasks.signals import KeepSignals, stop_on_signal
from slue_ner.tasks.trainer import build_trainer

Loaders = tuple[DataLoader[Any], DataLoader[Any]]
"""Training batches without end, and one pass over tune."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What a finished training run reports.

    Attributes:
        figures: numbers and counts for ``metrics.json``.
        report: what the adaptation did.
    """

    figures: dict[str, Any]
    report: AdaptationReport


def begin(config: RunConfig) -> tuple[int, int]:
    """Set threads and seed; this process's rank and the number of ranks.

    Raises:
        ValueError: unless one process a device was started, and for a GPU that is not there.
    """
    check_accelerator(config.trainer)
    ranks = find_ranks(devices=config.trainer.devices, num_nodes=config.trainer.num_nodes)
    if config.trainer.num_threads:
        torch.set_num_threads(config.trainer.num_threads)
    pl.seed_everything(config.seed, verbose=False)
    return ranks


def check_accelerator(options: TrainerOptions) -> None:
    """Refuse what this machine cannot run; Lightning would quietly compute something else.

    Raises:
        ValueError: naming the option.
    """
    has_gpu = torch.cuda.is_available()
    if options.accelerator == "gpu" and not has_gpu:
        raise ValueError(
            "trainer.accelerator=gpu, but torch sees no GPU here; use trainer.accelerator=auto"
        )
    if options.precision == "16-mixed" and (options.accelerator == "cpu" or not has_gpu):
        raise ValueError(
            "trainer.precision=16-mixed needs a GPU; use 32-true or bf16-mixed on a CPU"
        )


def run_updates(
    config: RunConfig,
    task: ResumableTask,
    run_dir: Path,
    *,
    loaders: Callable[[int], Loaders],
    num_ranks: int,
    throughput: Throughput,
    console: Console,
) -> Checkpoints:
    """Train until ``max_updates`` or early stopping, and save the last weights.

    Args:
        config: of the run.
        task: as it is at the start; a saved state is loaded into it.
        run_dir: receives log and checkpoints.
        loaders: the batches of this rank, those of training from a given number on.
        num_ranks: processes.
        throughput: counts what is trained on.
        console: where progress goes.

    Raises:
        StopRequestedError: after a signal, once the state is saved.
    """
    options = config.trainer
    folder = run_dir / CHECKPOINTS
    last = folder / LAST_STATE
    state = read_state(last)
    train_loader, tune_loader = loaders(0 if state is None else state["num_batches"])
    loggers = build_loggers(config.logger, name=config.name, folder=run_dir)
    assert isinstance(loggers[0], CSVLog)
    loggers[0].resume_at(0 if state is None else state["global_step"])
    if state is not None:
        console.print(f"resuming at update {state['global_step']}", highlight=False)
    with stop_on_signal() as stop_requested, quiet_lightning():
        checkpoints = Checkpoints(
            folder,
            maximize=task.maximize,
            save_every=options.save_every,
            patience=options.patience,
            stop_requested=stop_requested,
        )
        progress = TrainingProgress(throughput, log_every=options.log_every, console=console)
        trainer = build_trainer(
            config,
            run_dir,
            num_ranks=num_ranks,
            loggers=loggers,
            callbacks=[KeepSignals(stop_requested), throughput, progress, checkpoints],
        )
        try:
            trainer.fit(
                task,
                train_loader,
                tune_loader,
                ckpt_path=None if state is None else last,
                weights_only=True,
            )
            if checkpoints.last_update != trainer.global_step:
                trainer.validate(task, tune_loader, verbose=False)
        except SystemExit as stop:  # what Lightning makes of a second Ctrl-C
            raise KeyboardInterrupt from stop
        finally:
            finish_loggers(loggers)
    if trainer.is_global_zero:
        save_weights(task.model, folder / LAST_WEIGHTS, vocabulary=task.vocabulary)
    return checkpoints


def peak_memory() -> int:
    """Most bytes in use so far: of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def listed(ids: Sequence[str]) -> str:
    """How many ids, and the first of them."""
    return f"{len(ids)} utterances ({shown(ids)})"
