from __future__ import annotations

import dataclasses
import io
import json

import numpy as np
import pytest
import torch
from rich.console import Console

from slue_ner.core.records import read_manifest, read_predictions, write_manifest
from slue_ner.core.time import FrameGrid
from slue_ner.decoding.emissions import EmissionsWriter, read_emissions
from slue_ner.decoding.frame_spans import FrameDecoding, Thresholds, give_words, spans
from slue_ner.inference.frame_reading import decode_frames, read_decoding, write_decoding
from slue_ner.systems.experiment import run_experiment
from slue_ner.tasks.run import Run

LEARN = (
    "optim=constant",
    "optim.lr=0.01",
    "optim.head_lr=0.01",
    "encoder.dropout=0.0",
    "data.batch_seconds=24",
    "trainer.max_updates=30",
    "trainer.validate_every=30",
)


@pytest.fixture(scope="module")
def start(timed_corpus, tiny_overrides):
    """``start(folder, "task=frames_bio")``: metrics of a tiny run of a frame head, and output."""
    from slue_ner.cli.compose import compose_config

    def run(folder, *overrides):
        output = io.StringIO()
        common = (*tiny_overrides, "task=frames", f"data.root={timed_corpus}")
        values = compose_config([*common, *overrides])
        metrics = run_experiment(values, folder, console=Console(file=output, width=300))
        return metrics, output.getvalue()

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def learned(start, tmp_path_factory):
    """Folder, metrics and output of a typed run with a CTC head that has heard the tones."""
    folder = tmp_path_factory.mktemp("learned")
    return folder, *start(folder, *LEARN, "task=frames_joint", "task.ctc_weight=0.1")


@pytest.fixture
def dev(timed_corpus):
    return read_manifest(timed_corpus / "dev.jsonl")


def predict(run, utterances, **options):
    emitted = run.emit(utterances, **{"batch_seconds": 8.0, **options})
    return decode_frames(emitted, utterances, decoding=run.decoding, vocabulary=run.vocabulary)


def test_a_run_finds_the_tones_and_says_so(learned):
    _, metrics, printed = learned
    nel = metrics["splits"]["dev"]["nel"]
    assert nel["frame_official"]["f1"] > 0.85
    assert nel["frame_corrected"]["f1"] > 0.85
    assert "wer" in metrics["splits"]["dev"]
    assert "frame decoding: threshold_on 0." in printed and "frame F1 " in printed


def test_the_tuned_decoding_is_kept_and_used_again(learned, dev):
    folder, _, _ = learned
    record = json.loads((folder / "frames.json").read_text())
    assert list(record) == ["schema", "decoding", "tuned_on", "frame_f1", "label_frame_f1"]
    assert 0.85 < record["label_frame_f1"] <= 1
    assert record["tuned_on"] == "tune" and 0.85 < record["frame_f1"] <= 1
    run = Run.open(folder).predictor()
    assert run.decoding == FrameDecoding(**record["decoding"])  # no type has thresholds of its own
    assert predict(run, dev) == predict(Run.open(folder).predictor(), dev)
    written = read_predictions(folder / "predictions/dev.jsonl")
    for one, other in zip(predict(run, dev), written, strict=True):
        assert [dataclasses.replace(e, score=None) for e in one.entities] == [
            dataclasses.replace(e, score=None) for e in other.entities
        ]


def test_a_decoding_comes_back_from_its_file_and_an_old_one_is_still_read(tmp_path):
    path = tmp_path / "frames.json"
    own = {"PLACE": Thresholds(threshold_on=0.3, threshold_off=0.15)}
    write_decoding(path, FrameDecoding(median=5, per_label=own))
    assert read_decoding(path) == FrameDecoding(median=5, per_label=own)
    old = {"threshold_on": 0.4, "threshold_off": 0.2, "median": 1, "min_duration": 0, "min_gap": 0}
    record = {"schema": 1, "decoding": old, "tuned_on": "tune", "frame_f1": 0.9}
    path.write_text(json.dumps(record))
    assert read_decoding(path) == FrameDecoding(threshold_on=0.4, threshold_off=0.2)
    record["decoding"]["per_label"] = {"PLACE": {"threshold_on": 2}}
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"frames\.json: decoding\.per_label\.PLACE: .* <= 1, got"):
        read_decoding(path)


