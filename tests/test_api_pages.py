"""The site of `make docs`, built as it is built there: a warning is an error."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = sorted(path.parent for path in (ROOT / "slue_ner").glob("*/**/__init__.py"))
PRIVATE = {"slue_ner.cli", "slue_ner.analysis"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_each_public_package_has_one_page_with_all_its_modules(site):
    expected = {}
    for folder in PACKAGES:
        name = ".".join(folder.relative_to(ROOT).parts)
        modules = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
        if modules and name not in PRIVATE:
            expected[name] = modules
    assert {path.name for path in (site / "api").iterdir()} == set(expected)
    for name, modules in expected.items():
        page = (site / "api" / name / "index.html").read_text()
        assert [module for module in modules if f'id="{name}.{module}"' not in page] == []


def test_what_the_signature_says_stands_beside_the_docstring(site):
    page = (site / "api/slue_ner.core/index.html").read_text()
    assert 'id="slue_ner.core.time.FrameGrid.num_frames"' in page
    assert "Frames the encoder emits for" in page


def test_pages_of_prose_lie_as_in_the_repository(site):
    assert 'href="docs/tutorial/"' in (site / "index.html").read_text()
    assert (site / "docs/tutorial/index.html").is_file()
    assert 'href="../../recipes/tour/' in (site / "docs/decoding/index.html").read_text()


def test_pages_name_no_folder_of_this_machine_and_load_nothing_from_another(site):
    pages = "".join(path.read_text() for path in site.rglob("*.html"))
    assert str(ROOT) not in pages and str(site) not in pages
    assert re.findall(r'<(?:script|link|img)\b[^>]*"(?:https?:)?//', pages) == []
