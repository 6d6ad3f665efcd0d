from __future__ import annotations

import pytest

from slue_ner.cli.notes import notes_on_stderr
from slue_ner.core.canonical_records import warn


def said_by(capsys: pytest.CaptureFixture[str]) -> str:
    with notes_on_stderr():
        for _ in range(2):
            warn("apostrophes were changed")
    return capsys.readouterr().err


def test_a_note_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert said_by(capsys) == "note: apostrophes were changed\n"


@pytest.mark.parametrize(
    "environment", [{"RANK": "1", "WORLD_SIZE": "2"}, {"SLURM_PROCID": "3", "SLURM_NTASKS": "4"}]
)
def test_later_ranks_say_no_notes(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert said_by(capsys) == ""
