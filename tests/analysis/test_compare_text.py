from __future__ import annotations

import json

import pytest
from compare_runs import score_object, write_run

from slue_ner.analysis.columns import choose
from slue_ner.analysis.compare import compare
from slue_ner.analysis.figures import ABSENT
from slue_ner.analysis.seeds import fold_seeds


@pytest.fixture
def text_run(tmp_path):
    """A run of text NER: no encoder in its config, words instead of audio."""

    def write(name: str, *, seed: int = 0):
        folder = write_run(
            tmp_path / name,
            seed=seed,
            splits={"dev": score_object(f1=0.8, wer=0.0)},
            config={"task": {"kind": "text_ner", "source": None}},
            adaptation={"strategy": "text NER: small tagger (from scratch)"},
            training={"tagger": "small tagger (from scratch)", "words_per_second": 9000.0},
        )
        config = (folder / "config.yaml").read_text()
        (folder / "config.yaml").write_text(config.replace("encoder:", "unused:"))
        metrics = json.loads((folder / "metrics.json").read_text())
        del metrics["run"]["training"]["audio_seconds_per_second"]
        (folder / "metrics.json").write_text(json.dumps(metrics))
        return folder

    return write


def test_a_text_run_stands_beside_a_speech_run_under_its_taggers_name(text_run, tmp_path):
    rows, notes = compare([text_run("topline"), write_run(tmp_path / "speech")])
    encoder, strategy, speed, wer = choose(["encoder", "strategy", "speed", "wer"])
    assert notes == []
    assert encoder.text(rows[0]) == "small tagger (from scratch)"
    assert strategy.text(rows[0]) == "text NER: small tagger (from scratch)"
    assert [speed.text(row) for row in rows] == [ABSENT, "80"]
    assert wer.text(rows[0]).startswith("0.0")


def test_seeds_of_a_text_run_fold_without_a_speed(text_run):
    rows, _ = compare([text_run("one"), text_run("two", seed=1)])
    (folded,) = fold_seeds(rows)
    assert folded.seeds == (0, 1) and folded.audio_seconds_per_second is None
