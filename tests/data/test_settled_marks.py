import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from slue_ner.core.records import read_manifest
from slue_ner.data.corpora.jsonl import prepare_jsonl


@pytest.fixture
def own(tmp_path: Path) -> Path:
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000)
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    rome = [{"label": "GPE", "phrase": "rome"}]
    lines = [
        {"id": "a", "text": "profits & losses in rome", "entities": rome},
        {"id": "b", "text": "#rome costs $ five", "entities": rome},
        {"id": "c", "text": "ab|cd in rome", "entities": [{"label": "ORG", "phrase": "ab|cd"}]},
        {"id": "d", "text": "we met in rome", "entities": rome},
    ]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps({"audio": "a.wav", **line}) + "\n" for line in lines))
    return path


def texts(folder: Path) -> dict[str, str]:
    return {u.id: u.text for u in read_manifest(folder / "fine-tune.jsonl")}


def test_all_texts_with_marks_are_listed_at_once_and_kept(own: Path) -> None:
    prepared = prepare_jsonl(own, own.parent / "out", tune_share=0)
    (note,) = [note for note in prepared.warnings if "entity marks" in note]
    assert note.startswith("3 of 4 texts hold words that are entity marks or '|'")
    assert "a ('&'); b ('#', '$'); c ('ab|cd')" in note and "--marks remove" in note
    assert texts(own.parent / "out")["a"] == "profits & losses in rome"
    record = json.loads((own.parent / "out" / "dataset.json").read_text())
    assert note in record["source"]["warnings"] and record["source"]["options"]["marks"] == "keep"


def test_marks_are_removed_on_request(own: Path) -> None:
    prepared = prepare_jsonl(own, own.parent / "out", tune_share=0, marks="remove")
    assert texts(own.parent / "out") == {
        "a": "profits losses in rome",
        "b": "rome costs five",
        "c": "ab cd in rome",
        "d": "we met in rome",
    }
    phrases = [u.entities[0].phrase for u in read_manifest(own.parent / "out/fine-tune.jsonl")]
    assert phrases == ["rome", "rome", "ab cd", "rome"]
    assert any("which were taken out" in note for note in prepared.warnings)


def test_utterances_with_marks_are_left_out_on_request(own: Path) -> None:
    prepared = prepare_jsonl(own, own.parent / "out", tune_share=0, marks="leave-out")
    assert list(texts(own.parent / "out")) == ["d"]
    assert any("3 of 4 texts" in n and "are left out" in n for n in prepared.warnings)


def test_twenty_ids_are_shown_and_the_rest_counted(own: Path) -> None:
    lines = [{"id": f"u{i}", "audio": "a.wav", "text": "r & d", "entities": []} for i in range(23)]
    own.write_text("".join(json.dumps(line) + "\n" for line in lines))
    prepared = prepare_jsonl(own, own.parent / "out", tune_share=0)
    (note,) = [note for note in prepared.warnings if "entity marks" in note]
    assert "u19 ('&') and 3 more; texts by word: '&' in 23" in note


def test_nothing_left_to_prepare_is_an_error_that_says_why(own: Path) -> None:
    own.write_text(json.dumps({"id": "a", "audio": "a.wav", "text": "r & d", "entities": []}))
    with pytest.raises(ValueError, match="nothing is left to prepare; 1 of 1 texts hold words"):
        prepare_jsonl(own, own.parent / "out", marks="leave-out")
