from __future__ import annotations

import json
from pathlib import Path

import pytest

from slue_ner.cli.main import main
from slue_ner.core.records import read_manifest
from slue_ner.data.corpora.labelled_text import prepare_text

LINES = [
    {
        "id": f"d{debate}-en_{n}",
        "text": f"the eu budget of {debate} and {n}",
        "speaker": str(debate),
        "entities": [{"label": "ORG", "start_char": 4, "end_char": 6}],
    }
    for debate in range(10)
    for n in range(4)
]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Forty sentences of ten speakers."""
    path = tmp_path / "text.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES), encoding="utf-8")
    return path


def test_text_becomes_manifests_without_audio_and_a_tune_split_of_other_speakers(lines, tmp_path):
    prepared = prepare_text([lines], tmp_path / "out")
    train, tune = (read_manifest(tmp_path / "out" / f"{s}.jsonl") for s in ("fine-tune", "tune"))
    assert (len(train), len(tune)) == (36, 4)
    assert not {u.speaker for u in train} & {u.speaker for u in tune}
    assert all(u.audio is None and u.entities[0].phrase == "eu" for u in (*train, *tune))
    assert prepared.splits["tune"].num_entities == {"ORG": 4}


@pytest.mark.parametrize("changed", [{"id": "another"}, {"text": "the eu budget of nobody"}])
def test_what_is_scored_on_is_left_out_by_id_and_by_text(changed, lines, tmp_path):
    held = tmp_path / "held"
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({**LINES[0], "split": "dev", **changed}) + "\n", encoding="utf-8")
    prepare_text([other], held)
    prepared = prepare_text([lines], tmp_path / "out", leave_out=[held / "dev.jsonl"])
    assert "1 of 40 texts are in manifests to leave out" in prepared.warnings
    left = [
        u for s in ("fine-tune", "tune") for u in read_manifest(tmp_path / "out" / f"{s}.jsonl")
    ]
    assert len(left) == 39
    assert LINES[0]["id"] not in {utterance.id for utterance in left}


def test_nothing_left_is_an_error_and_writes_nothing(lines, tmp_path):
    prepare_text([lines], tmp_path / "all", tune_share=0.0)
    with pytest.raises(ValueError, match="no text is left"):
        prepare_text([lines], tmp_path / "out", leave_out=[tmp_path / "all" / "fine-tune.jsonl"])
    assert not (tmp_path / "out").exists()


def test_a_language_model_is_trained_on_it(lines, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["prepare", "text", out, "--from", str(lines), "--tune-share", "0.2"]) == 0
    assert "fine-tune: 32 utterances" in capsys.readouterr().out
    model = str(tmp_path / "lm.ngram")
    assert main(["lm", "train", f"{out}/fine-tune.jsonl", "--order", "2", "--output", model]) == 0


def test_the_same_text_is_prepared_again_and_other_text_is_not_replaced(lines, tmp_path):
    prepare_text([lines], tmp_path / "out")
    prepare_text([lines], tmp_path / "out", seed=1)
    other = tmp_path / "other.jsonl"
    other.write_text(lines.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(ValueError, match="holds manifests of text from"):
        prepare_text([other], tmp_path / "out")
