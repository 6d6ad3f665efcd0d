"""From a config to the task that trains it: model, vocabulary, utterances it can use."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from slue_ner.core.labels import label_set
from slue_ner.core.types import Utterance
from slue_ner.data.corpora.dataset import check_labelled
from slue_ner.models.encoder import SpeechEncoder
from slue_ner.tasks.base import Task
from slue_ner.tasks.building import (
    VOCABULARY_FILE,
    frame_model,
    new_encoder,
    new_model,
    pretrain_model,
)
from slue_ner.tasks.config import TrainConfig
from slue_ner.tasks.ctc import CTCTask
from slue_ner.tasks.frame_targets import FrameOptions, select_timed
from slue_ner.tasks.frames import FrameTask
from slue_ner.tasks.pretrain import PretrainTask
from slue_ner.tasks.targets import LOST_IN_SYMBOLS, CTCOptions, readable, select
from slue_ner.tasks.units import PretrainOptions, select_for_pretraining, unit_vocabulary
from slue_ner.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class NewTask:
    """A task and what it is trained on.

    Attributes:
        task: ready for Lightning.
        train: the utterances it can use.
        left_out: ids of the others, by reason.
        num_symbols: CTC symbols; 0 without a CTC head.
    """

    task: Task
    train: list[Utterance]
    left_out: dict[str, list[str]]
    num_symbols: int


def new_task(
    config: TrainConfig,
    train: Sequence[Utterance],
    tune: Sequence[Utterance],
    run_dir: Path,
    *,
    console: Console,
) -> NewTask:
    """What a config trains, at its start; vocabulary and blueprint go into the run folder.

    Args:
        config: of the run.
        train: all there is to train on; the task keeps what it can use.
        tune: what checkpoints are chosen on.
        run_dir: the run folder.
        console: where the task may report.
    """
    if isinstance(config.task, CTCOptions):
        return _new_ctc(config, config.task, train, tune, run_dir)
    if isinstance(config.task, FrameOptions):
        return _new_frames(config, config.task, train, tune, run_dir)
    return _new_pretraining(config, config.task, train, tune, run_dir, console=console)


def _new_ctc(
    config: TrainConfig,
    options: CTCOptions,
    train: Sequence[Utterance],
    tune: Sequence[Utterance],
    run_dir: Path,
) -> NewTask:
    if options.target == "tagged":
        check_labelled(train)
    marks = options.labels if options.target == "tagged" else None
    vocabulary = _vocabulary(run_dir, lambda: _characters(train, marks))
    model, report = new_model(config, vocabulary, run_dir)
    kept, left_out = select(train, vocabulary, model.grid, **_limits(config))
    _check_heard_at_once(kept, model.encoder, config)
    tune = _tunable(tune, vocabulary, left_out, split=config.data.tune)
    task = CTCTask(
        model,
        vocabulary=vocabulary,
        monitor=options.monitor,
        report=report,
        optim=config.optim,
        max_updates=config.trainer.max_updates,
        tune=tune,
        num_train=len(kept),
    )
    return NewTask(task, kept, left_out, len(vocabulary))


def _new_frames(
    config: TrainConfig,
    options: FrameOptions,
    train: Sequence[Utterance],
    tune: Sequence[Utterance],
    run_dir: Path,
) -> NewTask:
    check_labelled(train)
    encoder, report = new_encoder(config, run_dir)
    limits = _limits(config)
    kept, left_out = select_timed(train, encoder.grid, labels=options.labels, **limits)
    tune, not_tuned = select_timed(tune, encoder.grid, labels=options.labels)
    left_out |= {f"on tune, {reason}": ids for reason, ids in not_tuned.items()}
    vocabulary = None
    if options.ctc_weight:
        marks = options.labels if options.ctc_target == "tagged" else None
        vocabulary = _vocabulary(run_dir, lambda: _characters(train, marks))
        kept, too_short = select(kept, vocabulary, encoder.grid, **limits)
        left_out |= too_short
        tune = _tunable(tune, vocabulary, left_out, split=config.data.tune)
    _check_heard_at_once(kept, encoder, config)
    for what, split, utterances in (
        ("train", config.data.train, kept),
        ("tune", config.data.tune, tune),
    ):
        if not any(entity.start is not None for u in utterances for entity in u.entities):
            raise ValueError(
                f"data.{what}={split} has no entity with times; frame heads learn from word times, "
                "so run `slue-ner align` on the manifest first"
            )
    task = FrameTask(
        frame_model(config, options, encoder, vocabulary),
        options=options,
        vocabulary=vocabulary,
        report=report,
        optim=config.optim,
        max_updates=config.trainer.max_updates,
        tune=tune,
        num_train=len(kept),
    )
    return NewTask(task, kept, left_out, 0 if vocabulary is None else len(vocabulary))


def _new_pretraining(
    config: TrainConfig,
    options: PretrainOptions,
    train: Sequence[Utterance],
    tune: Sequence[Utterance],
    run_dir: Path,
    *,
    console: Console,
) -> NewTask:
    encoder, report = new_encoder(config, run_dir)
    if options.guesses_clusters and not encoder.spec_augment.time_prob:
        raise ValueError(
            f"task.objective={options.objective} hides frames, so encoder.mask_time_prob must be "
            "above 0, for example 0.5"
        )
    vocabulary = None
    if options.writes_units:
        vocabulary = _vocabulary(run_dir, lambda: unit_vocabulary(train, options.units))
    kept, left_out = select_for_pretraining(train, options, encoder.grid, **_limits(config))
    _check_heard_at_once(kept, encoder, config)
    task = PretrainTask(
        pretrain_model(options, encoder, vocabulary),
        options=options,
        vocabulary=vocabulary,
        train=kept,
        run_dir=run_dir,
        seed=config.seed,
        console=console,
        report=report,
        optim=config.optim,
        max_updates=config.trainer.max_updates,
        tune=tune,
        num_train=len(kept),
    )
    return NewTask(task, kept, left_out, 0 if vocabulary is None else len(vocabulary))


def _tunable(
    tune: Sequence[Utterance],
    vocabulary: Vocabulary,
    left_out: dict[str, list[str]],
    *,
    split: str,
) -> list[Utterance]:
    """What of tune can be written as symbols; the rest is put under ``left_out``."""
    kept, lost = readable(tune, vocabulary)
    left_out |= {f"on tune, {reason}": ids for reason, ids in lost.items()}
    if tune and not kept:
        raise ValueError(f"data.tune={split} cannot be tuned on: all texts have {LOST_IN_SYMBOLS}")
    return kept


def _limits(config: TrainConfig) -> dict[str, Any]:
    return {"max_seconds": config.data.max_seconds, "speed": 1.0 + config.augment.speed}


def _check_heard_at_once(
    train: Sequence[Utterance], encoder: SpeechEncoder, config: TrainConfig
) -> None:
    """Refuse now what an encoder of few positions would refuse in the middle of training.

    A frozen encoder hears audio of any length, in windows.

    Raises:
        ValueError: with the number of utterances that are too long at their slowest, the first of
            them and the ``data.max_seconds`` that leaves them out.
    """
    if encoder.max_frames is None or encoder.frozen:
        return
    slowest = 1.0 - config.augment.speed
    too_long = [
        utterance.id
        for utterance in train
        if encoder.grid.num_frames(round((utterance.num_samples or 0) / slowest))
        > encoder.max_frames
    ]
    if too_long:
        longest = encoder.max_frames * encoder.grid.frame_seconds
        slowed = f" and augment.speed={config.augment.speed:g} slows speech down"
        raise ValueError(
            f"{encoder.family.name} is trained on {longest:g} s at once"
            f"{slowed if config.augment.speed else ''}, but {len(too_long)} of {len(train)} "
            f"training utterances are longer, first {too_long[0]}; leave them out with "
            f"data.max_seconds={math.floor(100 * longest * slowest + 1e-6) / 100:g}"
        )


def _characters(train: Sequence[Utterance], labels: str | None) -> Vocabulary:
    """The characters of the transcripts, with the marks of a label set."""
    marks = None if labels is None else label_set(labels)
    return Vocabulary.build((utterance.text for utterance in train), marks)


def _vocabulary(run_dir: Path, build: Callable[[], Vocabulary]) -> Vocabulary:
    path = run_dir / VOCABULARY_FILE
    if path.is_file():
        return Vocabulary.load(path)
    vocabulary = build()
    vocabulary.save(path)
    return vocabulary
