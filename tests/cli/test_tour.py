from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slue_ner.cli import quickstart, tour
from slue_ner.cli.compose import compose_config
from slue_ner.cli.main import main
from slue_ner.tasks.registry import run_config

NAMES = ["full", "reinit", "lora", "frozen_weighted_sum", "frozen_layer"]
PARTS = ["asr", "frames", "text_ner"]


@dataclass
class Trainings:
    """Stands in for the processes that train: notes commands, writes logs and finished runs.

    Attributes:
        run: a finished run folder to copy; ``None`` writes none.
        ends: how the run of a name ends, its status and its last line, unless it succeeds.
        commands: of every process, by the name of its run.
        environments: the same.
    """

    run: Path | None = None
    ends: dict[str, tuple[int, str]] = field(default_factory=dict)
    commands: dict[str, list[str]] = field(default_factory=dict)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)

    def __call__(
        self, command: list[str], *, env: dict[str, str], stdout: Any, **_: Any
    ) -> subprocess.CompletedProcess[str]:
        (name,) = (a.removeprefix("name=tour/") for a in command if a.startswith("name="))
        self.commands[name] = command
        self.environments[name] = env
        status, line = self.ends.get(name, (0, f"dev: F1 of {name}"))
        stdout.write(f"adaptation {name}\n{line}\n" if line else "")
        if status == 0 and self.run is not None:
            shutil.copytree(self.run, Path("runs/tour") / name, dirs_exist_ok=True)
        return subprocess.CompletedProcess(command, status)


@pytest.fixture
def trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tour runs in an empty folder, without corpus and without training."""
    monkeypatch.chdir(tmp_path)
    stand_in = Trainings()
    monkeypatch.setattr(tour, "subprocess", SimpleNamespace(run=stand_in, STDOUT=subprocess.STDOUT))
    monkeypatch.setattr(quickstart, "make_corpus", lambda console: console.print("the corpus"))
    return stand_in


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_overrides: list[str]) -> Any:
    """The folder of a tiny finished run."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(["train", *tiny_overrides, "trainer.max_updates=1", f"run_dir={folder}"]) == 0
    return folder


def said(out: str, name: str) -> str:
    """What the tour says about a run when it has ended, behind its name and seconds."""
    (line,) = (line for line in out.splitlines() if line.startswith(f"{name}, "))
    return line.split(" s:", 1)[1].strip()


def test_five_strategies_and_the_parts_of_other_systems_are_trained_and_the_five_compared(
    slue_ner: Any, trainings: Trainings, finished: Path
) -> None:
    trainings.run = finished
    ended = slue_ner("tour")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("the corpus\ntraining 5 strategies, a cascade and frame heads, ")
    for name in [*NAMES, *PARTS]:
        assert said(ended.out, name) == f"dev: F1 of {name}"
    table = ended.out.split("strategies on unseen voices and sentences:\n")[1].splitlines()
    assert table[0].startswith("| run | trainable | F1 ")
    assert sorted(row.split(" | ")[0] for row in table[2:]) == sorted(f"| {n}" for n in NAMES)


