from __future__ import annotations

import argparse

import pytest
import torch

from slue_ner.cli.shared_options import add_threads_option, use_threads


@pytest.fixture(autouse=True)
def kept_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_threads_option(parser)
    return parser.parse_args(arguments)


def test_the_threads_asked_for_are_used():
    assert use_threads(options("--threads", "3")) == torch.get_num_threads() == 3


def test_by_default_the_free_cores_are_used(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("slue_ner.core.cores.num_free_cores", lambda: 2)
    torch.set_num_threads(1)
    assert use_threads(options()) == 2


def test_the_environment_counts_more_than_the_load(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("slue_ner.core.cores.num_free_cores", lambda: 2)
    torch.set_num_threads(1)
    assert use_threads(options()) == 1


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "run", "--manifest", "m.jsonl", "--output", "p.jsonl"),
        ("align", "run", "m.jsonl", "out.jsonl"),
        *(
            ("tune", what, *run, "--references", "m.jsonl", *given, "--output", "out")
            for what, run, given in (
                ("decoding", ("run",), ("--emissions", "e")),
                ("frames", (), ("--emissions", "e")),
                ("localizer", (), ("--predictions", "p.jsonl")),
            )
        ),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_commands_that_compute_take_threads(slue_ner, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = slue_ner(*command, "--threads", "1")
    assert ended.status == 1 and "m.jsonl" in ended.err  # which is not there


def test_no_thread_at_all_is_refused():
    with pytest.raises(ValueError, match="--threads should be at least 1, got 0"):
        use_threads(options("--threads", "0"))
