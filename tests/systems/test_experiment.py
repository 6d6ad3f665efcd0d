from __future__ import annotations

import dataclasses
import io
import json

import pytest
import torch
from rich.console import Console

from slue_ner.core.locks import held
from slue_ner.core.records import read_manifest, read_predictions, write_manifest
from slue_ner.decoding.localizers import LocalizerOptions
from slue_ner.evaluation.score import score
from slue_ner.inference.localizing import KeptLocalizer, localize_all, write_localizer
from slue_ner.inference.transcribing import decode
from slue_ner.systems import experiment
from slue_ner.systems.experiment import run_experiment
from slue_ner.tasks import ctc_task
from slue_ner.tasks.run import Run


@pytest.fixture
def run(tiny_values):
    """``run(folder, "seed=1")``: ``metrics.json`` and what was printed."""

    def start(folder, *overrides):
        output = io.StringIO()
        console = Console(file=output, width=200)
        metrics = run_experiment(tiny_values(*overrides), folder, console=console)
        return metrics, output.getvalue()

    threads = torch.get_num_threads()
    yield start
    torch.set_num_threads(threads)


QUICK = "trainer.max_updates=1"


def test_a_run_leaves_everything_that_is_promised(run, tmp_path, tiny_corpus):
    metrics, printed = run(tmp_path, QUICK, "data.evaluate=[dev,tune]")
    for name in ("config.yaml", "vocabulary.json", "encoder.json", "log.csv", "localizer.yaml"):
        assert (tmp_path / name).is_file()
    found = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert found == {"last.ckpt", "best.safetensors", "last.safetensors"}
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    assert metrics["schema"] == 1
    assert list(metrics["splits"]) == ["dev", "tune"]
    assert metrics["run"]["adaptation"]["strategy"] == "full"
    assert "the localizer is not searched: no utterance of tune.jsonl has word times" in printed
    assert metrics["run"]["versions"]["torch"] == torch.__version__.split("+")[0]
    predictions = read_predictions(tmp_path / "predictions/dev.jsonl")
    references = read_manifest(tiny_corpus / "dev.jsonl")
    assert score(references, predictions).to_json()["ner"] == metrics["splits"]["dev"]["ner"]


def test_the_commit_is_that_of_the_code_that_trained(run, tmp_path, monkeypatch):
    fit, commits = experiment.fit, ["before"]
    monkeypatch.setattr(experiment, "provenance", lambda: {"commit": commits[-1]})

    def train(*args, **options):
        done = fit(*args, **options)
        commits.append("made while it trained")
        return done

    monkeypatch.setattr(experiment, "fit", train)
    assert run(tmp_path, QUICK)[0]["run"]["commit"] == "before"


def test_predictions_at_the_end_have_the_times_of_the_localizer(run, tmp_path, monkeypatch):
    kept = KeptLocalizer(options=LocalizerOptions(offset=-0.1), tuned_on="tune")
    run(tmp_path / "as_decoded", QUICK)
    monkeypatch.setattr(
        ctc_task,
        "fit_localizer",
        lambda predictor, manifest, path, **_: write_localizer(path, kept),
    )
    run(tmp_path / "localized", QUICK)
    decoded, localized = (
        read_predictions(tmp_path / name / "predictions/dev.jsonl")
        for name in ("as_decoded", "localized")
    )
    assert any(p.words for p in decoded)
    assert localized == localize_all(decoded, kept.options) != decoded


def test_a_run_that_finds_nothing_says_where_to_look(run, tmp_path):
    metrics, printed = run(tmp_path, QUICK)
    assert metrics["splits"]["dev"]["ner"]["micro"]["tp"] == 0
    assert "note: dev has 8 entities and none was found right (F1 0, WER " in printed
    assert "docs/troubleshooting.md" in printed


def test_types_that_are_hardly_found_are_named():
    per_label = {
        "ORG": {"tp": 1, "gold": 40},
        "PLACE": {"tp": 2, "gold": 40},
        "LAW": {"tp": 0, "gold": 19},
        "WHEN": {"tp": 0, "gold": 20},
    }
    scores = {"ner": {"micro": {"tp": 3}, "per_label": per_label}}
    note = experiment._hardly_found("dev", scores)
    assert note == "note: hardly found in dev: ORG 1 of 40, WHEN 0 of 20"
    assert experiment._hardly_found("dev", {"ner": {"micro": {"tp": 0}}}) is None
    assert experiment._hardly_found("dev", {"wer": 0.1}) is None


def test_a_finished_run_returns_at_once(run, tmp_path, monkeypatch):
    metrics, _ = run(tmp_path, QUICK)
    monkeypatch.setattr(experiment, "fit", None)  # calling it would raise
    again, printed = run(tmp_path, QUICK)
    assert again == metrics
    assert "is finished already" in printed


def test_a_further_split_of_a_finished_run_is_scored_without_training(run, tmp_path, monkeypatch):
    before, _ = run(tmp_path, QUICK)
    monkeypatch.setattr(experiment, "fit", None)  # calling it would raise
    after, printed = run(tmp_path, QUICK, "data.evaluate=[dev,tune]")
    assert "is finished already; tune is scored now" in printed
    assert list(after["splits"]) == ["dev", "tune"] and after["run"] == before["run"]
    assert after["splits"]["dev"] == before["splits"]["dev"]
    assert run(tmp_path, QUICK)[0] == after
    assert (tmp_path / "predictions/tune.jsonl").is_file()
    with held(tmp_path), pytest.raises(ValueError, match=r"is in use by process \d+"):
        run(tmp_path, QUICK, "data.evaluate=[dev,fine-tune]")


