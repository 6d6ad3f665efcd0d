from __future__ import annotations

import io

import pytest

from slue_ner.cli.console import stdout
from slue_ner.evaluation.bootstrap import BootstrapOptions
from slue_ner.evaluation.score import score
from slue_ner.evaluation.table import render

NAME = "runs/[bold]a[/bold] :x: [word]"


class Terminal(io.StringIO):
    """Standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_names_are_printed_as_they_are(monkeypatch, kind):
    monkeypatch.setattr("sys.stdout", out := kind())
    stdout().print(NAME)
    assert out.getvalue() == f"{NAME}\n"


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_a_narrow_terminal_cuts_no_figure_off(monkeypatch, kind):
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr("sys.stdout", out := kind())
    render(score([], [], intervals=BootstrapOptions()), stdout())
    assert "predicted" in out.getvalue()
    assert "\N{HORIZONTAL ELLIPSIS}" not in out.getvalue()
