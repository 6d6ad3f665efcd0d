"""Which utterances go into which batch: buckets of like length under a budget of audio seconds.

The order is a pure function of (seed, epoch), and training reads one endless stream of epochs,
so the number of batches already seen says everything about where a run stands. Lightning's own
restoring of samplers replays epoch 0 when the loader has workers (Lightning #21938).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from slue_ner.core.time import Seconds


def fill_batches(
    order: Sequence[int],
    durations: Sequence[Seconds],
    batch_seconds: Seconds,
    *,
    filled_to: Seconds = 0.0,
) -> list[list[int]]:
    """Cut ``order`` into batches whose padded size stays within ``batch_seconds``.

    Padded size is the longest utterance times the number of utterances, which is what the
    encoder computes. An utterance longer than the budget gets a batch of its own. Shorter ones
    than ``filled_to`` are filled up to it by the encoder.
    """
    batches: list[list[int]] = []
    longest = filled_to
    for index in order:
        grown = max(longest, durations[index])
        if batches and grown * (len(batches[-1]) + 1) <= batch_seconds:
            batches[-1].append(index)
            longest = grown
        else:
            batches.append([index])
            longest = max(filled_to, durations[index])
    return batches


@dataclass(frozen=True)
class BucketStream:
    """An endless stream of batches of indices, epoch after epoch, from batch ``start`` on.

    Within an epoch every utterance occurs once. Utterances are sorted by length with some
    jitter, so neighbours differ between epochs, cut into batches, and the batches shuffled.
    Batches that several ranks take in the same update stay together: they are of like length,
    so no rank waits long for another.

    Attributes:
        durations: seconds of each utterance.
        batch_seconds: budget of padded audio a batch.
        seed: with the epoch, the only source of randomness.
        short_first: order the first epoch by length, which helps CTC off its blank plateau
            (SortaGrad, arXiv:1512.02595).
        start: batches already consumed (of this rank).
        rank, num_ranks: every rank takes each ``num_ranks``-th batch of the same stream.
        filled_to: as ``fill_batches``.
    """

    durations: Sequence[Seconds]
    batch_seconds: Seconds
    seed: int = 0
    short_first: bool = False
    start: int = 0
    rank: int = 0
    num_ranks: int = 1
    filled_to: Seconds = 0.0

    def __post_init__(self) -> None:
        if not len(self.durations):
            raise ValueError("there is no utterance to train on; look at the counts printed above")
        if self.batch_seconds <= 0:
            raise ValueError(f"data.batch_seconds must be positive, got {self.batch_seconds}")

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of one epoch, in order."""
        random = np.random.default_rng((self.seed, number))
        durations = np.asarray(self.durations)
        jitter = random.uniform(0.95, 1.05, len(durations))  # costs 4 % of padding
        order = np.argsort(durations * jitter, kind="stable")
        batches = fill_batches(
            order.tolist(), durations.tolist(), self.batch_seconds, filled_to=self.filled_to
        )
        batches = _fill_rounds(batches, self.num_ranks)
        if self.short_first and number == 0:
            return batches
        rounds = [batches[i : i + self.num_ranks] for i in range(0, len(batches), self.num_ranks)]
        return [batch for i in random.permutation(len(rounds)) for batch in rounds[i]]

    def __iter__(self) -> Iterator[list[int]]:
        """Batches of this rank from ``start`` on, without end."""
        skip = self.start * self.num_ranks + self.rank
        for number in itertools.count():
            batches = self.epoch(number)
            if skip >= len(batches):
                skip -= len(batches)
                continue
            yield from batches[skip :: self.num_ranks]
            skip = (skip - len(batches)) % self.num_ranks


@dataclass(frozen=True)
class SeededStream:
    """Gives every utterance of a stream a seed that its place in the stream decides."""

    stream: BucketStream

    def __iter__(self) -> Iterator[list[tuple[int, tuple[int, ...]]]]:
        """The batches of the stream, an utterance as its index and its seed."""
        stream = self.stream
        for number, batch in enumerate(stream, start=stream.start):
            place = number * stream.num_ranks + stream.rank
            yield [(index, (stream.seed, place, index)) for index in batch]


def _fill_rounds(batches: list[list[int]], num_ranks: int) -> list[list[int]]:
    """Halve the fullest batches until every rank gets as many, if they can be halved."""
    while len(batches) % num_ranks:
        fullest = max(range(len(batches)), key=lambda index: len(batches[index]))
        batch = batches[fullest]
        if len(batch) < 2:
            break
        middle = len(batch) // 2
        batches = [*batches[:fullest], batch[:middle], batch[middle:], *batches[fullest + 1 :]]
    return batches
