from __future__ import annotations

import pytest
from compare_runs import write_run

from slue_ner.analysis.sweeps import find_runs


def test_runs_named_directly_keep_the_order_given(tmp_path):
    runs = [write_run(tmp_path / name) for name in ("b", "a")]
    found, notes = find_runs(runs)
    assert list(found.items()) == [(tmp_path / "b", "b"), (tmp_path / "a", "a")]
    assert notes == []


def test_a_sweep_folder_stands_for_its_runs_in_order_of_their_names(tmp_path):
    for name in ("adaptation=lora,seed=1", "adaptation=full,seed=0", "adaptation=lora,seed=0"):
        write_run(tmp_path / "strategies" / name)
    (tmp_path / "strategies" / "wandb").mkdir()
    found, notes = find_runs([tmp_path / "strategies"])
    assert list(found.values()) == [
        "strategies/adaptation=full,seed=0",
        "strategies/adaptation=lora,seed=0",
        "strategies/adaptation=lora,seed=1",
    ]
    assert notes == []


def test_sweeps_inside_a_folder_are_found_and_run_folders_are_not_searched(tmp_path):
    write_run(tmp_path / "runs/sweep/seed=0")
    write_run(tmp_path / "runs/single/old/inner")
    write_run(tmp_path / "runs/other")
    found, _ = find_runs([tmp_path / "runs"])
    assert list(found.values()) == ["runs/other", "runs/single/old/inner", "runs/sweep/seed=0"]


def test_unfinished_runs_of_a_sweep_are_counted_and_named(tmp_path):
    write_run(tmp_path / "it/seed=0")
    write_run(tmp_path / "it/seed=1", finished=False)
    failed = tmp_path / "it/seed=2"
    failed.mkdir()
    (failed / "error.txt").write_text("no data\n")
    found, notes = find_runs([tmp_path / "it"])
    assert list(found.values()) == ["it/seed=0"]
    assert notes == [f"2 of 3 runs in {tmp_path / 'it'} are not finished, left out: seed=1; seed=2"]


def test_an_unfinished_run_named_directly_is_refused(tmp_path):
    run = write_run(tmp_path / "a", finished=False)
    with pytest.raises(ValueError, match=r"/a is not a finished run: it has no metrics\.json"):
        find_runs([run])


@pytest.mark.parametrize("name", ["empty", "gone"])
def test_a_folder_without_any_run_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=rf"/{name} is no run folder and holds none; give one"):
        find_runs([tmp_path / name])


def test_a_run_named_twice_counts_once(tmp_path):
    run = write_run(tmp_path / "it/seed=0")
    found, _ = find_runs([run, tmp_path / "it", tmp_path / "it/../it/seed=0"])
    assert found == {run: "seed=0"}


def test_runs_of_one_name_in_two_folders_are_told_apart(tmp_path):
    runs = [write_run(tmp_path / "old/a"), write_run(tmp_path / "new/a")]
    found, _ = find_runs([*runs, write_run(tmp_path / "b")])
    assert list(found.values()) == [runs[0].as_posix(), runs[1].as_posix(), "b"]


def test_links_are_followed_but_not_back_to_where_they_stand(tmp_path):
    write_run(tmp_path / "elsewhere/b")
    write_run(tmp_path / "sweep/a")
    for number in range(3):
        (tmp_path / f"sweep/up{number}").symlink_to("..")
    (tmp_path / "sweep/linked").symlink_to("../elsewhere")
    found, _ = find_runs([tmp_path / "sweep"])
    assert list(found.values()) == ["sweep/a", "sweep/linked/b"]
