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
from slue_ner.cli.config import compose_config, config_folder
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


@pytest.mark.slow
def test_the_wheel_holds_configs_and_data_files_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "configs").rglob("*.yaml"):
        assert f"slue_ner/{path.relative_to(ROOT)}" in names
    for path in (ROOT / "slue_ner").rglob("*"):
        if path.suffix in (".py", ".json"):
            assert str(path.relative_to(ROOT)) in names
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
