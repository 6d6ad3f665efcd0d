"""The TAB key: what a word may become, and that three shells ask for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from program import COMMAND

from slue_ner.cli.completion import SCRIPTS, words
from slue_ner.cli.compose import compose_config
from slue_ner.cli.config_groups import config_folder
from slue_ner.cli.main import COMMANDS
from slue_ner.cli.train import OPTIONS

QUICK = """
import sys
from slue_ner.cli.completion import words
assert "--batch-seconds" in words(["predict", "--"])
assert "synthetic" in words(["prepare", ""])
assert "--by" in words(["tune", "decoding", "--"])
assert "optim=cosine" in words(["train", "optim="])
assert "optim." in words(["train", "op"])
heavy = {"torch", "transformers", "hydra", "numpy", "rich"} & sys.modules.keys()
assert not heavy, heavy
"""


def test_options_and_choices_come_without_torch_and_hydra():
    done = subprocess.run([sys.executable, "-c", QUICK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_commands_come_first():
    assert set(words([""])) == set(words([])) == set(COMMANDS)
    assert list(words(["tr"])) == ["train"]
    assert list(words(["--v"])) == ["--version"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (["predict", "runs/it", "--pip"], ["--pipeline"]),
        (["predict", "runs/it", "--pipeline", "c"], ["cascade"]),
        (["predict", "--pipeline=c"], ["--pipeline=cascade"]),
        (["predict", "--manifest", ""], []),
        (["predict", ""], []),
        (["prepare", "slue-"], ["slue-voxpopuli", "slue-nel"]),
        (["prepare", "slue-nel", "--mat"], ["--match"]),
        (["prepare", "jsonl", "data.jsonl", "out", "--marks", "k"], ["keep"]),
        (["lm", "train", "--order", "4", "text.txt", "--unit", ""], ["words", "characters"]),
        (["show", "--id", "a", ""], []),
        (["align", "--compare", "a", ""], []),
        (["quickstart", ""], ["-h", "--help"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["unknown", ""], []),
        (["prepare", "unknown", "--"], []),
    ],
)
def test_a_word_becomes_what_the_parser_takes(line, found):
    assert list(words(line)) == found


def test_a_choice_of_a_sweep_is_completed_behind_its_comma():
    assert list(words(["train", "-m", "adaptation=full,re"])) == ["adaptation=full,reinit"]


def test_overrides_begin_with_a_group_or_a_key():
    assert list(words(["train", "opt"])) == ["optim=", "optim."]
    assert list(words(["train", "+opt"])) == ["+optim=", "+optim."]
    assert list(words(["train", "see"])) == ["seed="]
    assert list(words(["train", "exp"])) == ["experiment="]  # no section of a run's config
    assert not words(["train", "deco"])


def test_every_choice_of_every_group_is_offered():
    for group in ("encoder", "experiment", "adaptation"):
        names = {path.stem for path in (config_folder() / group).glob("*.yaml")}
        assert set(words(["train", f"{group}="])) == {f"{group}={name}" for name in names}


def test_keys_are_those_of_the_config_that_the_words_before_compose():
    found = words(["train", "experiment=text_ner_small", "task."])
    task = compose_config(["experiment=text_ner_small"])["task"]
    assert {word[:-1] for word in found} == {f"task.{key}" for key in task}
    assert "task.small." in found and "task.noise=" in found
    assert words(["train", "optim.l"]) == {"optim.lr=": "now 5e-05"}
    assert words(["train", "-m", "seed=0,1", "optim.l"]) == {"optim.lr=": "now 5e-05"}
    assert not words(["train", "nothing.at.all"])


def test_a_section_within_a_section_is_completed_by_and_by():
    assert "encoder.overrides." in words(["train", "encoder=small", "encoder.o"])
    found = words(["train", "encoder=small", "encoder.overrides.hidden"])
    assert "encoder.overrides.hidden_size=" in found


def test_choices_in_a_folder_of_ones_own_are_offered_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine/optim").mkdir(parents=True)
    Path("mine/optim/slow.yaml").write_text("defaults:\n  - tri_stage\nwarmup: 0.5\n")
    Path("other.yaml").write_text("defaults:\n  - full\n")
    before = ["train", "--config-dir", "mine", "adaptation=other.yaml"]
    assert list(words([*before, "optim=s"])) == ["optim=slow"]
    assert words([*before, "optim=slow", "optim.wa"]) == {"optim.warmup=": "now 0.5"}
    assert not words(["train", "--config-dir", ""])
    assert list(words(["train", "--config-dir", "gone", "optim=co"])) == [
        "optim=constant",
        "optim=cosine",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "other.yaml"]


@pytest.mark.parametrize("option", OPTIONS)
def test_train_takes_the_options_that_are_offered(slue_ner, tmp_path, option):
    folder = [str(tmp_path)] if option == "--config-dir" else []
    ended = slue_ner("train", option, *folder, "adaptation=lorra")
    assert option in words(["train", "-"])
    assert option in ended.out if ended.status == 0 else "lorra is unknown" in ended.err


TYPED = [
    ("slue-ner tr\t", ["train"]),
    ("slue-ner prepare synth\t", ["prepare", "synthetic"]),
    ("slue-ner predict runs/it --pipel\tto\t", ["predict", "runs/it", "--pipeline", "topline"]),
    ("slue-ner predict --pipeline=ca\t", ["predict", "--pipeline=cascade"]),
    ("slue-ner train encoder=small_w\t", ["train", "encoder=small_wav2vec2"]),
    ("slue-ner train optim.l\t1 seed=0", ["train", "optim.lr=1", "seed=0"]),
    ("slue-ner train data.root=data/mi\t", ["train", "data.root=data/mine"]),
    ("slue-ner show data/its\\ o\t --svg pic\t", ["show", "data/its own", "--svg", "picture.svg"]),
]


@pytest.fixture
def folder(tmp_path):
    """A folder with files to complete, and with the command in ``bin``."""
    (tmp_path / "data/mine").mkdir(parents=True)
    (tmp_path / "data/its own").touch()
    (tmp_path / "picture.svg").touch()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/slue-ner"
    python, _, code = COMMAND
    program.write_text(f"#!{python}\n{code}")
    program.chmod(0o755)
    return tmp_path


def need(shell: str) -> str:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    return program


def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "TERM": "dumb",
    }


TERMINAL = "import pty, sys; pty.spawn(sys.argv[1:])"
START = {
    "bash": (["--norc", "--noprofile", "-i"], "source <(slue-ner completion bash)"),
    "zsh": (
        ["-f", "-i"],
        "autoload -Uz compinit; compinit -u -D; source <(slue-ner completion zsh)",
    ),
}


@pytest.mark.parametrize("shell", START)
def test_the_tab_key_completes_in(folder, shell):
    program = need(shell)
    options, start = START[shell]
    lines = [f"{line}\x01printf '<%s>' \r" for line, _ in TYPED]  # ^A: at the beginning
    done = subprocess.run(
        [sys.executable, "-c", TERMINAL, program, *options],
        input="\r".join([start, *lines, "exit\r"]),
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(folder),
    )
    found = [group[1:-1].split("><") for group in re.findall(r"(?:<[^<>%]+>){2,}", done.stdout)]
    assert [[word.rstrip("/") for word in line[1:]] for line in found] == [w for _, w in TYPED]


def test_fish_offers_words_with_a_line_about_each_and_files_elsewhere(folder):
    lines = ["slue-ner tr", "slue-ner train optim.l", "slue-ner train encoder=small_w"]
    lines += [
        "slue-ner predict --pipeline=ca",
        "slue-ner train data.root=data/mi",
        "slue-ner show d",
    ]
    asked = "\n".join(f"complete -C '{line}'" for line in lines)
    done = subprocess.run(
        [need("fish"), "--no-config", "-c", f"slue-ner completion fish | source\n{asked}"],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
    )
    assert (done.stderr, done.stdout.splitlines()) == (
        "",
        [
            f"train\t{COMMANDS['train']}",
            "optim.lr=\tnow 5e-05",
            "encoder=small_wav2vec2",
            "--pipeline=cascade",
            "data.root=data/mine/",
            "data/",
        ],
    )


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_script_is_one_that_its_shell_reads(slue_ner, tmp_path, shell):
    script = tmp_path / "script"
    script.write_text(slue_ner("completion", shell).out)
    done = subprocess.run([need(shell), "-n", str(script)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
