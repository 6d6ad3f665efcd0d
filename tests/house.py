"""How large the house is, and how far one walks in it; a table, on which nothing gates.

    python tests/house.py           # files, statements, imports
    python tests/house.py --walk    # and what a tagged CTC run passes through, which trains one

A statement is one of Python's, docstrings left out. A file with one importer is one that a single
file of its own room imports and no other file does.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1] / "slue_ner"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--walk", action="store_true", help="train a tiny run and follow it")
    parser.add_argument("--list", action="store_true", help="name the files, not only count them")
    options = parser.parse_args()
    trees = {
        name_of(path): ast.parse(path.read_text())
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.read_text()
    }
    graph = {name: imports(tree, trees) for name, tree in trees.items()}
    importers = defaultdict(set)
    for name, imported in graph.items():
        for other in imported:
            importers[other].add(name)
    single = [
        name
        for name in trees
        if len(importers[name]) == 1 and room(name) == room(*importers[name]) != ""
    ]
    rooms_of = defaultdict(set)
    for name in trees:
        rooms_of[name.rpartition(".")[2]].add(name)
    shared = sorted(last for last, names in rooms_of.items() if len(names) > 1)
    reached = closure(f"{PACKAGE.name}.cli.train", graph)
    rows = [
        ("files", len(trees), []),
        ("statements", sum(map(statements, trees.values())), []),
        ("lines of the longest file", *longest(trees)),
        ("files with one importer, a sibling", len(single), single),
        ("names of files in more than one folder", len(shared), shared),
        ("circles of imports", *counted(circles(graph))),
        ("files that `train` imports, in all", len(reached), []),
        ("statements in them", sum(statements(trees[name]) for name in reached), []),
    ]
    if options.walk:
        with tempfile.TemporaryDirectory() as folder:
            passed = walk(Path(folder))
        rows += [
            ("files that a tagged run passes through", len(passed), sorted(passed)),
            ("statements of the functions it calls", sum(passed.values()), []),
        ]
    for what, value, names in rows:
        print(f"{value:8,}  {what}")
        for name in names if options.list else []:
            print(f"{'':12}{name}")


def name_of(path: Path) -> str:
    """``slue_ner.core.time`` of its file."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def room(name: str) -> str:
    """The first folder a file is in; nothing for the package's own file."""
    parts = name.split(".")
    return parts[1] if len(parts) > 2 else ""


def imports(tree: ast.AST, known: dict[str, Any]) -> set[str]:
    """The files that a file imports, in functions and for type checkers, too."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found.update(name if name in known else node.module for name in names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found & known.keys()


def statements(tree: ast.AST) -> int:
    """Statements without docstrings."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    return sum(
        not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in nodes
    )


def longest(trees: dict[str, ast.Module]) -> tuple[int, list[str]]:
    """The most lines, and whose they are."""
    lines = {
        name_of(path): len(path.read_text().splitlines())
        for path in PACKAGE.rglob("*.py")
        if name_of(path) in trees
    }
    name = max(lines, key=lambda name: lines[name])
    return lines[name], [name]


def closure(start: str, graph: dict[str, set[str]]) -> set[str]:
    """Everything imported from ``start`` on."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return found


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Files that import each other, however indirectly."""
    reach = {name: set().union(*(closure(o, graph) for o in graph[name])) for name in graph}
    return sorted(name for name in graph if name in reach[name])


def counted(names: list[str]) -> tuple[int, list[str]]:
    """How many, and which."""
    return len(names), names


def walk(folder: Path) -> dict[str, int]:
    """The files of which a function runs between argv and score, and how much of each."""
    import golden_losses

    called: dict[str, set[tuple[str, int]]] = defaultdict(set)
    with _followed(called):
        golden_losses.record(folder, ["ctc_tagged"], double=False)
    return {
        name_of(Path(path)): sum(_statements_at(Path(path), functions))
        for path, functions in called.items()
    }


@contextlib.contextmanager
def _followed(called: dict[str, set[tuple[str, int]]]) -> Iterator[None]:
    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        ours = event == "call" and code.co_filename.startswith(str(PACKAGE))
        if ours and code.co_name != "<module>":
            called[code.co_filename].add((code.co_name, code.co_firstlineno))

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


def _statements_at(path: Path, functions: set[tuple[str, int]]) -> Iterator[int]:
    lines = {line for _, line in functions}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first in lines:
                yield statements(node)


if __name__ == "__main__":
    main()