def test_a_renamed_run_goes_on(run, tmp_path):
    run(tmp_path / "one", QUICK, "name=one")
    (tmp_path / "one").rename(tmp_path / "two")
    (tmp_path / "two/metrics.json").unlink()
    _, printed = run(tmp_path / "two", QUICK, "name=two")
    assert "resuming at update" in printed


def test_a_longer_schedule_is_refused_with_a_way_out(run, tmp_path):
    run(tmp_path, QUICK)
    with pytest.raises(ValueError, match=r"max_updates is 1 there and 9 here \(the schedule"):
        run(tmp_path, "trainer.max_updates=9")


@pytest.mark.parametrize("finished", [True, False])
def test_another_config_in_the_same_folder_is_refused(run, tmp_path, finished):
    run(tmp_path, QUICK)
    if not finished:
        (tmp_path / "metrics.json").unlink()
    with pytest.raises(ValueError, match=r"already holds another run: seed is 0 there and 1 here"):
        run(tmp_path, QUICK, "seed=1")
    with pytest.raises(ValueError, match=r"adaptation.strategy is 'full' there and 'lora' here"):
        run(tmp_path, QUICK, "adaptation=lora")


def test_what_does_not_change_the_result_may_differ(run, tmp_path):
    metrics, _ = run(tmp_path, QUICK)
    assert run(tmp_path, QUICK, "trainer.log_every=7", "trainer.num_threads=2")[0] == metrics


def test_evaluation_that_was_cut_off_is_made_up_for(run, tmp_path, monkeypatch):
    def cut(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(experiment, "_evaluate", cut)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    metrics, printed = run(tmp_path)
    assert "resuming at update 6" in printed
    assert metrics["run"]["training"]["updates"] == 6
    assert metrics["run"]["training"]["audio_seconds"] > 6  # counted before the cut
    assert "dev" in metrics["splits"]


def test_two_runs_of_one_seed_are_the_same_and_of_another_are_not(run, tmp_path):
    def head(name):
        return Run.open(tmp_path / name).recogniser().model.head.projection.weight

    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        run(tmp_path / name, QUICK, f"seed={seed}")
    assert torch.equal(head("one"), head("two"))
    assert not torch.equal(head("one"), head("three"))


def test_a_missing_split_is_noticed_before_training(run, tmp_path):
    with pytest.raises(ValueError, match=r"has no test.jsonl \(splits found: dev, fine-tune, tune"):
        run(tmp_path / "run", "data.evaluate=[dev,test]")
    assert not (tmp_path / "run").exists()


def test_evaluation_never_skips_unreadable_or_overlong_utterances(run, tmp_path, tiny_corpus):
    for name in ("fine-tune", "tune", "dev"):
        utterances = read_manifest(tiny_corpus / f"{name}.jsonl")
        if name == "dev":
            gone = utterances[0].audio.parent / "gone.wav"
            utterances[0] = dataclasses.replace(utterances[0], audio=gone)
            long = utterances[1].text + " and so on" * 20
            utterances[1] = dataclasses.replace(utterances[1], text=long)
        write_manifest(tmp_path / f"data/{name}.jsonl", utterances)
    metrics, _ = run(tmp_path / "run", QUICK, f"data.root={tmp_path}/data")
    dev = metrics["splits"]["dev"]
    assert dev["num_utterances"] == 4
    assert dev["num_errors"] == 1
    assert dev["ner"]["micro"]["gold"] == 8
    first = read_predictions(tmp_path / "run/predictions/dev.jsonl")[0]
    assert first.id == "dev_00" and "no such audio file" in first.error


def test_predictions_do_not_depend_on_the_size_of_batches(run, tmp_path, tiny_corpus):
    run(tmp_path)
    predictor = Run.open(tmp_path).recogniser()
    utterances = read_manifest(tiny_corpus / "dev.jsonl")
    one, many = (
        decode(
            predictor.emit(utterances, batch_seconds=seconds),
            utterances,
            vocabulary=predictor.vocabulary,
        )
        for seconds in (0.1, 100.0)
    )
    assert [p.id for p in one] == [u.id for u in utterances]
    assert [p.text for p in one] == [p.text for p in many]
    assert [[t.symbol for t in p.tokens] for p in one] == [
        [t.symbol for t in p.tokens] for p in many
    ]


def test_best_and_last_weights_can_be_loaded_without_the_encoders_source(run, tmp_path):
    run(tmp_path, QUICK)
    assert Run.open(tmp_path).config.seed == 0
    assert not Run.open(tmp_path).recogniser(weights="last").model.training


@pytest.mark.parametrize("strategy", ["reinit", "lora", "frozen_weighted_sum", "truncate"])
def test_every_strategy_goes_from_config_to_score(run, tmp_path, strategy):
    metrics, _ = run(tmp_path, QUICK, f"adaptation={strategy}")
    assert metrics["run"]["adaptation"]["strategy"] == strategy
    assert "wer" in metrics["splits"]["dev"]
