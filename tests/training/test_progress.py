from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from slue_ner.training.progress import Throughput, TrainingProgress


@pytest.mark.parametrize("rank", [0, 1])
def test_every_rank_names_the_audio_that_it_cannot_read_once(rank: int) -> None:
    output = io.StringIO()
    console = Console(file=output, width=200, quiet=rank > 0)
    progress = TrainingProgress(Throughput(), log_every=1, console=console)
    trainer: Any = SimpleNamespace(global_step=1, max_steps=2, callback_metrics={})
    trainer.is_global_zero = rank == 0
    task: Any = None
    for _ in range(2):
        batch = SimpleNamespace(unreadable=(("a", "a.wav: no such audio file"),))
        progress.on_train_batch_end(trainer, task, None, batch, 0)
    named, *others = output.getvalue().splitlines()
    assert named == "utterance a is left out of training: a.wav: no such audio file"
    assert [line.split()[1] for line in others] == (["1/2"] if rank == 0 else [])
