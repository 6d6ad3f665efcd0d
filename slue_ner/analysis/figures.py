"""One figure of a comparison: of a run with its interval, or of several seeds with their spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

ABSENT = "-"
"""What a table shows where a score object lacks the figure."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A rate as a fraction; nothing but ``None`` when it was not computed.

    Attributes:
        value: of one run, or the mean over seeds.
        interval: low and high end around the value of one run.
        num_seeds: how many runs ``value`` is the mean of; ``None`` for the value of one run.
        sd: sample standard deviation over the seeds (``ddof=1``); ``None`` below two.
    """

    value: float | None = None
    interval: tuple[float, float] | None = None
    num_seeds: int | None = None
    sd: float | None = None

    @property
    def text(self) -> str:
        """In percent: ``57.8``, ``57.8 [51.1, 63.9]``, or the spread ``57.8 +- 1.2 (3)``."""
        if self.value is None:
            return ABSENT
        text = f"{100 * self.value:.1f}"
        if self.sd is not None:
            text += f" \N{PLUS-MINUS SIGN} {100 * self.sd:.1f}"
        if self.num_seeds is not None:
            text += f" ({self.num_seeds})"
        if self.interval is not None:
            low, high = self.interval
            text += f" [{100 * low:.1f}, {100 * high:.1f}]"
        return text

    def numbers(self, name: str) -> dict[str, float | None]:
        """The same fields for every figure, as fractions: NAME, NAME_low, NAME_high, NAME_sd."""
        low, high = self.interval or (None, None)
        return {name: self.value, f"{name}_low": low, f"{name}_high": high, f"{name}_sd": self.sd}


def over_seeds(figures: Sequence[Figure]) -> Figure:
    """Mean and spread of one figure; absent when a seed lacks it, so that means compare."""
    values = [figure.value for figure in figures if figure.value is not None]
    if len(values) < len(figures):
        return Figure()
    sd = statistics.stdev(values) if len(values) > 1 else None
    return Figure(statistics.fmean(values), num_seeds=len(values), sd=sd)
