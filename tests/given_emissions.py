"""Emissions that a test gives, in place of a model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from slue_ner.core.time import FrameGrid


class GivenEmissions(dict[str, np.ndarray]):
    """A mapping from id to rows; ids in ``lost`` have a reason for having none."""

    kind = "ctc"

    def __init__(
        self,
        rows: Mapping[str, np.ndarray],
        *,
        lost: Mapping[str, str] | None = None,
        grid: FrameGrid | None = None,
        symbols: Sequence[str] = (),
    ) -> None:
        super().__init__(rows)
        self.lost = dict(lost or {})
        self.grid = grid or FrameGrid()
        self.symbols = symbols

    def why_not(self, id: str) -> str:
        return self.lost.get(id, "it has no emissions")
