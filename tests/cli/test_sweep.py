from __future__ import annotations

import json

import pytest


@pytest.fixture
def sweep(slue_ner, tiny_overrides, tmp_path):
    def run(*overrides: str):
        return slue_ner("train", "-m", *tiny_overrides, f"run_dir={tmp_path}/runs/it", *overrides)

    return run


def test_run_folders_are_named_after_what_is_swept_over(sweep, tmp_path):
    ended = sweep("seed=0,1", "trainer.max_updates=1", "mixing=last")
    assert ended.status == 0, ended.err
    assert sorted(path.name for path in (tmp_path / "runs/it").glob("*/")) == ["seed=0", "seed=1"]
    for seed in (0, 1):
        metrics = json.loads((tmp_path / f"runs/it/seed={seed}/metrics.json").read_text())
        assert metrics["run"]["seed"] == seed
        command = metrics["run"]["command"]
        assert command.startswith("slue-ner train -m data.root=")
        assert command.endswith(" seed=0,1 trainer.max_updates=1 mixing=last")
        assert "hydra" not in command


def test_a_failed_job_is_named_and_the_others_run(sweep, tmp_path):
    ended = sweep("data.max_seconds=0.1,30", "trainer.max_updates=1")
    assert ended.status == 1
    assert "data.max_seconds=0.1 failed: " in ended.err
    assert (tmp_path / "runs/it/data.max_seconds=30/metrics.json").is_file()
    # nothing but the reason is left of a start that failed
    assert [path.name for path in (tmp_path / "runs/it/data.max_seconds=0.1").iterdir()] == [
        "error.txt"
    ]


def test_a_failure_that_was_mended_is_not_reported_again(sweep, tmp_path):
    assert sweep("data.max_seconds=0.1,30", "trainer.max_updates=1").status == 1
    ended = sweep("data.max_seconds=20,30", "trainer.max_updates=1")
    assert ended.status == 0, ended.err


def test_all_that_cannot_be_composed_is_named_before_any_job_starts(sweep, tmp_path):
    ended = sweep("trainer.precision=64-quick,32-true", "optim=linear,lineer,cosine", "seed=0,x")
    assert ended.status == 1
    assert "10 of 12 jobs cannot be composed, so none was started:\n" in ended.err
    assert "optim=lineer is unknown; did you mean 'linear'?" in ended.err
    assert "trainer.precision=64-quick,optim=linear,seed=0: trainer.precision=" in ended.err
    assert "seed" in ended.err
    assert not (tmp_path / "runs").exists()


def test_two_choices_that_do_not_go_together_are_found_before_any_job_starts(sweep, tmp_path):
    ended = sweep("adaptation=full,frozen_layer", "trainer.max_updates=1")
    assert ended.status == 1
    assert "1 of 2 jobs cannot be composed" in ended.err
    assert "adaptation=frozen_layer: adaptation.layer has no default" in ended.err
    assert not (tmp_path / "runs").exists()


def test_values_with_slashes_do_not_nest_run_folders(sweep, tmp_path):
    ended = sweep("++logger.project=a/b,c", "trainer.max_updates=1")
    assert ended.status == 0, ended.err
    assert (tmp_path / "runs/it/++logger.project=a_b/metrics.json").is_file()


def test_an_unknown_choice_is_refused_before_any_job_starts(sweep, tmp_path):
    ended = sweep("adaptation=full,lorra")
    assert ended.status == 1
    assert "adaptation=lorra is unknown; did you mean 'lora'?" in ended.err
    assert not (tmp_path / "runs").exists()


def test_a_value_without_default_may_be_swept_over(sweep, tmp_path):
    ended = sweep("adaptation=frozen_layer", "adaptation.layer=1,2", "trainer.max_updates=1")
    assert ended.status == 0, ended.err
    assert (tmp_path / "runs/it/adaptation.layer=2/metrics.json").is_file()


def test_several_devices_in_a_local_sweep_are_refused(sweep):
    ended = sweep("trainer.devices=2", "seed=0,1")
    assert ended.status == 1
    assert "seed=1 failed: a local sweep runs one device a job; use launcher=slurm" in ended.err


def test_an_override_that_cannot_be_read_is_named_in_a_sentence(sweep):
    ended = sweep("seed=[", "optim=linear,cosine")
    assert (ended.status, ended.err) == (
        1,
        "slue-ner train: override 'seed=[' cannot be read; write it as group=name or a.b=1\n",
    )
