from __future__ import annotations

import json

import pytest
from compare_runs import score_object, write_run

from slue_ner.analysis.columns import COLUMNS, choose, filled
from slue_ner.analysis.compare import compare
from slue_ner.analysis.figures import Figure
from slue_ner.analysis.rows import ranked
from slue_ner.analysis.seeds import fold_seeds
from slue_ner.analysis.tables import to_csv, to_markdown

ORIGIN = {
    "references": "data/mine/dev.jsonl",
    "predictions": "cascade_predictions.jsonl",
    "command": "slue-ner score --references data/mine/dev.jsonl",
    "date": "2026-11-21",
    "slue_ner": "0.1.0",
    "commit": "bfc096672380",
    "hardware": "x86_64 CPU, 2 cores",
}


def write_scored(file, f1=0.4):
    file.write_text(json.dumps({**score_object(f1), "scored": ORIGIN}))
    return file


def test_scored_predictions_stand_beside_runs_in_the_order_given(tmp_path):
    runs = [write_run(tmp_path / name) for name in ("b", "a")]
    cascade = write_scored(tmp_path / "cascade.json")
    rows, notes = compare([runs[0], cascade, runs[1]])
    assert [(row.run, row.split) for row in rows] == [
        ("b", "dev"),
        ("cascade", "dev"),
        ("a", "dev"),
    ]
    assert rows[1].scores["f1"] == Figure(0.4, (0.4 - 0.1, 0.4 + 0.1))
    assert rows[1].command == "slue-ner score --references data/mine/dev.jsonl"
    assert notes == []


def test_what_a_scored_file_cannot_tell_is_absent_in_text_and_empty_in_numbers(tmp_path):
    rows, _ = compare([write_scored(tmp_path / "cascade.json")])
    shown = {column.title for column in filled(choose(list(COLUMNS)), rows)}
    assert shown == {
        *("run", "split", "F1", "label F1", "WER"),
        *("hardware", "commit, date", "command"),
    }
    text = to_markdown(rows, choose(["strategy", "trainable", "seed", "seconds", "memory"]))
    assert text.splitlines()[-1] == "| - | - | - | - | - |"
    assert to_csv(rows, choose(["trainable", "seed", "updates"])).splitlines()[-1] == ",,,0,"


def test_folding_seeds_and_ranking_leave_scored_files_whole(tmp_path):
    runs = [write_run(tmp_path / f"seed={seed}", seed=seed) for seed in (0, 1)]
    files = [write_scored(tmp_path / f"{name}.json", f1) for name, f1 in (("x", 0.4), ("y", 0.6))]
    rows, _ = compare([*runs, *files])
    folded = ranked(fold_seeds(rows), "f1")
    assert [(row.run, row.scores["f1"].text) for row in folded] == [
        ("y", "60.0 [50.0, 70.0]"),
        ("seed=0; seed=1", "50.0 ± 0.0 (2)"),
        ("x", "40.0 [30.0, 50.0]"),
    ]


@pytest.mark.parametrize("content", ["{}", "[]", '{"scored": {}}', '{"scored": 3}'])
def test_another_json_file_is_refused_by_name(tmp_path, content):
    file = tmp_path / "other.json"
    file.write_text(content)
    with pytest.raises(
        ValueError, match=r"/other\.json is not a file that `slue-ner score --json`"
    ):
        compare([file])
