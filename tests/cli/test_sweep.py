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
        assert " -m " in metrics["run"]["command"]


def test_a_failed_job_is_named_and_the_others_run(sweep, tmp_path):
    ended = sweep("trainer.precision=64-quick,32-true", "trainer.max_updates=1")
    assert ended.status == 1
    assert "trainer.precision=64-quick failed: " in ended.err
    assert "trainer.precision='64-quick' is unknown" in ended.err
    assert (tmp_path / "runs/it/trainer.precision=32-true/metrics.json").is_file()


def test_a_failure_that_was_mended_is_not_reported_again(sweep, tmp_path):
    assert sweep("trainer.precision=64-quick,32-true", "trainer.max_updates=1").status == 1
    ended = sweep("trainer.precision=bf16-mixed,32-true", "trainer.max_updates=1")
    assert ended.status == 0, ended.err


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
