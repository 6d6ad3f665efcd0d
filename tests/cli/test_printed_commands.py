"""Every command that a page, a help text or a recipe prints is one that the program takes."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from recipe_folder import RecipeFolder

from slue_ner.cli.compose import compose_config
from slue_ner.cli.main import COMMANDS
from slue_ner.cli.quickstart import _NEXT
from slue_ner.cli.sweep import check_jobs
from slue_ner.tasks.registry import run_config

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("docs", "checkpoints", "recipes", "benchmarks")
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "README.md", *(p for name in FOLDERS for p in (ROOT / name).rglob("*.md")))
)


def commands(lines: Iterable[str]) -> list[list[str]]:
    """The words behind each ``slue-ner`` in lines of a shell, without redirections and comments."""
    found = []
    for line in lines:
        for part in re.split(r"[;|>] ", line):
            words = shlex.split(part, comments=True)
            if "slue-ner" in words:
                found.append(words[words.index("slue-ner") + 1 :])
    return found


def of_page(text: str) -> list[list[str]]:
    """Commands of fenced blocks, and recorded ones: those of training between backquotes."""
    found = re.findall(r"```(\w*)\n(.*?)```", text, flags=re.DOTALL)
    fenced = [block for language, block in found if language in ("", "bash", "sh")]
    prose = re.sub(r"```.*?```", "", text)
    recorded = re.findall(r"`((?:torchrun [^`]*)?slue-ner train [^`]*=[^`]*)`", prose)
    return commands([*"".join(fenced).replace("\\\n", " ").splitlines(), *recorded])


def of_help(text: str) -> list[list[str]]:
    """Commands of the examples: indented lines, perhaps behind a pipe or the word ``example``."""
    lines = text.replace("\\\n", " ").splitlines()
    shown = [re.sub(r"^example: ", "  ", line) for line in lines]
    return commands(line for line in shown if re.match(r"  (\S+ \S+ \| )?slue-ner \w", line))


def parser_of(name: str) -> argparse.ArgumentParser:
    """Of any command but ``train``, which reads its arguments itself."""
    parser: argparse.ArgumentParser = import_module(f"slue_ner.cli.{name}").command_parser()
    return parser


def accept(command: Sequence[str]) -> None:
    """Fail unless the program takes the command, which is not run."""
    name, *arguments = command
    if name != "train":
        try:
            parser_of(name).parse_args(arguments)
        except SystemExit:
            pytest.fail(f"not taken: slue-ner {shlex.join(command)}")
    elif "-m" in arguments:
        check_jobs([argument for argument in arguments if argument != "-m"])
    else:
        run_config(compose_config(arguments))


@pytest.mark.parametrize("page", PAGES)
def test_the_program_takes_every_command_of_a_page(page: str) -> None:
    for command in of_page((ROOT / page).read_text()):
        accept(command)


def test_the_commands_of_the_pages_are_found() -> None:
    found = of_page((ROOT / "README.md").read_text())
    assert ["compare", "runs/strategies", "--seeds"] in found
    assert ["train", "-m"] in [command[:2] for command in found]
    assert [command[-1] for command in found if "-m" in command] == ["seed=0,1,2"]


def helps() -> Iterator[tuple[str, ...]]:
    """Commands and subcommands, each of which has a help."""
    for name in COMMANDS:
        yield (name,)
        actions = [] if name == "train" else parser_of(name)._actions
        for action in actions:
            if isinstance(action, argparse._SubParsersAction):
                yield from ((name, what) for what in action.choices)


@pytest.mark.parametrize("names", list(helps()), ids=" ".join)
def test_every_help_ends_with_examples_that_the_program_takes(
    slue_ner: Any, names: tuple[str, ...]
) -> None:
    ended = slue_ner(*names, "--help")
    assert (ended.status, ended.err) == (0, "")
    _, *told = re.split(r"^examples?:", ended.out, maxsplit=1, flags=re.MULTILINE)
    examples = of_help("".join(told))
    assert list(names) in [example[: len(names)] for example in examples]
    assert ended.out.splitlines()[-1].startswith("  ")
    for command in examples:
        accept(command)
        assert not strays(command)
    for path in re.findall(r" > (\S+)", "".join(told)):
        assert path.startswith(PLACES)


def test_the_help_of_all_ends_with_an_example_that_the_program_takes(slue_ner: Any) -> None:
    [example] = of_help(slue_ner("--help").out.splitlines()[-1])
    accept(example)


def test_the_program_takes_what_the_quickstart_says_to_run_next() -> None:
    following = of_help(_NEXT.format(run="runs/it", data="data/it", lm="runs/it/lm"))
    assert len(following) == 5
    for command in following:
        accept(command)
        assert not strays(command)


PLACES = ("runs/", "data/", "~/")
"""Where a command that we print may write, so that nobody's folder fills up by pasting it."""


