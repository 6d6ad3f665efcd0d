"""What a run of every kind writes down has not changed since the golden file was made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parents[1]
GOLDEN = json.loads((TESTS / "golden/losses.json").read_text())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    output = tmp_path_factory.mktemp("golden") / "losses.json"
    done = subprocess.run(
        [sys.executable, str(TESTS / "golden_losses.py"), str(output), "--double"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(output.read_text())


def test_every_kind_of_run_is_recorded(recorded):
    assert list(recorded) == list(GOLDEN)


@pytest.mark.parametrize("case", [name for name in GOLDEN if name != "score"])
def test_losses_are_those_of_the_golden_file(recorded, case):
    logged = {(at, metric): value for at, metric, value in recorded[case]["log"]}
    golden = {(at, metric): value for at, metric, value in GOLDEN[case]["log"]}
    assert len([at for at, metric in golden if metric == "train_loss"]) == 20
    assert logged == pytest.approx(golden, rel=1e-6)


def test_scores_of_fixed_predictions_are_those_of_the_golden_file(recorded):
    assert recorded["score"] == GOLDEN["score"]
