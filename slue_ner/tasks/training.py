"""Training from a config to checkpoints in a run folder."""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console

from slue_ner.core.records import read_manifest
from slue_ner.core.types import Utterance
from slue_ner.data.features import States
from slue_ner.data.loading import evaluation_loader, training_loader
from slue_ner.models.adaptation.report import AdaptationReport
from slue_ner.tasks.base import Task
from slue_ner.tasks.building import CHECKPOINTS
from slue_ner.tasks.checkpoint_files import (
    LAST_STATE,
    LAST_WEIGHTS,
    AtomicCheckpointIO,
    save_weights,
)
from slue_ner.tasks.checkpoints import Checkpoints
from slue_ner.tasks.config import TrainConfig
from slue_ner.tasks.ctc import CTCTask
from slue_ner.tasks.devices import pick_device
from slue_ner.tasks.features import frozen_states
from slue_ner.tasks.loggers import CSVLog, build_loggers, finish_loggers
from slue_ner.tasks.new_task import new_task
from slue_ner.tasks.progress import Throughput, TrainingProgress
from slue_ner.tasks.quiet import quiet_lightning
from slue_ner.tasks.ranks import find_ranks
from slue_ner.tasks.reading import read_training
from slue_ner.tasks.signals import KeepSignals, stop_on_signal
from slue_ner.tasks.trainer import build_trainer


@dataclass(frozen=True, slots=True)
class Fit:
    """What a finished training run reports.

    Attributes:
        figures: numbers and counts for ``metrics.json``.
        report: what the adaptation did.
    """

    figures: dict[str, Any]
    report: AdaptationReport


def fit(config: TrainConfig, run_dir: Path, *, console: Console) -> Fit:
    """Train, or go on training, until ``max_updates`` or early stopping.

    Args:
        config: the run.
        run_dir: receives vocabulary, encoder blueprint, log and checkpoints.
        console: where progress goes.

    Raises:
        ValueError: for data, config or a model that cannot be trained, in one sentence.
        StopRequestedError: after a signal, once the state is saved.
    """
    ranks = find_ranks(devices=config.trainer.devices, num_nodes=config.trainer.num_nodes)
    if config.trainer.num_threads:
        torch.set_num_threads(config.trainer.num_threads)
    pl.seed_everything(config.seed, verbose=False)
    train = read_training(config.data)
    tune = read_manifest(config.data.tune_manifest)
    if len(tune) < ranks[1]:
        raise ValueError(
            f"data.tune={config.data.tune} holds {len(tune)} utterances, which are too few to "
            f"choose a checkpoint on with {ranks[1]} devices; prepare the data with a larger share"
        )
    made = new_task(config, train, tune, run_dir, console=console)
    task, report, left_out = made.task, made.task.report, made.left_out
    for reason, ids in left_out.items():
        console.print(f"left out of training, {reason}: {_listed(ids)}", highlight=False)
    console.print(
        f"adaptation {report.strategy}: {report.num_trainable:,} of {report.num_total:,} encoder "
        f"values trainable ({report.trainable_share:.1%}); {len(made.train)} utterances, "
        f"{sum(u.duration for u in made.train) / 3600:.2f} h; {made.num_symbols} symbols",
        highlight=False,
    )
    throughput = Throughput()
    started = time.perf_counter()
    with _states(config, task, [*made.train, *tune], run_dir, console=console) as states:
        checkpoints = _run(
            config,
            task,
            made.train,
            run_dir,
            ranks=ranks,
            states=states,
            throughput=throughput,
            console=console,
        )
    task.share_unreadable()
    figures = {
        "updates": task.global_step,
        "best_update": checkpoints.best_update,
        "seconds": time.perf_counter() - started,
        "peak_memory_bytes": _peak_memory(),
        "num_train_utterances": len(made.train),
        "left_out": {reason: len(ids) for reason, ids in left_out.items()},
        "unreadable": task.unreadable,
        "model_parameters": sum(parameter.numel() for parameter in task.model.parameters()),
        **throughput.summary(),
    }
    return Fit(figures, report)


def _run(
    config: TrainConfig,
    task: Task,
    train: Sequence[Utterance],
    run_dir: Path,
    *,
    ranks: tuple[int, int],
    states: States | None,
    throughput: Throughput,
    console: Console,
) -> Checkpoints:
    options = config.trainer
    folder = run_dir / CHECKPOINTS
    last = folder / LAST_STATE
    state = AtomicCheckpointIO().load_checkpoint(last) if last.is_file() else None
    rank, num_ranks = ranks
    loading = {"min_samples": task.encoder.grid.window, "rank": rank, "num_ranks": num_ranks}
    train_loader = training_loader(
        train,
        options=config.data,
        target=task.target,
        seed=config.seed,
        augment=config.augment,
        states=states,
        start=0 if state is None else state["num_batches"],
        **loading,
    )
    tune_loader = evaluation_loader(
        task.tune,
        batch_seconds=config.data.batch_seconds,
        target=task.target,
        states=states,
        **loading,
    )
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
            head_first=task.report.encoder_frozen_until > 0,
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
        save_weights(task.model, folder / LAST_WEIGHTS)
    return checkpoints


def _states(
    config: TrainConfig,
    task: Task,
    utterances: Sequence[Utterance],
    run_dir: Path,
    *,
    console: Console,
) -> AbstractContextManager[States | None]:
    """The states of an encoder that stays as it is and always hears the same audio."""
    if not isinstance(task, CTCTask) or not task.encoder.frozen or config.augment.changes:
        return nullcontext()
    return frozen_states(
        task.encoder,
        utterances,
        run_dir=run_dir,
        layers=task.model.mixing.layers_needed,
        options=config.features,
        device=pick_device("cpu" if config.trainer.accelerator == "cpu" else "auto"),
        precision=config.trainer.precision,
        console=console,
    )


def _peak_memory() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _listed(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return f"{len(ids)} utterances ({', '.join(ids[:5])}{more})"
