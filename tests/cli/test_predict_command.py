from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from slue_ner.cli.compose import compose_config
from slue_ner.core.records import read_manifest, read_predictions
from slue_ner.decoding.emissions import read_emissions
from slue_ner.systems.experiment import run_experiment


@pytest.fixture(scope="module")
def trained(tiny_overrides, tmp_path_factory):
    """``trained("task=ctc_plain")``: the folder of a tiny finished run."""
    folder = tmp_path_factory.mktemp("runs")

    def train(*overrides: str) -> Path:
        run_dir = folder / "_".join(overrides).replace("/", "-")[:100]
        if not run_dir.exists():
            values = compose_config([*tiny_overrides, *overrides])
            run_experiment(values, run_dir, console=Console(file=io.StringIO()))
        return run_dir

    threads = torch.get_num_threads()
    yield train
    torch.set_num_threads(threads)


SECONDS = "trainer.max_updates=1"


def test_a_recogniser_has_no_f1_in_any_table(slue_ner, predict, trained, tiny_corpus, tmp_path):
    run_dir = trained(SECONDS, "task=ctc_plain")
    scores = json.loads((run_dir / "metrics.json").read_text())["splits"]["dev"]
    assert "wer" in scores and not [key for key in scores if key.startswith(("ner", "nel"))]
    ended, predictions = predict(run_dir)
    assert [p.entities for p in predictions] == [None] * len(predictions)
    assert "entities" not in ended.out
    ended = slue_ner(
        *("score", "--references", str(tiny_corpus / "dev.jsonl")),
        *("--predictions", str(tmp_path / "predictions.jsonl")),
    )
    assert ended.status == 0 and "ner f1" not in ended.out
    assert "not computed: ner, ner_label, " in ended.out
    assert ": the predictions have entities null" in ended.out
    ended = slue_ner("compare", str(run_dir), "--format", "markdown")
    header = ended.out.splitlines()[0]
    assert "| WER |" in header and "F1" not in header


def test_emissions_are_saved_and_decoded_without_the_model(predict, trained, tmp_path, tiny_corpus):
    run_dir = trained(SECONDS)
    ended, predictions = predict(run_dir, "--emissions", tmp_path / "emissions")
    assert (ended.status, ended.err) == (0, "")
    stored = read_emissions(tmp_path / "emissions")
    assert set(stored.ids) == {u.id for u in read_manifest(tiny_corpus / "dev.jsonl")}
    for prediction in predictions:
        emitted = stored[prediction.id]  # (T, V)
        assert len(emitted) == prediction.num_frames
        np.testing.assert_allclose(np.exp(emitted).sum(axis=1), 1, atol=1e-2)

    weightless = tmp_path / "weightless"
    shutil.copytree(run_dir, weightless)
    (weightless / "encoder.json").unlink()
    ended, again = predict(weightless, "--emissions-from", tmp_path / "emissions")
    assert (ended.status, ended.err) == (0, "")
    assert [(p.id, p.text, p.num_frames) for p in again] == [
        (p.id, p.text, p.num_frames) for p in predictions
    ]
    assert [[(t.symbol, t.first, t.last) for t in p.tokens] for p in again] == [
        [(t.symbol, t.first, t.last) for t in p.tokens] for p in predictions
    ]


def test_emissions_of_other_weights_are_refused(predict, trained, tmp_path):
    predict(trained(SECONDS), "--emissions", tmp_path / "emissions")
    other = trained(SECONDS, "seed=1")
    ended, predictions = predict(other, "--emissions-from", tmp_path / "emissions")
    assert (ended.status, predictions) == (1, None)
    assert "emissions of another model or other weights" in ended.err


def test_utterances_without_emissions_are_predicted_as_failed(
    predict, trained, tmp_path, slue_ner, tiny_corpus
):
    run_dir = trained(SECONDS)
    predict(run_dir, "--emissions", tmp_path / "emissions")
    lines = [(tiny_corpus / f"{split}.jsonl").read_text() for split in ("dev", "tune")]
    (tmp_path / "both.jsonl").write_text("".join(lines))
    stored = ("--output", str(tmp_path / "p"), "--emissions-from", str(tmp_path / "emissions"))
    ended = slue_ner("predict", str(run_dir), "--manifest", str(tmp_path / "both.jsonl"), *stored)
    assert "4 of 8 utterances could not be predicted and score as missed:" in ended.out
    assert sum(p.error is not None for p in read_predictions(tmp_path / "p")) == 4
    other = str(tiny_corpus / "tune.jsonl")
    ended = slue_ner("predict", str(run_dir), "--manifest", other, *stored)
    assert ended.status == 1 and "has no emissions of any of the 4 utterances" in ended.err


