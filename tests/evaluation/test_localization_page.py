"""The worked example of docs/localization.md has the figures that scoring gives it."""

from __future__ import annotations

from pathlib import Path

import pytest
from nel_records import prediction, reference

from slue_ner.evaluation.score import score

PAGE = (Path(__file__).resolve().parents[2] / "docs/localization.md").read_text()


@pytest.fixture(scope="module")
def nel():
    spoken = [("visit", 0.2, 0.7), ("rome", 0.9, 1.5), ("in", 1.8, 2.0), ("may", 2.3, 3.0)]
    gold = reference(spoken, (1, 2, "GPE"), (3, 4, "DATE"))
    found = prediction((1.0, 1.9, "PLACE"), (2.6, 3.0, "WHEN"))
    return score([gold], [found], intervals=None).to_json()["nel"]


def test_the_drawing_shows_these_times():
    lines = {line[1:11].strip(): line[12:] for line in PAGE.splitlines() if line.startswith(" ")}
    assert lines["words"] == "..vvvvv..rrrrrr...ii...mmmmmmm...."
    assert lines["gold"] == "." * 9 + "#" * 6 + "." * 8 + "#" * 7 + "." * 4
    assert lines["predicted"] == "." * 10 + "#" * 9 + "." * 7 + "#" * 4 + "." * 4
    both = (
        "#" if a == b == "#" else "."
        for a, b in zip(lines["gold"], lines["predicted"], strict=True)
    )
    assert lines["both"] == "".join(both)


def test_the_figures_are_those_of_the_page(nel):
    shown = {
        "9/13 = 69.2": nel["frame_corrected"]["f1"],
        "F1 = 66.7": nel["word_corrected"]["0.8"]["f1"],
        "F1 = 80.0": nel["word_corrected"]["0.5"]["f1"],
        "4/13 = 30.8 %": nel["leakage"],
        "0.7 s = 14.3 %": nel["over_redaction"],
        "frame F1 69.0 above": nel["frame_official"]["f1"],
        "at `rho = 0.5` is 100 there": nel["word_official"]["0.5"]["f1"],
    }
    for text, value in shown.items():
        figure = next(word for word in reversed(text.split()) if word.replace(".", "").isdigit())
        assert text in " ".join(PAGE.split())
        assert float(figure) == pytest.approx(100 * value, abs=0.05)
    assert nel["frame_official"]["gold"] == 131 and nel["frame_corrected"]["gold"] == 130
    assert nel["boundary_ms"]["median"] == pytest.approx(200)
