"""Bootstrap: how much would a score move with other speakers?

What is resampled are sums per speaker (or utterance), never scores. Columns of two systems put
side by side are resampled together, which is what a paired test needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slue_ner.core.types import Utterance

Unit = Literal["speaker", "utterance"]

_DRAWS_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class BootstrapOptions:
    """How intervals are made.

    Attributes:
        level: share of resamples inside the interval, in (0, 1).
        resamples: how many data sets are drawn with replacement.
        seed: of the generator; the same seed gives the same interval.
    """

    level: float = 0.95
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"level {self.level} should be a fraction between 0 and 1, say 0.95")
        if self.resamples < 1:
            raise ValueError(f"resamples {self.resamples} should be at least 1, say 1000")
        if self.seed < 0:
            raise ValueError(f"seed {self.seed} should not be negative; use 0")


@dataclass(frozen=True, slots=True)
class Clusters:
    """Which rows are drawn together.

    Attributes:
        unit: what a cluster is.
        index: the cluster of each row, ``(N,)``, in ``[0, num_clusters)``.
    """

    unit: Unit
    index: NDArray[np.int64]
    num_clusters: int


def clusters(references: Sequence[Utterance]) -> Clusters:
    """Group utterances by speaker when every speaker is known and there are at least two.

    Utterances of one speaker are alike, so drawing them one by one makes intervals too narrow;
    it is done only when nothing else is possible.
    """
    order: dict[str | None, int] = {}
    index = [order.setdefault(reference.speaker, len(order)) for reference in references]
    if None in order or len(order) < 2:
        num_utterances = len(references)
        return Clusters("utterance", np.arange(num_utterances), num_utterances)
    return Clusters("speaker", np.array(index, dtype=np.int64), len(order))


def resample(
    rows: NDArray[np.float64], *, clusters: Clusters, options: BootstrapOptions
) -> NDArray[np.float64]:
    """Column sums of data sets drawn with replacement, a whole cluster at a time.

    Args:
        rows: sufficient statistics, ``(N, C)``.
        clusters: which rows belong together.
        options: how many data sets to draw, and the seed.

    Returns:
        Sums, ``(resamples, C)``; exact as long as they stay below 2 ** 53.
    """
    size = clusters.num_clusters
    sums = np.zeros((size, rows.shape[1]))
    np.add.at(sums, clusters.index, rows)
    generator = np.random.default_rng(options.seed)
    drawn = np.empty((options.resamples, rows.shape[1]))
    step = max(1, _DRAWS_AT_ONCE // size)
    for first in range(0, options.resamples, step):
        num = min(step, options.resamples - first)
        draws = generator.integers(size, size=(num, size))
        draws += size * np.arange(num)[:, None]
        weights = np.bincount(draws.ravel(), minlength=num * size).reshape(num, size)
        drawn[first : first + num] = weights.astype(float) @ sums
    return drawn


def percentile_interval(values: NDArray[np.float64], *, level: float) -> tuple[float, float] | None:
    """The middle ``level`` of resampled rates; ``None`` when no resample defines the rate.

    Resamples in which the rate is 0/0 (NaN) say nothing about it and are left out.
    """
    defined = values[~np.isnan(values)]
    if not defined.size:
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return low, high
