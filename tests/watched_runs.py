"""Runs in this process, small enough to be trained in a second."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from slue_ner.tasks.ctc_task import CTCModule
from slue_ner.tasks.frame_task import FrameModule
from slue_ner.tasks.pretraining import PretrainModule
from slue_ner.tasks.registry import run_config
from slue_ner.training.fit import Fit, fit
from slue_ner.training.module import SpeechModule
from slue_ner.training.signals import StopRequest


@dataclass
class Watched:
    """What a run did: the ids of every batch it was trained on, and what it printed."""

    folder: Path
    batches: list[tuple[str, ...]] = field(default_factory=list)
    printed: str = ""
    fit: Fit | None = None

    def weights(self, name: str = "last") -> dict[str, torch.Tensor]:
        return load_file(self.folder / "checkpoints" / f"{name}.safetensors")

    def log(self) -> list[list[str]]:
        return [row.split(",") for row in (self.folder / "log.csv").read_text().split()[1:]]

    def logged(self, metric: str) -> list[float]:
        """The values of one metric, in the order of updates."""
        return [float(value) for _, name, value in self.log() if name == metric]


@pytest.fixture
def train(
    tiny_values: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Watched]]:
    """``train(folder, "seed=1", stop_after=3)``: a fit, asked to stop within a batch if wanted."""

    def run(folder: Path, *overrides: str, stop_after: int | None = None) -> Watched:
        watched = Watched(folder)
        requests: list[StopRequest] = []
        created = StopRequest.__init__

        def note_request(self: StopRequest) -> None:
            created(self)
            requests.append(self)

        def watch(step: Callable[..., Any]) -> Callable[..., Any]:
            def watched_step(self: SpeechModule, batch: Any, batch_idx: int) -> Any:
                watched.batches.append(batch.ids)
                if len(watched.batches) == stop_after:
                    requests[-1].receive(15, None)
                return step(self, batch, batch_idx)

            return watched_step

        output = io.StringIO()
        with monkeypatch.context() as patched:
            patched.setattr(StopRequest, "__init__", note_request)
            for task in (CTCModule, FrameModule, PretrainModule):
                patched.setattr(task, "training_step", watch(task.training_step))
            try:
                watched.fit = fit(
                    run_config(tiny_values(*overrides)),
                    folder,
                    console=Console(file=output, width=200),
                )
            finally:
                watched.printed = output.getvalue()
        return watched

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)
