"""Which pages the site of `make docs` has: a hook of MkDocs."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PROSE = [
    "*.md",
    "docs/*.md",
    "docs/*.svg",
    "benchmarks/*.md",
    "checkpoints/**/*.md",
    "recipes/*/*.md",
]
NOT_PUBLIC = ["cli", "analysis"]  # rooms that are used by commands alone


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Prose lies as in the repository, so one link holds in both; a package is a page in `api`."""
    pages = Files([file for file in files if file.src_dir != config.docs_dir])
    for path in sorted(path for pattern in PROSE for path in ROOT.glob(pattern)):
        name = path.relative_to(ROOT).as_posix()
        pages.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    for folder in sorted(path.parent for path in ROOT.glob("slue_ner/*/**/__init__.py")):
        package = ".".join(folder.relative_to(ROOT).parts)
        modules = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
        if modules and package.split(".")[1] not in NOT_PUBLIC:
            blocks = [f"# {package}", *(f"::: {package}.{module}" for module in modules)]
            name = f"api/{package}.md"
            pages.append(File.generated(config, name, content="\n\n".join(blocks)))
    return pages


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to folders lead to their README; what the site does not have is named, not linked."""
    folder = (ROOT / page.file.src_uri).parent

    def mend(match: re.Match[str]) -> str:
        text, target = match.groups()
        path = (folder / target).resolve()
        if (path / "README.md").is_file():
            return f"[{text}]({target}/README.md)"
        if path.exists() and path.relative_to(ROOT).as_posix() not in files.src_uris:
            return text
        return match.group()

    return re.sub(r"\[([^]]*)\]\(([^):#]+)\)", mend, markdown)
