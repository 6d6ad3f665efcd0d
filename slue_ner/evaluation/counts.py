"""Right, spurious and missed items: counts add up, rates do not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """True positives, false positives and false negatives, of one utterance or of many.

    Every rate is in [0, 1], and 0/0 is 0, as in SLUE's scorer.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def pred(self) -> int:
        """How many were predicted."""
        return self.tp + self.fp

    @property
    def gold(self) -> int:
        """How many there are in the reference."""
        return self.tp + self.fn

    @property
    def precision(self) -> float:
        """Share of the predicted that is right."""
        return self.tp / self.pred if self.tp else 0.0

    @property
    def recall(self) -> float:
        """Share of the reference that was found."""
        return self.tp / self.gold if self.tp else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 when nothing is right."""
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn) if self.tp else 0.0

    def to_json(self) -> dict[str, float | int]:
        """Rates as fractions, then the counts they come from."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "tp": self.tp,
            "pred": self.pred,
            "gold": self.gold,
        }
