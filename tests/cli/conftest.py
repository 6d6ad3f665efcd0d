"""The command line in this process, and in a process of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from program import COMMAND

from slue_ner.cli.main import main
from slue_ner.core.records import read_predictions


@dataclass
class Ended:
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def slue_ner(capsys: pytest.CaptureFixture[str]) -> Any:
    """``slue_ner("score", "--help")``: runs the command here."""

    def run(*arguments: str) -> Ended:
        capsys.readouterr()
        try:
            status = main(list(arguments))
        except SystemExit as stop:  # argparse
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return Ended(status, captured.out, captured.err)

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """``start("train", ...)``: the command in a process of its own, in an empty folder."""

    def run(*arguments: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            **options,
        )

    return run


@pytest.fixture
def predict(slue_ner, tiny_corpus, tmp_path):
    """``predict(run, "--emissions", folder)``: how it ended, and the predictions."""

    def run(source, *more):
        output = tmp_path / "predictions.jsonl"
        output.unlink(missing_ok=True)
        ended = slue_ner(
            *("predict", str(source), "--manifest", str(tiny_corpus / "dev.jsonl")),
            *("--output", str(output), "--device", "cpu", *map(str, more)),
        )
        return ended, read_predictions(output) if output.exists() else None

    return run