def test_entities_have_types_times_and_the_words_of_the_ctc_head(learned, dev):
    folder, _, _ = learned
    for prediction in predict(Run.open(folder).predictor(), dev):
        assert {entity.label for entity in prediction.entities} <= {"PERSON", "PLACE"}
        bare = [dataclasses.replace(e, phrase=None, words=None) for e in prediction.entities]
        assert give_words(bare, prediction.words) == prediction.entities
        starts = [entity.start for entity in prediction.entities]
        assert starts == sorted(starts)
        assert all(0 <= e.start < e.end for e in prediction.entities)


def test_predictions_do_not_depend_on_the_size_of_batches(learned, dev):
    run = Run.open(learned[0]).predictor()
    one, many = (predict(run, dev, batch_seconds=seconds) for seconds in (0.1, 100.0))
    assert [p.id for p in one] == [u.id for u in dev]
    for left, right in zip(one, many, strict=True):
        assert [(e.label, e.start, e.end) for e in left.entities] == [
            (e.label, e.start, e.end) for e in right.entities
        ]


def test_saved_emissions_give_the_same_entities_without_the_model(learned, dev, tmp_path):
    run = Run.open(learned[0]).predictor()
    grid = run.model.grid
    symbols = run.model.symbols
    with EmissionsWriter(
        tmp_path / "emissions", kind="frames", symbols=symbols, grid=grid, model_hash="0"
    ) as writer:
        predictions = predict(run, dev, keep=writer.add)
    stored = read_emissions(tmp_path / "emissions")
    assert stored.grid == FrameGrid(grid.hop, grid.window, grid.sample_rate)
    for prediction in predictions:
        found = spans(np.exp(stored[prediction.id]), stored.grid, run.decoding, stored.symbols)
        assert [(e.label, e.start, e.end) for e in found] == [
            (e.label, e.start, e.end) for e in prediction.entities
        ]


def test_unreadable_audio_scores_as_missed(learned, dev):
    gone = dataclasses.replace(dev[0], audio=dev[0].audio.parent / "gone.wav")
    first, second = predict(Run.open(learned[0]).predictor(), [gone, dev[1]])
    assert "no such audio file" in first.error and first.entities == ()
    assert second.error is None and second.entities


def test_a_frame_head_alone_gives_no_text_and_claims_no_scores_of_text(start, tmp_path):
    metrics, _ = start(tmp_path, *LEARN, "task=frames")
    dev = metrics["splits"]["dev"]
    assert dev["nel"]["frame_official"]["f1"] > 0.85
    assert not [key for key in dev if key.startswith(("wer", "cer", "ner"))]
    assert not [key for key in dev["intervals"] if not key.startswith("nel")]
    assert "task.ctc_weight above 0" in dev["not_computed"]["ner"]
    for prediction in read_predictions(tmp_path / "predictions/dev.jsonl"):
        assert prediction.text == "" and prediction.words is None
        assert all(e.label is None and e.phrase is None for e in prediction.entities)


def test_without_word_times_on_tune_the_decoding_stays_as_it_is(start, tmp_path, timed_corpus):
    for split in ("fine-tune", "tune", "dev"):
        utterances = read_manifest(timed_corpus / f"{split}.jsonl")
        if split != "fine-tune":  # entities keep their times
            utterances = [
                dataclasses.replace(
                    u,
                    words=None,
                    entities=tuple(dataclasses.replace(e, words=None) for e in u.entities),
                )
                for u in utterances
            ]
        write_manifest(tmp_path / f"data/{split}.jsonl", utterances)
    metrics, printed = start(
        tmp_path / "run", "trainer.max_updates=1", f"data.root={tmp_path}/data"
    )
    assert "frame decoding is not tuned: no utterance of tune has word times" in printed
    assert Run.open(tmp_path / "run").predictor().decoding == FrameDecoding()
    assert "nel" not in metrics["splits"]["dev"]
    with pytest.raises(ValueError, match=r"run classifies frames; load it as a run of task=frames"):
        Run.open(tmp_path / "run").recogniser()


def test_a_run_of_another_task_has_no_frame_head(tmp_path, tiny_values, timed_corpus, capsys):
    from slue_ner.cli.main import main
    from slue_ner.training.run_folder import claim_folder

    with pytest.raises(ValueError, match=r"is not a run folder: it has no config.yaml"):
        Run.open(tmp_path)
    claim_folder(tmp_path, tiny_values())
    manifest = timed_corpus / "dev.jsonl"
    arguments = ["--manifest", str(manifest), "--output", str(tmp_path / "out.jsonl")]
    assert main(["predict", str(tmp_path), *arguments, "--pipeline", "frames"]) == 1
    assert "has no frame head; train one with task=frames" in capsys.readouterr().err
