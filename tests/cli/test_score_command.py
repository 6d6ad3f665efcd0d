from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from slue_ner.core.records import read_manifest, read_predictions, write_predictions
from slue_ner.core.types import EntitySpan, Prediction

SCORE_WITHOUT_TORCH = """
import sys
from slue_ner.cli.main import main
status = main(sys.argv[1:])
heavy = {"torch", "transformers", "pytorch_lightning", "hydra"} & sys.modules.keys()
assert not heavy, heavy
sys.exit(status)
"""


@pytest.fixture
def manifest(tiny_corpus):
    return tiny_corpus / "dev.jsonl"


@pytest.fixture
def perfect(manifest, tmp_path):
    """A predictions file that says what the references say."""
    predictions = [
        Prediction(
            id=utterance.id,
            text=utterance.text,
            entities=tuple(EntitySpan(e.label, e.phrase) for e in utterance.entities),
        )
        for utterance in read_manifest(manifest)
    ]
    write_predictions(tmp_path / "perfect.jsonl", predictions)
    return tmp_path / "perfect.jsonl"


@pytest.fixture
def score(slue_ner, manifest):
    def run(predictions, *options: str):
        return slue_ner(
            "score", "--references", str(manifest), "--predictions", str(predictions), *options
        )

    return run


def test_perfect_predictions_score_one(score, perfect):
    ended = score(perfect, "--json", "-")
    assert ended.status == 0
    found = json.loads(ended.out)  # nothing else is printed
    assert found["ner"]["micro"]["f1"] == found["ner_label"]["micro"]["f1"] == 1.0
    assert found["wer"] == found["cer"] == 0.0


def test_scoring_needs_no_torch(manifest, perfect):
    done = subprocess.run(
        [
            *(sys.executable, "-c", SCORE_WITHOUT_TORCH, "score", "--resamples", "10"),
            *("--references", str(manifest), "--predictions", str(perfect)),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "100.0" in done.stdout


def test_the_score_object_can_be_written_beside_the_table(score, perfect, tmp_path):
    ended = score(perfect, "--json", str(tmp_path / "score.json"), "--resamples", "10")
    assert ended.status == 0
    assert "100.0" in ended.out
    assert json.loads((tmp_path / "score.json").read_text())["num_utterances"] == 4


def test_a_missing_id_is_named_or_counted_on_request(score, perfect):
    lines = perfect.read_text().splitlines(keepends=True)
    perfect.write_text("".join(lines[1:]))
    ended = score(perfect)
    assert ended.status == 1
    assert "1 ids (dev_00) have a reference but no prediction" in ended.err
    ended = score(perfect, "--missing-as-empty", "--json", "-", "--resamples", "0")
    found = json.loads(ended.out)
    assert found["num_missing"] == 1
    assert found["ner"]["micro"] | {"f1": None} == {
        **{"precision": 1.0, "recall": 0.75, "f1": None},
        **{"tp": 6, "pred": 6, "gold": 8},
    }


def test_an_extra_id_is_named(score, perfect):
    with perfect.open("a") as file:
        file.write(json.dumps({"schema": 1, "id": "more", "text": "", "entities": []}) + "\n")
    ended = score(perfect)
    assert ended.status == 1
    assert "1 ids (more) have a prediction but no reference" in ended.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "perfect.jsonl:5: "),
        ('{"schema": 2, "id": "x", "text": "", "entities": []}', ":5: schema is 2, this version"),
        ('{"schema": 1, "id": "x", "txt": "", "entities": []}', ":5: unknown field 'txt'; did you"),
        ('{"schema": 1, "id": "dev_00", "text": "", "entities": []}', "was already used on line 1"),
    ],
)
def test_a_malformed_line_is_named_by_file_and_number(score, perfect, line, message):
    with perfect.open("a") as file:
        file.write(line + "\n")
    ended = score(perfect)
    assert ended.status == 1
    assert message in ended.err
    assert ended.out == ""


