"""Training from a config to checkpoints in a run folder, whatever is trained."""

from __future__ import annotations

import logging
import resource
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from rich.console import Console

from slue_ner.core.own_labels import keep_labels_beside
from slue_ner.core.run_files import (
    CHECKPOINTS,
    CONFIG_FILE,
    LAST_STATE,
    LAST_WEIGHTS,
    VOCABULARY_FILE,
    read_config,
)
from slue_ner.models.adaptation.strategy import AdaptationReport
from slue_ner.text.vocabulary import Vocabulary
from slue_ner.training.checkpoints import (
    AtomicCheckpointIO,
    Checkpoints,
    read_state,
    save_module,
)
from slue_ner.training.loggers import CSVLog, LearningRates, build_loggers, finish_loggers
from slue_ner.training.manifests import read_training, read_tuning
from slue_ner.training.module import TrainingModule
from slue_ner.training.progress import Throughput, TrainingProgress
from slue_ner.training.ranks import find_ranks, process_plugins, process_strategy
from slue_ner.training.signals import KeepSignals, stop_on_signal
from slue_ner.training.task import Loaders, RunConfig, TrainerOptions, TrainingData


@dataclass(frozen=True, slots=True)
class Fit:
    """What a finished training run reports.

    Attributes:
        figures: numbers and counts for ``metrics.json``.
        report: what the adaptation did.
    """

    figures: dict[str, Any]
    report: AdaptationReport


def fit(config: RunConfig, run_dir: Path, *, console: Console) -> Fit:
    """Train, or go on training, until ``max_updates`` or early stopping.

    Args:
        config: the run.
        run_dir: receives what the task says is to be saved, log and checkpoints.
        console: where progress goes.

    Raises:
        ValueError: for data, config or a model that cannot be trained, in one sentence.
        StopRequestedError: after a signal, once the state is saved.
    """
    rank, num_ranks = begin(config)
    console.print(_start(config), highlight=False, markup=False)
    symbols = run_dir / VOCABULARY_FILE
    data = TrainingData(
        read_training(config.data),
        read_tuning(config.data, num_ranks=num_ranks),
        num_ranks=num_ranks,
        vocabulary=Vocabulary.load(symbols) if symbols.is_file() else None,
    )
    if rank == 0:
        every = [*data.train, *data.tune]
        keep_labels_beside(run_dir / CONFIG_FILE, (e for u in every for e in u.entities))
    built = config.task.build(config, data)
    for name, write in built.files.items() if rank == 0 else ():
        write(run_dir / name)
    for note in built.notes:
        console.print(note, highlight=False, markup=False)
    module = built.module
    module.folder, module.console = run_dir, console
    where: dict[str, Any] = {"rank": rank, "num_ranks": num_ranks, "console": console}
    with built.batches.opened(run_dir, **where) as loaders:
        checkpoints = run_updates(
            config,
            module,
            run_dir,
            loaders=loaders,
            num_ranks=num_ranks,
            throughput=built.batches.throughput,
            hyperparameters=_hyperparameters(run_dir, built.report),
            console=console,
        )
    for note in module.ended():
        console.print(note, highlight=False, markup=False)
    figures = {
        "updates": module.global_step,
        "best_update": checkpoints.best_update,
        "peak_memory_bytes": peak_memory(),
        **built.figures,
        **module.figures(),
        **built.batches.throughput.summary(),
    }
    return Fit(figures, built.report)


def _hyperparameters(run_dir: Path, report: AdaptationReport) -> dict[str, Any]:
    """The whole config as it was composed, and what the adaptation made of the encoder."""
    path = run_dir / CONFIG_FILE
    counts = {
        "strategy": report.strategy,
        "num_trainable": report.num_trainable,
        "num_total": report.num_total,
        "trainable_share": report.trainable_share,
    }
    return {**(read_config(path) if path.is_file() else {}), "adapted": counts}