def test_a_localizer_is_applied_to_what_was_predicted(predict, trained, tmp_path):
    localizer = tmp_path / "localizer.yaml"
    localizer.write_text("kind: words\nwith_blanks: true\noffset: 0.0\n")
    run_dir = trained(SECONDS)  # hardly trained, so it does not yet say nothing but blanks
    _, before = predict(run_dir)
    ended, after = predict(run_dir, "--localizer", localizer)
    assert (ended.status, ended.err) == (0, "")
    assert [p.text for p in after] == [p.text for p in before]
    assert any(p.words for p in before)
    for narrow, wide in zip(before, after, strict=True):
        for one, other in zip(narrow.words, wide.words, strict=True):
            assert other.start <= one.start <= one.end <= other.end


def test_a_damaged_localizer_stops_only_what_needs_it(
    predict, with_localizer, trained, slue_ner, tiny_corpus, tmp_path
):
    run_dir = with_localizer(trained(SECONDS))
    (run_dir / "localizer.yaml").write_text("kind: [")
    ended, found = predict(run_dir, "--localizer", "none")
    assert (ended.status, ended.err) == (0, "") and len(found) == 4
    assert slue_ner("export", str(run_dir), str(tmp_path / "encoder")).status == 0
    times = [str(run_dir), str(tiny_corpus / "dev.jsonl"), str(tmp_path / "timed.jsonl")]
    assert slue_ner("align", *times, "--offset", "0").status == 0
    ended = slue_ner("align", *times)
    assert ended.status == 1 and f"{run_dir}/localizer.yaml" in ended.err


def test_marks_apart_are_read_by_greedy_decoding_of_tagged_runs(predict, trained):
    run_dir = trained(SECONDS)
    _, written = predict(run_dir)
    ended, apart = predict(run_dir, "--marks-apart")
    assert (ended.status, ended.err) == (0, "")
    marks = set("!@#$%^&]")
    assert any(marks & set(word) for p in written for word in p.text.split())
    assert not any(marks & set(p.text) for p in apart)


def test_audio_alone_is_predicted_and_not_scored(predict, trained, slue_ner, tiny_corpus, tmp_path):
    records = [json.loads(line) for line in (tiny_corpus / "dev.jsonl").read_text().splitlines()]
    bare = [{"id": r["id"], "audio": str(tiny_corpus / r["audio"])} for r in records]
    own = tmp_path / "own.jsonl"
    own.write_text("".join(json.dumps(line) + "\n" for line in bare))
    run_dir, output = str(trained(SECONDS)), str(tmp_path / "found.jsonl")
    asked = ["predict", run_dir, "--output", output, "--manifest"]
    ended = slue_ner(*asked, str(own))
    assert ended.status == 1 and "`slue-ner prepare jsonl FILE data/NAME` makes" in ended.err
    assert slue_ner("prepare", "jsonl", str(own), str(tmp_path / "data")).status == 0
    manifest = str(tmp_path / "data/untranscribed.jsonl")
    assert slue_ner(*asked, manifest).status == 0
    _, known = predict(Path(run_dir))
    assert read_predictions(Path(output)) == known
    ended = slue_ner("score", "--references", manifest, "--predictions", output)
    assert ended.status == 1 and "is not known: that file is for `slue-ner predict`" in ended.err
    ended = slue_ner("align", run_dir, manifest, str(tmp_path / "timed.jsonl"))
    assert ended.status == 1 and "is not known" in ended.err
    ended = slue_ner("lm", "train", manifest, "--order", "2", "--output", str(tmp_path / "x.arpa"))
    assert ended.status == 1 and "is not known" in ended.err


def test_predictions_are_not_written_over_a_manifest(trained, slue_ner, tiny_corpus, tmp_path):
    manifest = tmp_path / "fine-tune.jsonl"
    shutil.copyfile(tiny_corpus / "fine-tune.jsonl", manifest)
    before = manifest.read_bytes()
    files = ("--manifest", str(tiny_corpus / "dev.jsonl"), "--output", str(manifest))
    ended = slue_ner("predict", str(trained(SECONDS)), *files)
    assert ended.status == 1 and "fine-tune.jsonl is a manifest and would be over" in ended.err
    assert manifest.read_bytes() == before


