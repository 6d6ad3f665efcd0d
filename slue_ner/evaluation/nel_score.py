"""What NEL scores say of a whole data set, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slue_ner.evaluation.counts import Counts
from slue_ner.evaluation.nel_boundaries import BoundaryError
from slue_ner.evaluation.nel_corrected import Exposure

PRINTED_RHO = 0.8
"""The tolerance that tables show and that intervals are made for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NelScore:
    """Counts of 10 ms bins and of words, and what they mean for redaction.

    ``official`` figures are slue-toolkit's, quirks included, and ignore labels. All others are
    about the entities that the choice of labels leaves, over the references with an alignment.

    Attributes:
        frame_per_label: corrected, each label by itself; ``None`` when a timed prediction has
            no label.
        word_official, word_corrected: by rho, the share of a word that must be covered.
        exposure: leakage and over-redaction.
        boundary: ``None`` when no predicted entity overlaps a gold one.
        num_untimed: predicted entities without times, left out of everything here.
        num_unaligned: references without word times. Official: their predictions are spurious
            frames. Corrected: left out.
        num_unplaced: gold entities without a range of words in an aligned reference; they count
            as if they were not there (their times still serve official frames and boundaries).
    """

    frame_official: Counts
    frame_corrected: Counts
    frame_per_label: Mapping[str, Counts] | None
    word_official: Mapping[float, Counts]
    word_corrected: Mapping[float, Counts]
    exposure: Exposure
    boundary: BoundaryError | None
    num_untimed: int
    num_unaligned: int
    num_unplaced: int

    @property
    def headline(self) -> dict[str, Counts]:
        """The counts that tables show and intervals are made for, by path."""
        return {
            "nel.frame_official": self.frame_official,
            "nel.frame_corrected": self.frame_corrected,
            f"nel.word_official.{PRINTED_RHO}": self.word_official[PRINTED_RHO],
            f"nel.word_corrected.{PRINTED_RHO}": self.word_corrected[PRINTED_RHO],
        }

    @property
    def not_computed(self) -> dict[str, str]:
        """Why a figure is absent, by path."""
        reasons: dict[str, str] = {}
        if self.frame_per_label is None:
            reasons["nel.frame_per_label"] = "a predicted entity has times but no label"
        if self.boundary is None:
            reasons["nel.boundary_ms"] = "no predicted entity overlaps a gold one"
        if self.exposure.leakage is None:
            reasons["nel.leakage"] = "the references have no entity with word times"
        if self.exposure.over_redaction is None:
            reasons["nel.over_redaction"] = "the references have no word outside entities"
        return reasons

    def to_json(self) -> dict[str, Any]:
        """Fractions, counts, milliseconds; what could not be computed is absent."""
        labels, boundary, exposure = self.frame_per_label, self.boundary, self.exposure
        leakage, over_redaction = exposure.leakage, exposure.over_redaction
        return {
            "frame_official": _to_json(self.frame_official),
            "frame_corrected": _to_json(self.frame_corrected),
            **({} if labels is None else {"frame_per_label": _by_name(labels)}),
            "word_official": _by_name(self.word_official),
            "word_corrected": _by_name(self.word_corrected),
            **({} if boundary is None else {"boundary_ms": boundary.to_json()}),
            **({} if leakage is None else {"leakage": leakage}),
            **({} if over_redaction is None else {"over_redaction": over_redaction}),
            "num_untimed": self.num_untimed,
            "num_unaligned": self.num_unaligned,
            "num_unplaced": self.num_unplaced,
        }


def _to_json(counts: Counts) -> dict[str, float | int]:
    return {**counts.to_json(), "fp": counts.fp, "fn": counts.fn}


def _by_name(counts: Mapping[Any, Counts]) -> dict[str, dict[str, float | int]]:
    return {str(name): _to_json(count) for name, count in counts.items()}
