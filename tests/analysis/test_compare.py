from __future__ import annotations

import json

import pytest
from compare_runs import score_object, write_run

from slue_ner.analysis.compare import compare
from slue_ner.analysis.figures import Figure
from slue_ner.analysis.rows import ranked


def row_of(folder):
    (row,), _ = compare([folder])
    return row


def test_a_row_tells_what_was_trained_what_it_scored_and_what_it_cost(tmp_path):
    row = row_of(write_run(tmp_path / "a", seed=3))
    assert (row.run, row.split, row.strategy, row.seeds) == ("a", "dev", "lora", (3,))
    assert (row.encoder, row.data) == ("microsoft/wavlm-base-plus", "slue_voxpopuli")
    assert (row.num_trainable, row.updates) == (500_000 + 1_000, 1250)  # adapters and head
    assert row.trainable_share == 501_000 / 2_001_000
    assert row.scores == {
        "f1": Figure(0.5, (0.4, 0.6)),
        "label_f1": Figure(0.75),
        "wer": Figure(0.25),
        "cer": Figure(),
        "seen_f1": Figure(),
        "unseen_f1": Figure(),
        "nel_frame_f1": Figure(),
        "nel_frame_corrected_f1": Figure(),
        "nel_word_f1": Figure(),
        "nel_word_corrected_f1": Figure(),
    }
    assert (row.seconds, row.peak_memory_bytes, row.audio_seconds_per_second) == (61.4, 2**30, 80.2)
    assert (row.commit, row.date) == ("bfc096672380", "2026-11-21")
    assert (row.hardware, row.command) == ("x86_64 CPU, 2 cores", "slue-ner train -m seed=0,1")


def test_an_encoder_without_source_has_random_weights(tmp_path):
    encoder = {"source": None, "family": "wav2vec2-bert"}
    row = row_of(write_run(tmp_path / "a", config={"encoder": encoder}))
    assert row.encoder == "wav2vec2-bert, random weights"


def test_data_that_was_added_to_the_root_is_named(tmp_path):
    more = {"also_train": ["data/pretrain_slue/fine-tune.jsonl"]}
    assert row_of(write_run(tmp_path / "a", config={"data": more})).data == (
        "slue_voxpopuli + pretrain_slue"
    )


def test_a_run_outside_a_checkout_shows_the_version(tmp_path):
    assert row_of(write_run(tmp_path / "a", commit=None)).commit == "version 0.1.0"


def test_seen_and_unseen_phrases_are_read_with_their_intervals(tmp_path):
    scores = score_object(
        ner_seen={"micro": {"f1": 0.7}},
        ner_unseen={"micro": {"f1": 0.4}},
        intervals={"ner_unseen.micro.f1": [0.3, 0.5]},
    )
    row = row_of(write_run(tmp_path / "a", splits={"dev": scores}))
    assert row.scores["seen_f1"] == Figure(0.7)
    assert row.scores["unseen_f1"] == Figure(0.4, (0.3, 0.5))


def test_nel_figures_are_read_with_their_intervals(tmp_path):
    nel = {
        "frame_official": {"f1": 0.6},
        "frame_corrected": {"f1": 0.5},
        "word_official": {"1.0": {"f1": 0.1}, "0.8": {"f1": 0.7}},
        "word_corrected": {"0.8": {"f1": 0.4}},
    }
    scores = score_object(nel=nel, intervals={"nel.word_official.0.8.f1": [0.6, 0.8]})
    row = row_of(write_run(tmp_path / "a", splits={"dev": scores}))
    assert row.scores["nel_frame_f1"] == Figure(0.6)
    assert row.scores["nel_frame_corrected_f1"] == Figure(0.5)
    assert row.scores["nel_word_f1"] == Figure(0.7, (0.6, 0.8))
    assert row.scores["nel_word_corrected_f1"] == Figure(0.4)


def test_every_split_has_a_row_in_the_order_of_the_run(tmp_path):
    run = write_run(tmp_path / "a", splits={"test": score_object(), "dev": score_object()})
    rows, _ = compare([run])
    assert [row.split for row in rows] == ["test", "dev"]


