from __future__ import annotations

import json

import pytest

from slue_ner.analysis.compare import HEADER, compare, to_markdown, write_into

METRICS = {
    "schema": 1,
    "run": {
        "name": "a",
        "seed": 3,
        "command": "slue-ner train name=a",
        "commit": "abc",
        "date": "2026-11-21",
        "hardware": "x86_64 CPU, 2 cores",
        "adaptation": {"strategy": "lora", "num_trainable": 500_000, "trainable_share": 0.25},
        "training": {
            **{"seconds": 61.4, "audio_seconds_per_second": 80.2, "peak_memory_bytes": 2**30},
        },
    },
    "splits": {
        "dev": {
            "wer": 0.25,
            "ner": {"micro": {"f1": 0.5}},
            "intervals": {"ner.micro.f1": [0.4, 0.6]},
        }
    },
}


def finished_run(folder, metrics=METRICS):
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_a_row_shows_scores_with_intervals_and_the_cost(tmp_path):
    (row,) = compare([finished_run(tmp_path / "a")])
    shown = dict(zip(HEADER, row, strict=True))
    assert shown["F1"] == "50.0 [40.0, 60.0]"
    assert shown["WER"] == "25.0"
    assert shown["label F1"] == "-"
    assert shown["trainable"] == "0.5 M (25 %)"
    assert (shown["train s"], shown["memory"]) == ("61", "1.0 GiB")
    assert shown["command"] == "`slue-ner train name=a`"


def test_a_folder_without_metrics_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"is not a finished run: it has no metrics\.json"):
        compare([tmp_path])


def test_a_table_is_written_between_its_marks_again_and_again(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    table = to_markdown(compare([finished_run(tmp_path / "a")]))
    write_into(page, "results", table)
    write_into(page, "results", table)
    content = page.read_text()
    assert content.startswith("before\n<!-- results -->\n| run |")
    assert content.endswith("|\n<!-- /results -->\nafter\n")
    assert content.count("| a |") == 1


def test_a_page_without_the_marks_is_refused(tmp_path):
    with pytest.raises(ValueError, match="needs the lines <!-- results -->"):
        write_into(tmp_path / "none.md", "results", "x")
