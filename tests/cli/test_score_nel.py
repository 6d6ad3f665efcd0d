from __future__ import annotations

import json

import pytest
from nel_records import prediction, reference, words

from slue_ner.core.records import write_manifest, write_predictions

TIMED = words(("the", 0.1, 0.3), ("", 0.3, 0.4), ("eu", 0.4, 1.0), ("now", 1.0, 1.5))


@pytest.fixture
def score(slue_ner, tmp_path):
    """``score("--json", "-")``: of three utterances whose second has no alignment."""
    gold = [
        reference(TIMED, (2, 3, "ORG"), id="a", asr_text="the eu now"),
        reference(TIMED, id="b", asr_text="the eu now", words=None),
        reference(TIMED, id="c", asr_text="the eu now"),
    ]
    guesses = [
        prediction((0.5, 1.0, "ORG"), id="a"),
        prediction((0.0, 0.1, "ORG"), id="b"),
        prediction(id="c"),
    ]
    write_manifest(tmp_path / "dev.jsonl", gold)
    write_predictions(tmp_path / "predictions.jsonl", guesses)
    files = (
        *("--references", str(tmp_path / "dev.jsonl")),
        *("--predictions", str(tmp_path / "predictions.jsonl")),
    )
    return lambda *options: slue_ner("score", *files, "--resamples", "10", *options)


def test_a_manifest_with_word_times_gives_nel_figures(score):
    ended = score("--json", "-")
    assert ended.status == 0, ended.err
    found = json.loads(ended.out)
    # gold is 0.4-1.0 s, predicted 0.5-1.0 s; officially the 10 bins of "b" are spurious
    official, corrected = found["nel"]["frame_official"], found["nel"]["frame_corrected"]
    assert (official["tp"], official["fp"], official["fn"]) == (50, 10, 10)
    assert (corrected["tp"], corrected["fp"], corrected["fn"]) == (50, 0, 10)
    assert found["nel"]["word_corrected"]["0.8"]["f1"] == 1.0
    assert found["nel"]["word_corrected"]["0.9"]["f1"] == 0.0
    assert found["nel"]["leakage"] == pytest.approx(1 / 6)
    assert found["nel"]["num_unaligned"] == 1
    assert "nel.frame_official.f1" in found["intervals"]


def test_the_table_has_nel_rows(score):
    ended = score()
    assert ended.status == 0, ended.err
    shown = [line.split() for line in ended.out.splitlines()]
    assert ["nel", "frame", "f1,", "official"] in [line[:4] for line in shown]
    assert "references without word times: 1" in ended.out.replace("\n", " ")


def test_labels_must_fit_corrected_nel_too(slue_ner, tmp_path):
    write_manifest(tmp_path / "m.jsonl", [reference(TIMED, (2, 3, "PLACE"))])
    write_predictions(tmp_path / "p.jsonl", [prediction()])
    ended = slue_ner(
        *("score", "--references", str(tmp_path / "m.jsonl"), "--labels", "raw"),
        *("--predictions", str(tmp_path / "p.jsonl")),
    )
    assert ended.status == 1
    assert "utterance a: label 'PLACE' is a combined one" in ended.err
