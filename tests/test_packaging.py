"""The wheel, built and used away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

COMPOSE = """
from slue_ner.cli.compose import compose_config
from slue_ner.cli.config_groups import config_folder
assert config_folder().parent.name == "slue_ner", config_folder()
print(compose_config(["experiment=quickstart"])["name"])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    [path] = folder.glob("*.whl")
    return path


def test_make_clean_deletes_no_corpus_and_no_trained_model(tmp_path):
    kept = ["data/mine/dev.jsonl", "runs/mine/checkpoints/last.ckpt", ".venv/.ready"]
    gone = ["build/x", "dist/x.whl", ".pytest_cache/x", "slue_ner/core/__pycache__/x.pyc"]
    for name in (*kept, *gone, "data/__pycache__/x", "tests/x", "benchmarks/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    clean = ["make", "-f", str(ROOT / "Makefile"), "clean"]
    printed = subprocess.run([*clean, "-n"], cwd=ROOT, check=True, capture_output=True, text=True)
    assert not {"data", "runs", ".venv", "."} & set(printed.stdout.split())
    subprocess.run(clean, cwd=tmp_path, check=True, capture_output=True)
    assert all((tmp_path / name).exists() for name in (*kept, "data/__pycache__/x"))
    assert not any((tmp_path / name).exists() for name in gone)


def test_the_shipped_encoder_is_small_and_comes_with_the_notice_of_its_start():
    folder = ROOT / "checkpoints/small-sfm"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 20e6
    assert "MIT License" in (folder / "LICENSE").read_text()


@pytest.mark.slow
def test_the_wheel_holds_configs_and_data_files_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "configs").rglob("*.yaml"):
        assert f"slue_ner/{path.relative_to(ROOT)}" in names
    for path in (ROOT / "slue_ner").rglob("*"):
        if path.suffix in (".py", ".json"):
            assert str(path.relative_to(ROOT)) in names
    assert "slue_ner/checkpoints/small-sfm/LICENSE" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"slue_ner"}


@pytest.mark.slow
def test_the_installed_wheel_works_away_from_the_checkout(wheel, tmp_path):
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*install, "--target", str(target), str(wheel)], check=True)
    done = subprocess.run(
        [sys.executable, "-c", COMPOSE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "quickstart\n"


def test_nothing_but_mfcc_targets_needs_torchaudio(tmp_path):
    code = (
        "import sys\n"
        "sys.modules['torchaudio'] = None\n"
        "import slue_ner.cli.systems, slue_ner.systems.experiment, slue_ner.tasks.registry\n"
        "from slue_ner.core.time import FrameGrid\n"
        "from slue_ner.models.pretrain_model import MFCC\n"
        "try:\n"
        "    MFCC(FrameGrid())\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "MFCC targets need torchaudio, which cannot be imported here" in done.stdout