def strays(command: Sequence[str]) -> list[str]:
    """What a command writes elsewhere; ``-`` is standard output."""
    name, *arguments = command
    if name == "train":
        return [a for a in arguments if a.startswith("run_dir=") and not a[8:].startswith(PLACES)]
    options = vars(parser_of(name).parse_args(arguments))
    outputs = ["output", "out", "halves", "json", "svg", "into"]
    outputs += ["emissions"] if name == "predict" else []
    written = [str(options[output]) for output in outputs if options.get(output) is not None]
    return [path for path in written if path != "-" and not path.startswith(PLACES)]


def test_outputs_elsewhere_are_found() -> None:
    command = "predict runs/it --manifest dev.jsonl --output dev.jsonl --emissions runs/it/dev"
    assert strays(command.split()) == ["dev.jsonl"]
    assert strays(["export", "runs/it", "here"]) == ["here"]
    assert strays(["train", "run_dir=here"]) == ["run_dir=here"]


@pytest.mark.parametrize("path", sorted((ROOT / "slue_ner").rglob("*.py")), ids=lambda p: p.stem)
def test_a_hint_writes_into_runs_and_data_only(path: Path) -> None:
    """In messages; what is put in for ``{...}`` is a path of the user's, ``FILE`` is no path."""
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str)
        ):
            text = ast.unparse(node)
            for written in re.findall(
                r"slue-ner [^`]*?(?:--(?:output|halves|json|svg|into)|>) ([\w./~{-]+)", text
            ):
                assert written.startswith((*PLACES, "{", "-")) or written.isupper(), text


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        "recipes/so762/run.sh",
        "recipes/slue_neural/run.sh",
        "recipes/small_sfm/run.sh",
        "recipes/small_conformer/run.sh",
        "recipes/demo/run.sh",
        "recipes/slue_text_spoken/run.sh",
        "recipes/systems.sh runs/tour fine-tune.jsonl tune.jsonl test.jsonl",
        "recipes/decoding.sh runs/tour fine-tune.jsonl tune.jsonl test.jsonl",
    ],
)
def test_the_program_takes_every_command_of_a_recipe(tmp_path: Path, script: str) -> None:
    recipes = RecipeFolder(tmp_path)
    recipes.touch(
        *("data/slue_spoken/tune.jsonl", "data/flite/speech.jsonl"),
        *("data/slue_neural_official/dev.jsonl", "neural/word_times_dev.jsonl"),
        "models/small-conformer/config.json",
        *(f"{folder}/slue-voxpopuli_fine-tune.tsv" for folder in ("so762", "slue", "neural")),
    )
    ended = recipes.run(script, SO762="so762", SLUE_TEXT="slue", SLUE_NEURAL="neural")
    assert ended.returncode == 0, ended.stderr
    assert len(recipes.commands) > 5
    for command in map(list, dict.fromkeys(map(tuple, recipes.commands))):
        accept(command)
