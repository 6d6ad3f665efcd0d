from __future__ import annotations

import pytest

from slue_ner.core.labels import COMBINED
from slue_ner.core.records import read_predictions, write_manifest, write_predictions
from slue_ner.core.time import FrameGrid
from slue_ner.core.types import EntitySpan, TokenSpan, Utterance, Word
from slue_ner.decoding.transcript import to_prediction


@pytest.fixture
def files(tmp_path):
    """Two utterances "eu" of two speakers; spoken 0.1 s after where the letters are."""
    predictions, references = [], []
    for id in "uv":
        # e starts at frame 40, u ends at frame 52, 20 ms each: 0.8 to 1.04 s
        tokens = tuple(
            TokenSpan(symbol, first, first + 2, 0.9)
            for symbol, first in zip("%|eu|]|", (20, 30, 40, 50, 60, 70, 80), strict=True)
        )
        predictions.append(
            to_prediction(id, tokens, labels=COMBINED, grid=FrameGrid(), num_frames=100)
        )
        span = EntitySpan("PLACE", "eu", 0, 2, words=(0, 1), start=0.9, end=1.14)
        words = (Word("eu", 0.9, 1.14),)
        references.append(
            Utterance(
                id, "tune", None, 32_000, 16_000, "eu", speaker=id, words=words, entities=(span,)
            )
        )
    write_predictions(tmp_path / "predictions.jsonl", predictions)
    write_manifest(tmp_path / "tune.jsonl", references)
    return tmp_path


def tuning(folder, *into):
    return (
        *("tune", "localizer", "--references", str(folder / "tune.jsonl")),
        *("--predictions", str(folder / "predictions.jsonl"), *map(str, into)),
    )


def test_a_localizer_is_tuned_and_then_applied(slue_ner, files):
    ended = slue_ner(*tuning(files, "--output", files / "localizer.yaml"))
    assert (ended.status, ended.err) == (0, "")
    first, *rest = ended.out.splitlines()
    assert first.endswith("kind words, with_blanks false, offset +0.10 s")
    assert len(rest) == 5  # four more trials, and where the best one went
    assert rest[-1] == f"best of 124 -> {files / 'localizer.yaml'}"

    ended = slue_ner(
        *("localize", str(files / "predictions.jsonl"), "--with", str(files / "localizer.yaml")),
        *("--output", str(files / "localized.jsonl")),
    )
    assert (ended.status, ended.err) == (0, "")
    for prediction in read_predictions(files / "localized.jsonl"):
        (entity,) = prediction.entities
        assert (entity.start, entity.end) == (pytest.approx(0.9), pytest.approx(1.14))


def test_halves_go_straight_into_a_predictions_file(slue_ner, files):
    ended = slue_ner(*tuning(files, "--halves", files / "localized.jsonl"))
    assert (ended.status, ended.err) == (0, "")
    assert "best on one half of the speakers: frame F1" in ended.out
    assert "best on other half of the speakers: frame F1" in ended.out
    starts = [p.entities[0].start for p in read_predictions(files / "localized.jsonl")]
    assert starts == [pytest.approx(0.9)] * 2


def test_a_test_split_is_refused_in_one_sentence(slue_ner, files):
    manifest = files / "tune.jsonl"
    manifest.write_text(manifest.read_text().replace('"split": "tune"', '"split": "test"'))
    ended = slue_ner(*tuning(files, "--output", files / "localizer.yaml"))
    assert ended.status == 1
    assert "utterance u is of the split test" in ended.err
    assert ended.err.count("\n") == 1
    assert not (files / "localizer.yaml").exists()


def test_what_to_write_must_be_said(slue_ner, files):
    ended = slue_ner(*tuning(files))
    assert ended.status == 2
    assert "one of the arguments --output --halves is required" in ended.err


def test_a_localizer_tuned_into_a_run_keeps_the_offset_of_its_alignment(slue_ner, files):
    path = files / "run/localizer.yaml"
    path.parent.mkdir()
    path.write_text("offset: -0.3\nalign_offset: -0.18\nalign_ms: 20.0\ntuned_on: null\n")
    ended = slue_ner(*tuning(files, "--output", path))
    assert (ended.status, ended.err) == (0, "")
    first, *remarks = path.read_text().split("tuned_on: 2 utterances of tune.jsonl\n")
    assert first == "kind: words\nwith_blanks: false\noffset: 0.1\nalign_offset: -0.18\n"
    assert remarks[0].endswith("align_ms: 20.0\n")