def test_audio_in_place_of_a_manifest_leads_to_one(trained, slue_ner, tmp_path):
    files = ("--manifest", "talk.WAV", "--output", str(tmp_path / "p.jsonl"))
    ended = slue_ner("predict", str(trained(SECONDS)), *files)
    assert ended.status == 1 and "talk.WAV is audio; write lines of" in ended.err
    assert "data/NAME/untranscribed.jsonl" in ended.err


@pytest.fixture
def with_localizer(tmp_path):
    """``with_localizer(run)``: a copy of a run whose times are 0.1 s late, and knows it."""

    def copy(run_dir):
        copied = tmp_path / "copied"
        shutil.copytree(run_dir, copied)
        (copied / "localizer.yaml").write_text(
            "kind: words\nwith_blanks: false\noffset: -0.1\nalign_offset: -0.12\n"
            "tuned_on: 4 utterances of tune.jsonl\nframe_f1: 0.9\n"
        )
        return copied

    return copy


def earlier(word, seconds):
    return max(0.0, word.start - seconds), max(0.0, word.end - seconds)


def word_times(predictions, seconds=0.0):
    return [[earlier(word, seconds) for word in p.words] for p in predictions]


def test_the_localizer_of_a_run_is_applied_and_named_unless_another_or_none_is_asked_for(
    predict, trained, with_localizer, tmp_path
):
    run_dir = with_localizer(trained(SECONDS))
    ended, decoded = predict(run_dir, "--localizer", "none")
    assert "times by" not in ended.out and any(p.words for p in decoded)
    ended, found = predict(run_dir, "--emissions", tmp_path / "emissions")
    assert (
        f"times by {run_dir}/localizer.yaml: words without blanks, -0.10 s, tuned on 4 utterances "
        "of tune.jsonl (frame F1 90.0)\n"
    ) in ended.out
    assert word_times(found) == word_times(decoded, 0.1)
    _, stored = predict(run_dir, "--emissions-from", tmp_path / "emissions")
    assert word_times(stored) == word_times(found)
    (tmp_path / "other.yaml").write_text("offset: -0.2\n")
    ended, other = predict(run_dir, "--localizer", tmp_path / "other.yaml")
    assert "times by" not in ended.out
    assert word_times(other) == word_times(decoded, 0.2)


def test_a_run_without_a_localizer_keeps_its_times_and_says_that_they_may_be_late(
    predict, trained, with_localizer
):
    run_dir = with_localizer(trained(SECONDS))
    (run_dir / "localizer.yaml").unlink()
    _, decoded = predict(run_dir, "--localizer", "none")
    ended, found = predict(run_dir)
    assert found == decoded
    assert f"which may be late: there is no {run_dir}/localizer.yaml; give tune word" in ended.out
    assert f"`slue-ner tune localizer --output {run_dir}/localizer.yaml` finds" in ended.out


def test_a_cascade_takes_the_localizer_of_its_recogniser(
    predict, trained, with_localizer, text_overrides, tmp_path
):
    text_run = tmp_path / "text"
    run_experiment(compose_config(text_overrides), text_run, console=Console(file=io.StringIO()))
    run_dir = with_localizer(trained(SECONDS, "task=ctc_plain"))
    _, decoded = predict(run_dir, "--text-ner", text_run, "--localizer", "none")
    ended, found = predict(run_dir, "--text-ner", text_run)
    assert f"times by {run_dir}/localizer.yaml: words without blanks, -0.10 s" in ended.out
    assert any(p.words for p in decoded)
    assert word_times(found) == word_times(decoded, 0.1)
    for before, after in zip(decoded, found, strict=True):
        assert [(e.start, e.end) for e in after.entities] == [
            pytest.approx(earlier(e, 0.1), abs=0.006)
            for e in before.entities  # 10 ms
        ]


def test_text_ner_alone_reads_the_gold_text_and_with_a_recogniser_makes_a_cascade(
    predict, tiny_corpus, tmp_path
):
    text_run = tmp_path / "text"
    values = compose_config(
        [
            f"data.root={tiny_corpus}",
            "task=text_ner",
            "trainer.max_updates=1",
            "trainer.num_threads=1",
        ]
    )
    with contextlib.redirect_stdout(io.StringIO()):
        run_experiment(values, text_run, console=Console(file=io.StringIO()))
    ended, topline = predict(text_run)
    assert (ended.status, ended.err) == (0, "")
    assert [p.text for p in topline] == [u.text for u in read_manifest(tiny_corpus / "dev.jsonl")]
    shutil.copy(tmp_path / "predictions.jsonl", tmp_path / "heard.jsonl")
    ended, cascaded = predict(tmp_path / "heard.jsonl", "--text-ner", text_run)
    assert (ended.status, ended.err) == (0, "")
    assert cascaded == topline


