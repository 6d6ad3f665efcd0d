"""Bootstrap: how much would a score move with other speakers?

What is resampled are sums per cluster (speaker, debate or utterance), never scores. Columns of two
systems put side by side are resampled together, which is what a paired test needs. Every rate of a
score has an interval, or a reason for having none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slue_ner.core.groups import KINDS, Group, Kind, group_of
from slue_ner.core.types import Utterance
from slue_ner.evaluation.statistics import Statistics

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
        kinds: how many clusters there are of each kind, every kind named.
        index: the cluster of each row, ``(N,)``, in ``[0, num_clusters)``.
    """

    kinds: Mapping[Kind, int]
    index: NDArray[np.int64]

    @property
    def num_clusters(self) -> int:
        """Of all kinds."""
        return sum(self.kinds.values())

    @property
    def unit(self) -> Kind:
        """What most clusters are."""
        return max(KINDS, key=lambda kind: self.kinds[kind])


def clusters(references: Sequence[Utterance]) -> Clusters:
    """Group utterances by speaker, else by debate, else each by itself (``group_of``).

    Utterances of one speaker are alike, so drawing them one by one makes intervals too narrow;
    it is done for all of them only where they are all of one group.
    """
    order: dict[Group, int] = {}
    index = [order.setdefault(group_of(reference), len(order)) for reference in references]
    if len(order) < 2:
        return each_alone(len(references))
    found = Counter(group.kind for group in order)
    return Clusters({kind: found[kind] for kind in KINDS}, np.array(index, dtype=np.int64))


def each_alone(num_rows: int) -> Clusters:
    """Every row drawn by itself."""
    return Clusters({"speaker": 0, "debate": 0, "utterance": num_rows}, np.arange(num_rows))


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
        weights = np.bincount(draws.ravel(), minlength=num * size).reshape(num, size)  # (num, size)
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


@dataclass(frozen=True, slots=True)
class IntervalMethod:
    """How intervals were made: percentiles of rates over resampled clusters.

    Attributes:
        unit: what most clusters are.
        clusters: how many there are of each kind.
    """

    level: float
    unit: Kind
    clusters: Mapping[Kind, int]
    resamples: int
    seed: int

    def to_json(self) -> dict[str, float | int | str]:
        """The fields by name but for ``clusters``, which a score object has beside this."""
        return {
            "level": self.level,
            "unit": self.unit,
            "resamples": self.resamples,
            "seed": self.seed,
        }


@dataclass(frozen=True, slots=True)
class Intervals:
    """Low and high by path, such as ``ner.micro.f1``, as fractions.

    They show how a figure moves with other speakers (or debates, or utterances) like these. They
    do not show what another seed of the training, other recordings or another annotator would
    change. Where speaker and debate are not known, it stays hidden that utterances are alike.
    With fewer than some twenty clusters a percentile interval is too narrow, as it cannot know
    speakers it never saw: with three, seven resamples in nine leave one of them out and none
    brings in a fourth. Where all is of a single speaker, utterances are drawn, and the interval
    speaks of that speaker alone.

    Attributes:
        method: ``None`` when no interval was made.
        not_computed: why an interval is absent, by path.
    """

    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    method: IntervalMethod | None = None
    not_computed: Mapping[str, str] = field(default_factory=dict)


def make_intervals(
    statistics: Statistics, *, clusters: Clusters, options: BootstrapOptions
) -> Intervals:
    """Percentile intervals of every rate that is defined on the whole data.

    Args:
        statistics: one row an utterance.
        clusters: which rows are drawn together.
        options: level, number of resamples and seed.
    """
    if clusters.num_clusters < 2:
        reason = f"a bootstrap needs at least 2 {clusters.unit}s, got {clusters.num_clusters}"
        return Intervals(not_computed={"intervals": reason})
    drawn = resample(statistics.matrix(), clusters=clusters, options=options)
    bounds: dict[str, tuple[float, float]] = {}
    not_computed: dict[str, str] = {}
    for path, rates in statistics.rates(drawn).items():
        interval = percentile_interval(rates, level=options.level)
        if interval is None:
            not_computed[f"intervals.{path}"] = "0/0 in every resample"
        else:
            bounds[path] = interval
    method = IntervalMethod(
        options.level, clusters.unit, clusters.kinds, options.resamples, options.seed
    )
    return Intervals(bounds, method, not_computed)
