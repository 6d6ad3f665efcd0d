"""The shape of the house: who may import whom, and what a file may hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import house
import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "slue_ner").rglob("*.py"))


def test_imports_keep_to_the_contracts():
    contracts = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", contracts, "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_plain(path):
    text = path.read_text(encoding="utf-8")
    assert text.isascii()
    assert "TODO" not in text


ROOMS = {path.name for path in (ROOT / "slue_ner").iterdir() if path.is_dir()} - {"data"}
PROSE = [*FILES, *(ROOT / "docs").glob("*.md"), ROOT / "README.md"]


@pytest.mark.parametrize("path", PROSE, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_that_prose_names_are_there(path):
    text = path.read_text(encoding="utf-8")
    for room, rest in re.findall(r"`([a-z]+)\.([a-z_]+(?:\.[a-z_]+)*)`", text):
        if room in ROOMS:
            first = ROOT / "slue_ner" / room / rest.split(".")[0]
            assert first.is_dir() or first.with_suffix(".py").is_file(), f"{room}.{rest}"


def test_no_file_imports_itself_by_way_of_others():
    trees = {house.name_of(path): ast.parse(path.read_text()) for path in FILES}
    graph = {name: house.imports(tree, trees) for name, tree in trees.items()}
    assert house.circles(graph) == []


def test_no_two_files_of_tests_have_one_name():
    names = sorted(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(names) == len(set(names))  # pytest takes a name as a module, whatever its folder


def test_only_the_top_package_says_anything_in_its_init():
    for path in FILES:
        if path.name == "__init__.py" and path.parent.name != "slue_ner":
            assert path.read_text() == ""
