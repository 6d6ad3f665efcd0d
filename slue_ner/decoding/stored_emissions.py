"""Emissions of many utterances as one sees them once they are on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slue_ner.core.time import FrameGrid
from slue_ner.core.types import Utterance


@dataclass(frozen=True)
class StoredEmissions:
    """Emissions of many utterances, read from disk when asked for.

    Attributes:
        folder: where they are.
        kind: ``ctc`` (log-probabilities of symbols, the first the blank) or ``frames``.
        symbols: names of the ``V`` columns.
        grid: rows to seconds.
        model_hash: of the weights that made them.
        places: id to shard, first row and number of rows.
    """

    folder: Path
    kind: str
    symbols: tuple[str, ...]
    grid: FrameGrid
    model_hash: str
    places: Mapping[str, tuple[int, int, int]]
    _shards: Sequence[NDArray[np.float16]]

    @property
    def ids(self) -> tuple[str, ...]:
        """Utterances in the order in which they were added."""
        return tuple(self.places)

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def why_not(self, id: str) -> str:
        """Why an utterance has no emissions here."""
        return f"{self.folder} has no emissions of {id}"

    def __contains__(self, id: object) -> bool:
        return id in self.places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, id: str) -> NDArray[np.float32]:
        """The emissions of an utterance, ``(T, V)`` float32.

        Raises:
            ValueError: for an utterance that is not there, or damaged.
        """
        if id not in self.places:
            raise ValueError(
                f"{self.folder} has no emissions of utterance {id}; predict its manifest again"
            )
        shard, first, num_rows = self.places[id]
        log_probs = self._shards[shard][first : first + num_rows].astype(np.float32)
        if not (log_probs < np.inf).all():
            raise ValueError(
                f"{self.folder} is damaged: emissions of utterance {id} hold NaN or infinity; "
                "predict its manifest again"
            )
        return log_probs

    def check_holds_any(self, utterances: Sequence[Utterance]) -> None:
        """Check that at least one of these utterances is there, if there are any.

        Raises:
            ValueError: when none is.
        """
        if utterances and not any(utterance.id in self for utterance in utterances):
            raise ValueError(
                f"{self.folder} has no emissions of any of the {len(utterances)} utterances, "
                f"first {utterances[0].id}; predict their manifest with --emissions"
            )

    def check_model(self, *, symbols: Sequence[str], model_hash: str) -> None:
        """Check that the emissions come from these weights and this vocabulary.

        Raises:
            ValueError: when they come from another model.
        """
        if tuple(symbols) != self.symbols:
            raise ValueError(
                f"{self.folder} holds emissions over another vocabulary ({len(self.symbols)} "
                f"symbols, here {len(symbols)}); predict with this model again"
            )
        if model_hash != self.model_hash:
            raise ValueError(
                f"{self.folder} holds emissions of another model or other weights; predict with "
                "this model again"
            )
