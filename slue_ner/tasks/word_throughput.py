"""Speed of training on text."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from slue_ner.data.loading.text_batch import IGNORED
from slue_ner.tasks.progress import Throughput


class WordThroughput(Throughput):
    """Counts words instead of audio.

    Attributes:
        num_words: trained on by this process.
    """

    def __init__(self) -> None:
        super().__init__()
        self.num_words = 0

    def state_dict(self) -> dict[str, Any]:
        """Counts go on over a restart."""
        return {**super().state_dict(), "num_words": self.num_words}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        super().load_state_dict(state_dict)
        self.num_words = state_dict["num_words"]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """No operations are counted."""

    def add(self, batch: Any) -> None:
        """Count the words of one batch."""
        self.num_words += int((batch.tags != IGNORED).sum())

    @property
    def rate(self) -> float:
        """Words per second of training."""
        return self.num_words / self.train_seconds if self.train_seconds else 0.0

    @property
    def speed(self) -> str:
        """The same for people."""
        return f"{self.rate:.0f} words/s"

    def summary(self) -> dict[str, float]:
        """Figures for ``metrics.json``."""
        return {
            "seconds": self.seconds,
            "words": self.num_words,
            "train_seconds": self.train_seconds,
            "words_per_second": self.rate,
        }
