"""Training from a config to checkpoints in a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from torch.utils.data import DataLoader

from slue_ner.core.types import Utterance
from slue_ner.data.loading.features import States
from slue_ner.data.loading.loaders import evaluation_loader, training_loader
from slue_ner.models.adaptation.report import AdaptationReport
from slue_ner.tasks.base import Task
from slue_ner.tasks.config import TrainConfig
from slue_ner.tasks.ctc import CTCTask
from slue_ner.tasks.devices import pick_device
from slue_ner.tasks.features import frozen_states
from slue_ner.tasks.frames import FrameTask
from slue_ner.tasks.new_task import new_task
from slue_ner.tasks.optim import OptimOptions
from slue_ner.tasks.progress import Throughput
from slue_ner.tasks.reading import read_training, read_tuning
from slue_ner.tasks.updates import Fit, begin, listed, peak_memory, run_updates


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
    ranks = begin(config)
    train, tune = read_training(config.data), read_tuning(config.data, num_ranks=ranks[1])
    made = new_task(config, train, tune, run_dir, console=console)
    task, report, left_out = made.task, made.task.report, made.left_out
    if task.encoder.guess is not None:
        console.print(task.encoder.guess, highlight=False)
    for reason, ids in left_out.items():
        console.print(f"left out of training, {reason}: {listed(ids)}", highlight=False)
    num_parameters = sum(parameter.numel() for parameter in task.model.parameters())
    console.print(
        f"adaptation {report.strategy}: {report.num_trainable:,} of {report.num_total:,} encoder "
        f"values trainable ({report.trainable_share:.1%}), all "
        f"{num_parameters - report.num_total:,} on top of it; learning rates "
        f"{_rates(config.optim, report)}; {len(made.train)} utterances, "
        f"{sum(u.duration for u in made.train) / 3600:.2f} h; {made.num_symbols} symbols",
        highlight=False,
    )
    for note in _notes(config, task, made.train):
        console.print(note, highlight=False)
    throughput = Throughput()
    with _states(config, task, [*made.train, *tune], run_dir, console=console) as states:
        checkpoints = run_updates(
            config,
            task,
            run_dir,
            loaders=lambda start: _loaders(
                config, task, made.train, states=states, start=start, ranks=ranks
            ),
            num_ranks=ranks[1],
            throughput=throughput,
            console=console,
        )
    task.share_unreadable()
    if task.unreadable:
        console.print(
            f"trained without {listed(list(task.unreadable))}, whose audio cannot be read",
            highlight=False,
        )
    figures = {
        "updates": task.global_step,
        "best_update": checkpoints.best_update,
        "peak_memory_bytes": peak_memory(),
        "num_train_utterances": len(made.train),
        "left_out": {reason: len(ids) for reason, ids in left_out.items()},
        "unreadable": task.unreadable,
        "model_parameters": num_parameters,
        **throughput.summary(),
    }
    return Fit(figures, report)


def _notes(config: TrainConfig, task: Task, train: Sequence[Utterance]) -> list[str]:
    """What the config asks for and this training will not see."""
    notes = []
    frozen_until, num_updates = task.report.encoder_frozen_until, config.trainer.max_updates
    if frozen_until >= num_updates:
        notes.append(
            f"note: adaptation.freeze_updates={frozen_until} leaves none of trainer.max_updates="
            f"{num_updates} to the encoder, which stays as it is"
        )
    augment, grid = task.encoder.spec_augment, task.encoder.grid
    if augment.time_prob and not task.encoder.frozen:
        frames = [grid.num_frames(utterance.num_samples or 0) for utterance in train]
        short = [u.id for u, n in zip(train, frames, strict=True) if n < augment.time_length]
        if short:
            notes.append(
                f"note: never masked, shorter than mask_time_length={augment.time_length} frames: "
                f"{listed(short)}"
            )
    return notes


def _rates(optim: OptimOptions, report: AdaptationReport) -> str:
    on_top = f"{optim.head_rate:g} on top"
    return f"{optim.lr:g} in the encoder, {on_top}" if report.num_trainable else on_top


def _loaders(
    config: TrainConfig,
    task: Task,
    train: Sequence[Utterance],
    *,
    states: States | None,
    start: int,
    ranks: tuple[int, int],
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    encoder = task.encoder
    loading: dict[str, Any] = {"rank": ranks[0], "num_ranks": ranks[1]}
    loading |= {"min_samples": encoder.grid.window, "filled_to": encoder.filled_to}
    train_loader = training_loader(
        train,
        options=config.data,
        target=task.target,
        frame_labels=task.frame_labels,
        seed=config.seed,
        augment=config.augment,
        states=states,
        start=start,
        **loading,
    )
    tune_loader = evaluation_loader(
        task.tune,
        batch_seconds=config.data.batch_seconds,
        target=task.target,
        frame_labels=task.frame_labels,
        states=states,
        **loading,
    )
    return train_loader, tune_loader


def _states(
    config: TrainConfig,
    task: Task,
    utterances: Sequence[Utterance],
    run_dir: Path,
    *,
    console: Console,
) -> AbstractContextManager[States | None]:
    """The states of an encoder that stays as it is and always hears the same audio."""
    always_the_same = task.encoder.frozen and not config.augment.changes
    if not isinstance(task, (CTCTask, FrameTask)) or not always_the_same:
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