def _start(config: RunConfig) -> str:
    """What is about to happen, and where."""
    options = config.trainer
    on_gpu = options.accelerator != "cpu" and torch.cuda.is_available()
    threads = torch.get_num_threads()
    on_cpu = f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    device = torch.cuda.get_device_name() if on_gpu else on_cpu
    if options.devices * options.num_nodes > 1:
        device = f"{options.devices * options.num_nodes} x {device}"
    return (
        f"{config.name}: {config.learner}; {config.data.train_manifests[0]}; "
        f"{options.max_updates} updates on {device}, {options.precision}"
    )


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
    module: TrainingModule,
    run_dir: Path,
    *,
    loaders: Callable[[int], Loaders],
    num_ranks: int,
    throughput: Throughput,
    hyperparameters: Mapping[str, Any],
    console: Console,
) -> Checkpoints:
    """Train until ``max_updates`` or early stopping, and save the last weights.

    Args:
        config: how long to train, on what, and how often to look.
        module: as it is at the start; a saved state is loaded into it.
        run_dir: receives log and checkpoints.
        loaders: the batches of this rank, those of training from a given number on.
        num_ranks: processes.
        throughput: counts what is trained on.
        hyperparameters: for trackers.
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
    callbacks: list[Callback] = []
    if loggers[1:]:
        callbacks = [LearningRates()]
    if state is not None:
        console.print(f"resuming at update {state['global_step']}", highlight=False)
    with stop_on_signal() as stop_requested, quiet_lightning():
        checkpoints = Checkpoints(
            folder,
            maximize=module.maximize,
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
            callbacks=[
                *(KeepSignals(stop_requested), throughput, progress, checkpoints),
                *callbacks,
            ],
        )
        try:
            for tracker in loggers[1:]:
                tracker.log_hyperparams(dict(hyperparameters))
            trainer.fit(
                module,
                train_loader,
                tune_loader,
                ckpt_path=None if state is None else last,
                weights_only=True,
            )
            if checkpoints.last_update != trainer.global_step:
                trainer.validate(module, tune_loader, verbose=False)
        except SystemExit as stop:  # what Lightning makes of a second Ctrl-C
            raise KeyboardInterrupt from stop
        finally:
            finish_loggers(loggers)
    if trainer.is_global_zero:
        save_module(module, folder / LAST_WEIGHTS)
    return checkpoints


def peak_memory() -> int:
    """Most bytes in use so far: of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def build_trainer(
    config: RunConfig,
    run_dir: Path,
    *,
    num_ranks: int,
    loggers: Sequence[Any],
    callbacks: Sequence[Callback],
) -> pl.Trainer:
    """The trainer of a run.

    Args:
        config: its trainer and its clipping of gradients.
        run_dir: what Lightning calls its root; it writes nothing there.
        num_ranks: processes.
        loggers: Lightning's.
        callbacks: Lightning's.
    """
    options = config.trainer
    return pl.Trainer(
        accelerator=options.accelerator,
        devices=options.devices,
        num_nodes=options.num_nodes,
        strategy=process_strategy(num_ranks),
        precision=options.precision,  # type: ignore[arg-type]
        max_steps=options.max_updates,
        max_epochs=-1,
        accumulate_grad_batches=options.accumulate,
        val_check_interval=min(options.validate_every, options.max_updates) * options.accumulate,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        gradient_clip_val=config.optim.gradient_clip or None,
        log_every_n_steps=options.log_every,
        logger=list(loggers),
        callbacks=list(callbacks),
        plugins=[AtomicCheckpointIO(), *process_plugins()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=run_dir,
    )


_LOGGERS = ("pytorch_lightning", "lightning_fabric")
_ADVICE = (
    ".*does not have many workers.*",  # workers are a setting
    ".*Consider setting `persistent_workers=True`.*",  # a stream without end starts them once
    ".*GPU available but not used.*",  # so is the accelerator
    ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",  # Lightning 2.6 on torch 2.11
    ".*module\\(s\\) in eval mode at the start of training.*",  # a frozen encoder stays in it
    ".*mismatched key_padding_mask and attn_mask.*",  # stock WavLM attention, transformers 5.23
    ".*Checkpoint directory .* exists and is not empty.*",  # that is what resuming is
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's notes about devices, tips and stopping, and advice that is not ours.

    Its errors, and every other warning, come through.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in _ADVICE:
            warnings.filterwarnings("ignore", message=message)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
