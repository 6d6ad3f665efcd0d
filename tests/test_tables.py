"""Tables in pages say what the committed figures say: the commands that wrote them, run again."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from recipe_folder import ROOT, RecipeFolder

from slue_ner.cli.main import main

SOURCES = {name: "somewhere" for name in ("SO762", "SLUE_NEURAL", "SLUE_TEXT")}
COMPARE_FOR_REAL = """#!/usr/bin/env bash
if [ "$1" = compare ]; then exec {python} -m slue_ner "$@"; fi
"""


@pytest.mark.parametrize("recipe", ["so762", "slue_neural", "small_sfm"])
def test_the_tables_of_a_recipe_are_those_of_its_results(tmp_path: Path, recipe: str) -> None:
    copy = RecipeFolder(tmp_path)
    results = f"recipes/{recipe}/results"
    shutil.copytree(ROOT / results, tmp_path / results)
    for name in ("cell.sh", "with_lm.sh", "cascade.sh", "slue_neural/prepare.sh"):
        (tmp_path / "recipes" / name).write_text("#!/usr/bin/env bash\nexit 0\n")
    (tmp_path / "bin/slue-ner").write_text(COMPARE_FOR_REAL.format(python=sys.executable))
    copy.touch("models/conformer/config.json", "checkpoints/small-sfm/model.safetensors")
    ended = copy.run(
        f"recipes/{recipe}/run.sh", **SOURCES, CONFORMER="models/conformer", PYTHONPATH=str(ROOT)
    )
    assert ended.returncode == 0, ended.stderr
    page = f"recipes/{recipe}/README.md"
    assert "<!-- " in (ROOT / page).read_text()
    assert (tmp_path / page).read_text() == (ROOT / page).read_text()


def test_the_readme_shows_the_figures_of_its_recipes(tmp_path: Path, monkeypatch) -> None:
    text = " ".join((ROOT / "README.md").read_text().split())
    (command,) = re.findall(r"`(slue-ner compare recipes/[^`]*--into README.md [^`]*)`", text)
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    shutil.copyfile(ROOT / "README.md", tmp_path / "README.md")
    monkeypatch.chdir(tmp_path)
    first, names, rest = re.fullmatch(r"([^{]*)\{([^}]*)\}(.*)", command).groups()
    before, folder = first.rsplit(" ", 1)
    expanded = " ".join(f"{folder}{name}.json" for name in names.split(","))
    words = shlex.split(f"{before} {expanded}{rest.removeprefix('.json')}")
    assert main(words[1:]) == 0
    assert Path("README.md").read_text() == (ROOT / "README.md").read_text()