def test_training_goes_to_predictions_and_to_the_same_score(
    slue_ner, score, tiny_overrides, manifest, tmp_path
):
    run = tmp_path / "run"
    ended = slue_ner("train", *tiny_overrides, "trainer.max_updates=2", f"run_dir={run}")
    assert ended.status == 0, ended.err
    predictions = tmp_path / "predictions.jsonl"
    ended = slue_ner(
        *("predict", str(run), "--manifest", str(manifest), "--output", str(predictions)),
        *("--device", "cpu"),
    )
    assert ended.status == 0, ended.err
    assert f"4 utterances, 0 entities -> {predictions}" in ended.out.replace("\n", "")
    found = json.loads(score(predictions, "--json", "-", "--resamples", "0").out)
    metrics = json.loads((run / "metrics.json").read_text())["splits"]["dev"]
    assert found["ner"] == metrics["ner"]
    assert found["wer"] == metrics["wer"]


def test_prediction_says_how_many_utterances_failed(slue_ner, tiny_overrides, manifest, tmp_path):
    from slue_ner.core.records import write_manifest

    run = tmp_path / "run"
    assert slue_ner("train", *tiny_overrides, "trainer.max_updates=1", f"run_dir={run}").status == 0
    utterances = read_manifest(manifest)
    utterances[2] = dataclasses.replace(utterances[2], audio=tmp_path / "gone.wav")
    write_manifest(tmp_path / "m.jsonl", utterances)
    arguments = ("--manifest", str(tmp_path / "m.jsonl"), "--output", str(tmp_path / "p.jsonl"))
    ended = slue_ner("predict", str(run), *arguments)
    assert ended.status == 0
    assert "1 of 4 utterances could not be predicted and score as missed:" in ended.out
    assert "gone.wav: no such audio file" in ended.out
    ended = slue_ner("predict", str(run), *arguments, "--device", "cuda:99")
    assert ended.status == 1
    assert "device 'cuda:99' is not here" in ended.err


def test_predictions_of_another_recogniser_get_a_note_or_the_ner_form(score, perfect, tmp_path):
    loud = [
        dataclasses.replace(
            prediction,
            text=prediction.text.upper() + ".",
            entities=tuple(
                dataclasses.replace(entity, phrase=f"{entity.phrase.upper()},")
                for entity in prediction.entities
            ),
        )
        for prediction in read_predictions(perfect)
    ]
    write_predictions(tmp_path / "loud.jsonl", loud)
    ended = score(tmp_path / "loud.jsonl", "--json", "-", "--resamples", "0")
    assert json.loads(ended.out)["wer"] == 1.0
    assert "capital letters in 4 and punctuation in 4" in ended.err and "--ner-form" in ended.err
    ended = score(tmp_path / "loud.jsonl", "--json", "-", "--resamples", "0", "--ner-form")
    found = json.loads(ended.out)
    assert (found["wer"], found["ner"]["micro"]["f1"], ended.err) == (0.0, 1.0, "")


def test_a_typographic_prediction_is_read_as_the_reference_is(score, perfect, tmp_path):
    typed = [
        dataclasses.replace(prediction, text=prediction.text.replace(" ", "\u00a0\u200b"))
        for prediction in read_predictions(perfect)
    ]
    write_predictions(tmp_path / "typed.jsonl", typed)
    ended = score(tmp_path / "typed.jsonl", "--json", "-", "--resamples", "0")
    assert json.loads(ended.out)["wer"] == 0.0
    assert ended.err.count("4 texts were brought to canonical form") == 1


def test_what_is_scored_is_not_overwritten_by_the_score(score, perfect, manifest):
    for path in (perfect, manifest):
        before = path.read_bytes()
        ended = score(perfect, "--json", str(path))
        assert (ended.status, ended.out) == (1, "")
        assert f"slue-ner score: {path} would be overwritten; choose another output" in ended.err
        assert path.read_bytes() == before


def test_a_folder_for_the_score_is_refused_before_anything_is_read(score, tmp_path):
    ended = score("gone.jsonl", "--json", str(tmp_path))
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == f"slue-ner score: cannot write {tmp_path}: it is a folder; name a file\n"


def test_nothing_can_be_scored_against_an_empty_manifest(slue_ner, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    ended = slue_ner("score", "--references", str(empty), "--predictions", str(empty))
    assert (ended.status, ended.out) == (1, "")
    assert f"slue-ner score: {empty} holds no utterance; nothing can be scored" in ended.err
