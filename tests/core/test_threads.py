from __future__ import annotations

import os
from pathlib import Path

import pytest

from slue_ner.core import cores as threads


@pytest.fixture
def machine(monkeypatch, tmp_path: Path):
    """``machine(cores, load, allowed, quota)``: what the system says."""

    def make(cores: int, load: float, allowed: int, quota: str | None = None) -> None:
        monkeypatch.setattr(os, "cpu_count", lambda: cores)
        monkeypatch.setattr(os, "getloadavg", lambda: (load, 9.0, 9.0), raising=False)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(allowed)), raising=False)
        path = tmp_path / "cpu.max"
        if quota is not None:
            path.write_text(quota)
        monkeypatch.setattr(threads, "_QUOTA", path)

    return make


@pytest.mark.parametrize(
    ("cores", "load", "allowed", "quota", "free"),
    [
        (2, 0.1, 2, None, 2),  # quiet
        (2, 0.9, 2, None, 1),  # another process on one core
        (2, 8.4, 2, None, 1),  # never none
        (16, 4.2, 16, None, 12),
        (16, 4.2, 4, None, 4),  # the load is on other cores, or will be
        (64, 3.0, 64, "200000 100000\n", 2),  # a container with two cores of time
        (64, 3.0, 64, "50000 100000\n", 1),
        (8, 0.0, 8, "max 100000\n", 8),
    ],
)
def test_as_many_threads_as_cores_are_free(machine, cores, load, allowed, quota, free):
    machine(cores, load, allowed, quota)
    assert threads.num_free_cores() == free


def test_what_the_user_says_about_waiting_is_kept(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    threads.wait_without_spinning()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    threads.wait_without_spinning()
    assert os.environ["OMP_WAIT_POLICY"] == "active"