def test_every_strategy_is_one_training_on_one_core(
    slue_ner: Any, trainings: Trainings, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings.run = finished
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("KEPT", "yes")
    assert slue_ner("tour").status == 0
    assert sorted(trainings.commands) == sorted([*NAMES, *PARTS])
    for name, (program, *arguments) in trainings.commands.items():
        assert Path(program).name == "slue-ner"
        head_alone = ["adaptation.freeze_updates=60"]
        first = {"text_ner": ["experiment=text_ner_small"]}.get(name, ["experiment=tour"])
        trained = [*head_alone, "optim.lr=1e-4"]
        middle = trained if name in ("full", "reinit", "asr", "frames") else []
        last = {
            **{name: [f"adaptation={name}"] for name in NAMES},
            "frozen_layer": ["adaptation=frozen_layer", "adaptation.layer=4"],
            "lora": [*head_alone, "adaptation=lora", "adaptation.alpha=8", "optim.lr=1e-3"],
            "asr": ["task=ctc_plain"],
            "frames": ["task=frames_joint"],
            "text_ner": ["data.root=data/quickstart"],
        }[name]
        assert arguments == ["train", f"name=tour/{name}", *first, *middle, *last]
        assert trainings.environments[name]["OMP_NUM_THREADS"] == "1"
        assert trainings.environments[name]["KEPT"] == "yes"


@pytest.mark.parametrize("name", NAMES)
def test_the_command_of_a_strategy_is_a_run_of_it_below_the_tours_folder(
    slue_ner: Any, trainings: Trainings, finished: Path, name: str
) -> None:
    trainings.run = finished
    assert slue_ner("tour").status == 0
    values = compose_config(trainings.commands[name][2:])
    config = run_config(values)
    assert values["run_dir"] == f"runs/tour/{name}"
    assert values["adaptation"]["strategy"] == name
    assert values["encoder"]["source"] == "small-sfm"
    assert config.data.root == "data/quickstart"
    assert config.data.evaluate == ["test"]


def test_a_failed_run_is_reported_with_the_end_of_its_log(
    slue_ner: Any, trainings: Trainings, finished: Path
) -> None:
    trainings.run = finished
    trainings.ends["lora"] = (1, "slue-ner train: the loss of u1 is not finite at update 3")
    ended = slue_ner("tour")
    assert ended.status == 1
    assert said(ended.out, "lora") == "slue-ner train: the loss of u1 is not finite at update 3"
    assert "logs in runs/tour/NAME.txt" in ended.out
    assert Path("runs/tour/lora.txt").read_text() == (
        "adaptation lora\nslue-ner train: the loss of u1 is not finite at update 3\n"
    )
    assert sorted(trainings.commands) == sorted([*NAMES, *PARTS])  # the others are not held up
    assert said(ended.out, "full") == "dev: F1 of full"
    assert "|" not in ended.out  # no table of some of them


def test_a_killed_run_that_said_nothing_fails_the_tour(
    slue_ner: Any, trainings: Trainings, finished: Path
) -> None:
    trainings.run = finished
    trainings.ends["full"] = (-9, "")
    ended = slue_ner("tour")
    assert ended.status == 1
    assert said(ended.out, "full") == ""


@pytest.mark.parametrize("name", PARTS)
def test_the_parts_are_runs_of_their_tasks_on_the_same_corpus(
    slue_ner: Any, trainings: Trainings, finished: Path, name: str
) -> None:
    trainings.run = finished
    assert slue_ner("tour").status == 0
    values = compose_config(trainings.commands[name][2:])
    kinds = {"asr": "ctc", "frames": "frames", "text_ner": "text_ner"}
    assert values["task"]["kind"] == kinds[name]
    assert (values["run_dir"], values["data"]["root"]) == (f"runs/tour/{name}", "data/quickstart")


def test_the_tour_goes_on_where_it_stopped(
    slue_ner: Any, trainings: Trainings, finished: Path
) -> None:
    trainings.run = finished
    trainings.ends["full"] = (130, "slue-ner train: stopped at update 3")
    assert slue_ner("tour").status == 1
    del trainings.ends["full"]
    ended = slue_ner("tour")
    assert ended.status == 0
    lines = Path("runs/tour/full.txt").read_text().splitlines()
    assert lines[1::2] == ["slue-ner train: stopped at update 3", "dev: F1 of full"]
    assert said(ended.out, "full") == "dev: F1 of full"


def test_the_tour_takes_no_arguments(slue_ner: Any, trainings: Trainings) -> None:
    ended = slue_ner("tour", "lora")
    assert ended.status == 2
    assert "unrecognized arguments: lora" in ended.err
    assert not trainings.commands and not list(Path().iterdir())
