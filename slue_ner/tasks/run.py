"""A run: the only way from its folder to its config, its figures and what it has learned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slue_ner.core.run_files import CONFIG_FILE, but_holds_runs, read_config
from slue_ner.inference.transcribing import CTCPredictor
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.tasks.ctc_task import CTC
from slue_ner.tasks.registry import run_config
from slue_ner.training.run_folder import RunFolder
from slue_ner.training.task import Predictor, RunConfig, Task


@dataclass(frozen=True)
class Run:
    """A run folder with its config; it may be in training still.

    Attributes:
        folder: its files.
        config: as composed when it was started.
    """

    folder: RunFolder
    config: RunConfig

    @classmethod
    def open(cls, path: Path) -> Run:
        """The run in a folder.

        Raises:
            ValueError: for a folder that is none, or a config that cannot be read.
        """
        if not (path / CONFIG_FILE).is_file():
            raise ValueError(
                f"{path} is not a run folder: it has no {CONFIG_FILE}{but_holds_runs(path)}"
            )
        return cls(RunFolder(path), run_config(read_config(path / CONFIG_FILE)))

    @property
    def task(self) -> Task:
        """What it was trained for."""
        return self.config.task

    def predictor(self, *, weights: str = "best") -> Predictor:
        """The trained model with all that is needed to predict.

        Args:
            weights: ``best`` on tune, or ``last``.

        Raises:
            ValueError: naming the file that is missing or damaged, or for a run that predicts
                nothing.
        """
        return self.task.restore(self.config, self.folder, weights=weights)

    def encoder(self, *, weights: str = "best") -> SpeechEncoder:
        """The trained speech encoder; errors as of ``predictor``."""
        return self.task.restore_encoder(self.config, self.folder, weights=weights)

    def recogniser(self, *, weights: str = "best") -> CTCPredictor:
        """As ``predictor``, of a CTC run.

        Raises:
            ValueError: for a run of another task, too.
        """
        if not isinstance(self.task, CTC):
            raise ValueError(self.task.not_this(self.folder.path))
        predictor = self.predictor(weights=weights)
        assert isinstance(predictor, CTCPredictor)
        return predictor