def test_a_frame_run_is_known_by_its_config_and_saves_its_emissions_too(
    slue_ner, trained, timed_corpus, tmp_path
):
    ended = slue_ner(
        *("predict", str(trained(SECONDS, "task=frames", f"data.root={timed_corpus}"))),
        *("--manifest", str(timed_corpus / "dev.jsonl"), "--output", str(tmp_path / "p")),
        *("--device", "cpu", "--emissions", str(tmp_path / "emissions")),
    )
    assert (ended.status, ended.err) == (0, "")
    stored = read_emissions(tmp_path / "emissions")
    assert stored.kind == "frames"
    predictions = read_predictions(tmp_path / "p")
    assert {p.id: p.num_frames for p in predictions} == {id: len(stored[id]) for id in stored.ids}


def test_stored_frames_are_tuned_and_read_without_the_model(
    slue_ner, trained, timed_corpus, tmp_path
):
    run_dir = trained(SECONDS, "task=frames", f"data.root={timed_corpus}")
    stored, frames = str(tmp_path / "emissions"), str(tmp_path / "frames.json")
    tune = str(timed_corpus / "tune.jsonl")

    def predicted(*more):
        output = tmp_path / "predictions.jsonl"
        ended = slue_ner(
            *("predict", str(run_dir), "--manifest", tune, "--output", str(output)),
            *("--device", "cpu", *more),
        )
        assert (ended.status, ended.err) == (0, "")
        return [[(e.start, e.end) for e in p.entities] for p in read_predictions(output)]

    heard = predicted("--emissions", stored)
    assert predicted("--emissions-from", stored) == heard
    ended = slue_ner(
        "tune", "frames", "--references", tune, "--emissions", stored, "--output", frames
    )
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("frame decoding: threshold_on ")
    read = predicted("--emissions-from", stored, "--decoding", frames)
    assert read == predicted("--decoding", frames)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--pipeline", "cascade"), "--pipeline cascade and --text-ner RUN go together"),
        (("--pipeline", "frames", "--text-ner", "t"), "--text-ner RUN go together"),
        (("--text-ner", "t", "--emissions", "e"), "pipeline cascade has no emissions; predict"),
        (("--pipeline", "topline", "--emissions-from", "e"), "topline does not read emissions"),
        (("--pipeline", "topline", "--num-workers", "2"), "text NER reads no audio; leave"),
        (("--pipeline", "frames", "--localizer", "l"), "a frame head finds times itself; leave"),
        (("--localizer", "gone.yaml"), "gone.yaml: no such file"),
        (("--decoding", "d"), "--decoding d is neither a file nor in configs/decoding"),
        (("--emissions-from", "gone"), "gone holds no emissions: it has no index.json"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(predict, tmp_path, more, message):
    ended, predictions = predict(tmp_path, *more)
    assert (ended.status, predictions) == (1, None)
    assert message in ended.err
    assert ended.err.count("\n") == 1


def test_predictions_do_not_take_the_place_of_what_they_are_made_of(slue_ner, trained, tiny_corpus):
    manifest = tiny_corpus / "dev.jsonl"
    before = manifest.read_bytes()
    ended = slue_ner(
        *("predict", str(trained(SECONDS)), "--manifest", str(manifest)),
        *("--output", str(tiny_corpus / "dev" / ".." / "dev.jsonl")),
    )
    assert (ended.status, ended.out) == (1, "")
    assert "dev.jsonl would be overwritten; choose another output" in ended.err
    assert manifest.read_bytes() == before


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--batch-seconds", "nan"), "--batch-seconds should be above 0, got nan"),
        (("--batch-seconds", "-1"), "--batch-seconds should be above 0, got -1"),
        (("--num-workers", "-1"), "--num-workers should not be negative, got -1"),
    ],
)
def test_a_number_with_which_nothing_can_run_is_refused(predict, trained, option, message):
    ended, predictions = predict(trained(SECONDS), *option)
    assert (ended.status, ended.out, predictions) == (1, "", None)
    assert ended.err == f"slue-ner predict: {message}\n"
