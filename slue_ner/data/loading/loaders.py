"""Loaders: an endless stream of training batches, and one pass in order of length."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from slue_ner.core.own_labels import know, own_sets
from slue_ner.core.time import Seconds
from slue_ner.core.types import Utterance
from slue_ner.data.loading.augment import AugmentOptions
from slue_ner.data.loading.batch import FrameLabels, UtteranceDataset, collate
from slue_ner.data.loading.buckets import BucketStream, SeededStream, fill_batches
from slue_ner.data.loading.states import States

MAX_KEPT_BYTES = 2**30
"""Decoded training audio kept in memory, all workers of a loader together; 4.6 hours."""


@dataclass(kw_only=True)
class DataOptions:
    """Which manifests, and how they become batches.

    Attributes:
        root: folder with the manifests that ``slue-ner prepare`` wrote.
        train, tune: names of the splits to train on and to choose checkpoints on.
        evaluate: splits that are predicted and scored when training is over.
        batch_seconds: padded seconds of audio a batch, a device.
        max_seconds: longer utterances are left out of training, counted; ``None`` keeps all.
        num_workers: loader processes; 0 reads in the training process.
        short_first: order the first epoch by length.
        also_train: manifests to train on as well, wherever they are.
        unlabelled: the same, of which only the audio is used (pre-training).
        hours: train on so many hours of them, a random part that is the same in every run;
            ``None`` for all.
    """

    root: str
    train: str
    tune: str
    evaluate: list[str]
    batch_seconds: Seconds
    max_seconds: Seconds | None
    num_workers: int
    short_first: bool
    also_train: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    hours: float | None = None

    @property
    def train_manifests(self) -> list[Path]:
        """All that is trained on with its labels."""
        return [Path(self.root) / f"{self.train}.jsonl", *map(Path, self.also_train)]

    @property
    def tune_manifest(self) -> Path:
        """What checkpoints are chosen on."""
        return Path(self.root) / f"{self.tune}.jsonl"

    def __post_init__(self) -> None:
        if self.tune == "test":
            raise ValueError(
                "data.tune=test would choose checkpoints on the test set; tune on 'tune' (or on "
                "'dev' to reproduce published figures) and report test"
            )
        if self.hours is not None and self.hours <= 0:
            raise ValueError(f"data.hours must be positive, or null for all, got {self.hours}")
        if self.batch_seconds <= 0:
            raise ValueError(f"data.batch_seconds must be positive, got {self.batch_seconds}")
        if self.max_seconds is not None and self.max_seconds <= 0:
            raise ValueError(
                f"data.max_seconds must be positive, or null for any, got {self.max_seconds}"
            )
        if self.num_workers < 0:
            raise ValueError(f"data.num_workers must not be negative, got {self.num_workers}")


def training_loader(
    utterances: Sequence[Utterance],
    *,
    options: DataOptions,
    target: Callable[[Utterance], list[int]],
    frame_labels: FrameLabels | None = None,
    min_samples: int,
    seed: int,
    augment: AugmentOptions | None = None,
    states: States | None = None,
    start: int = 0,
    rank: int = 0,
    num_ranks: int = 1,
    filled_to: Seconds = 0.0,
) -> DataLoader[Any]:
    """Batches without end, from batch number ``start`` of this rank on."""
    dataset = UtteranceDataset(
        utterances,
        target=target,
        min_samples=min_samples,
        max_kept_bytes=MAX_KEPT_BYTES // max(1, options.num_workers),
        augment=augment,
        states=states,
        frame_labels=frame_labels,
    )
    stream = BucketStream(
        durations=[utterance.duration for utterance in utterances],
        batch_seconds=options.batch_seconds,
        seed=seed,
        short_first=options.short_first,
        start=start,
        rank=rank,
        num_ranks=num_ranks,
        filled_to=filled_to,
    )
    if augment is None or not augment.changes:
        return _loader(dataset, stream, options.num_workers)
    return _loader(dataset, SeededStream(stream), options.num_workers)


def evaluation_loader(
    utterances: Sequence[Utterance],
    *,
    batch_seconds: Seconds,
    num_workers: int = 0,
    target: Callable[[Utterance], list[int]] | None = None,
    frame_labels: FrameLabels | None = None,
    min_samples: int,
    states: States | None = None,
    rank: int = 0,
    num_ranks: int = 1,
    filled_to: Seconds = 0.0,
) -> DataLoader[Any]:
    """Every utterance once, longest first, so that memory runs out at once or never."""
    dataset = UtteranceDataset(
        utterances,
        target=target,
        min_samples=min_samples,
        states=states,
        frame_labels=frame_labels,
    )
    durations = [utterance.duration for utterance in utterances]
    order = sorted(range(len(durations)), key=lambda index: -durations[index])
    batches = fill_batches(order, durations, batch_seconds, filled_to=filled_to)
    if len(batches) < num_ranks:  # none may go without
        batches = [[index] for index in order]
    return _loader(dataset, batches[rank::num_ranks], num_workers)


def _loader(
    dataset: UtteranceDataset,
    batches: BucketStream | SeededStream | list[list[int]],
    num_workers: int,
) -> DataLoader[Any]:
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=num_workers,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=4 if num_workers else None,
        # a forked child of a process that runs OpenMP threads can hang
        multiprocessing_context="spawn" if num_workers else None,
        worker_init_fn=partial(_settle_worker, own_sets()) if num_workers else None,
        persistent_workers=False,
    )


def _settle_worker(labels: list[tuple[str, tuple[str, ...]]], _: int) -> None:
    know(labels)
    # Ctrl-C and SLURM signal the whole process group; the run still needs its next batch
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    # the stream has no end, so a worker is always stopped in the middle of a batch; before
    # Python 3.14 the interpreter then ends its sending thread inside torch, which aborts
    Finalize(None, os._exit, args=(0,), exitpriority=-100)
