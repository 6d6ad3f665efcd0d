from __future__ import annotations

import pytest
from compare_runs import score_object, write_run

from slue_ner.analysis.compare import compare
from slue_ner.analysis.seeds import fold_seeds


def folded(runs):
    rows, _ = compare(runs)
    return fold_seeds(rows)


def test_seeds_of_one_config_become_their_mean_and_sample_deviation(tmp_path):
    runs = [
        write_run(tmp_path / f"sweep/adaptation=lora,seed={seed}", seed=seed, splits={"dev": score})
        for seed, score in enumerate(score_object(f1) for f1 in (0.5, 0.6, 0.7))
    ]
    (row,) = folded([tmp_path / "sweep"])
    assert len(runs) == 3
    assert row.seeds == (0, 1, 2)
    assert row.run == "sweep/adaptation=lora"
    # mean 0.6; squares 0.01 + 0 + 0.01 over 3 - 1 seeds give a variance of 0.01
    figure = row.scores["f1"]
    assert (figure.value, figure.sd) == (pytest.approx(0.6), pytest.approx(0.1))
    assert (figure.num_seeds, figure.interval) == (3, None)
    assert figure.text == "60.0 \N{PLUS-MINUS SIGN} 10.0 (3)"
    assert row.scores["wer"].sd == 0.0


def test_times_are_means_memory_is_the_highest_and_provenance_is_listed(tmp_path):
    runs = [
        write_run(
            tmp_path / f"seed={seed}",
            seed=seed,
            training={"seconds": seconds, "updates": updates, "peak_memory_bytes": memory},
            commit=commit,
        )
        for seed, seconds, updates, memory, commit in (
            (0, 50.0, 100, 7, "aaa"),
            (1, 70.0, 300, 9, "bbb"),
            (2, 60.0, 200, 8, "aaa"),
        )
    ]
    (row,) = folded(runs)
    assert (row.seconds, row.updates, row.peak_memory_bytes) == (60.0, 200.0, 9)
    assert (row.commit, row.hardware) == ("aaa; bbb", "x86_64 CPU, 2 cores")
    assert row.command == "slue-ner train -m seed=0,1"


def test_a_sweep_over_seeds_alone_is_named_after_the_sweep(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / f"strategies/seed={seed}", seed=seed)
    (row,) = folded([tmp_path / "strategies"])
    assert row.run == "strategies"


def test_runs_that_differ_in_anything_else_stay_apart(tmp_path):
    runs = [
        write_run(tmp_path / "a", seed=0, config={"optim": {"lr": 0.003}}),
        write_run(tmp_path / "b", seed=1, config={"optim": {"lr": 0.001}}),
        write_run(tmp_path / "c", seed=2, config={"optim": {"lr": 0.003}}),
    ]
    rows = folded(runs)
    assert [(row.run, row.seeds) for row in rows] == [("a; c", (0, 2)), ("b", (1,))]


def test_splits_are_folded_apart(tmp_path):
    both = {"dev": score_object(0.5), "test": score_object(0.3)}
    runs = [write_run(tmp_path / f"r{seed}", seed=seed, splits=both) for seed in (0, 1)]
    rows = folded(runs)
    assert [(row.split, row.scores["f1"].value) for row in rows] == [("dev", 0.5), ("test", 0.3)]


def test_one_seed_has_no_deviation(tmp_path):
    (row,) = folded([write_run(tmp_path / "a")])
    assert row.scores["f1"].sd is None
    assert row.scores["f1"].text == "50.0 (1)"


def test_a_figure_that_one_seed_lacks_has_no_mean(tmp_path):
    seen = score_object(ner_seen={"micro": {"f1": 0.7}})
    runs = [
        write_run(tmp_path / "a", seed=0, splits={"dev": seen}),
        write_run(tmp_path / "b", seed=1),
    ]
    (row,) = folded(runs)
    assert row.scores["seen_f1"].text == "-"
    assert row.scores["f1"].num_seeds == 2