def test_splits_asked_for_come_in_that_order_and_runs_without_them_are_noted(tmp_path):
    both = write_run(tmp_path / "a", splits={"test": score_object(), "dev": score_object()})
    one = write_run(tmp_path / "b")
    rows, notes = compare([both, one], splits=["dev", "test"])
    assert [(row.run, row.split) for row in rows] == [("a", "dev"), ("a", "test"), ("b", "dev")]
    assert notes == ["1 runs have no split test and are left out: b"]


def test_a_split_that_no_run_has_is_pointed_at_the_nearest(tmp_path):
    run = write_run(tmp_path / "a")
    with pytest.raises(ValueError, match="no run has a split 'dve'; did you mean 'dev'"):
        compare([run], splits=["dve"])


def test_runs_without_scores_are_noted(tmp_path):
    pretraining = write_run(tmp_path / "letters", splits={})
    rows, notes = compare([pretraining, write_run(tmp_path / "a")])
    assert [row.run for row in rows] == ["a"]
    assert notes == ["1 runs have no scored split and are left out: letters"]


def test_a_run_that_lost_its_config_is_named(tmp_path):
    run = write_run(tmp_path / "a")
    (run / "config.yaml").unlink()
    with pytest.raises(ValueError, match=r"/a has no config\.yaml; copy the whole run folder"):
        compare([run])


def test_a_run_of_another_version_is_named_with_what_it_lacks(tmp_path):
    run = write_run(tmp_path / "a")
    metrics = json.loads((run / "metrics.json").read_text())
    del metrics["run"]["training"]["seconds"]
    (run / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(ValueError, match=r"/a is not a run of this version: .* lacks 'seconds'"):
        compare([run])


@pytest.mark.parametrize(
    ("order", "names"),
    [("f1", ["b", "c", "a", "d"]), ("wer", ["a", "c", "b", "d"]), ("name", ["a", "b", "c", "d"])],
)
def test_the_best_comes_first_ties_as_given_and_runs_without_the_figure_last(
    tmp_path, order, names
):
    scores = {
        "d": {"cer": 0.1},
        "b": score_object(f1=0.6, wer=0.2),
        "c": score_object(f1=0.6, wer=0.1),
        "a": score_object(f1=0.3, wer=0.1),
    }
    if order == "wer":  # a tie on WER keeps the order given: a before c
        scores = {name: scores[name] for name in ("d", "b", "a", "c")}
    runs = [write_run(tmp_path / name, splits={"dev": scores[name]}) for name in scores]
    rows, _ = compare(runs)
    assert [row.run for row in ranked(rows, order)] == names


def test_a_recogniser_scored_before_null_entities_shows_no_f1_of_zero(tmp_path):
    scores = score_object(0.0, nel={"frame_official": {"f1": 0.0}})
    scores["intervals"]["wer"] = [0.2, 0.3]
    folder = write_run(
        tmp_path / "a", splits={"dev": scores}, config={"task": {"kind": "ctc", "target": "plain"}}
    )
    row = row_of(folder)
    assert row.scores["wer"] == Figure(0.25, (0.2, 0.3))
    for name in ("f1", "label_f1", "nel_frame_f1"):
        assert row.scores[name] == Figure()


@pytest.mark.parametrize(
    "metrics",
    [[], {"run": [], "splits": {"dev": {}}}, {"run": {}, "splits": []}, {"run": {}, "splits": 5}],
)
def test_metrics_of_another_shape_are_named(tmp_path, metrics):
    folder = write_run(tmp_path / "a")
    (folder / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(ValueError, match=r"a is not a run of this version: metrics\.json or conf"):
        compare([folder])


@pytest.mark.parametrize(
    ("scores", "what"),
    [
        (score_object(wer=float("nan")), "wer is nan"),
        (score_object(wer="low"), "wer is 'low'"),
        (score_object(intervals={"wer": [0.4]}), "not enough values"),
    ],
)
def test_a_figure_that_is_no_rate_is_named(tmp_path, scores, what):
    folder = write_run(tmp_path / "a", splits={"dev": scores})
    with pytest.raises(ValueError, match=rf"a is not a run of this version: .*{what}"):
        compare([folder])


def test_the_metrics_of_a_run_are_no_scored_file(tmp_path):
    metrics = write_run(tmp_path / "a") / "metrics.json"
    with pytest.raises(ValueError, match=r"it lacks 'scored'; compare the run folder, .*/a$"):
        compare([metrics])
