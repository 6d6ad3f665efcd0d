"""Confidence intervals for every rate of a score, and why some have none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slue_ner.core.groups import Kind
from slue_ner.evaluation.bootstrap import (
    BootstrapOptions,
    Clusters,
    percentile_interval,
    resample,
)
from slue_ner.evaluation.statistics import Statistics


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
