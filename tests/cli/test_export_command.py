from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModel

from slue_ner.cli.compose import compose_config
from slue_ner.training.run_folder import claim_folder


@pytest.fixture
def run(
    slue_ner: Any, tiny_overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """The name of a finished run in the current folder."""
    monkeypatch.chdir(tmp_path)
    ended = slue_ner("train", *tiny_overrides, "name=mine", "trainer.max_updates=1")
    assert ended.status == 0, ended.err
    return "runs/mine"


def test_a_run_becomes_an_encoder_that_the_next_run_starts_from(
    slue_ner: Any, run: Any, tiny_overrides: list[str], tmp_path: Path
) -> None:
    ended = slue_ner("export", run, "out/mine", "--half", "--weights", "last")
    assert ended.status == 0, ended.err
    assert ended.out.startswith("encoder of runs/mine written into out/mine, ")
    assert ended.out.endswith(" MB\n")
    assert AutoModel.from_pretrained(tmp_path / "out/mine").config.num_hidden_layers == 2
    again = slue_ner(
        "train",
        *[override for override in tiny_overrides if "encoder.overrides" not in override],
        *("encoder=small_sfm", "encoder.source=out/mine", "name=next", "trainer.max_updates=1"),
    )
    assert again.status == 0, again.err
    assert slue_ner("export", "runs/next", "out/next").status == 0
    assert "- started from: out/mine\n" in (tmp_path / "out/next/README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("nowhere", "out"), 1, "slue-ner export: nowhere is not a finished run: it has no config"),
        (("nowhere",), 2, "the following arguments are required: out"),
        (("nowhere", "out", "--weights", "first"), 2, "invalid choice: 'first'"),
    ],
)
def test_a_slip_writes_nothing(
    slue_ner: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    status: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = slue_ner("export", *arguments)
    assert ended.status == status
    assert message in ended.err
    assert ended.out == ""
    assert not list(tmp_path.iterdir())


def test_a_run_that_hears_nothing_has_no_encoder(
    slue_ner: Any, tmp_path: Path, text_overrides: list[str]
) -> None:
    claim_folder(tmp_path, compose_config(text_overrides))
    (tmp_path / "metrics.json").write_text("{}")
    ended = slue_ner("export", str(tmp_path), str(tmp_path / "out"))
    assert (ended.status, ended.out) == (1, "")
    assert "finds entities in text and has no speech encoder to export" in ended.err
