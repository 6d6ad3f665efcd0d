"""How many threads to compute with beside other work, and how they wait for each other.

Threads of OpenMP, which torch computes with, wait for the slowest by spinning. That is quickest
where each has a core. Where other processes hold the cores, the spinning threads keep waiting for
one that does not run: a prediction of 5 s took 50 to 66 s with two threads on two busy cores.
"""

from __future__ import annotations

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "200000 100000": microseconds of every so many, or "max"


def wait_without_spinning() -> None:
    """Let threads of OpenMP sleep while they wait; works only before torch is imported."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def num_cores() -> int:
    """Cores that this process may use, by its affinity and the quota of its container."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text().split()
        cores = min(cores, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):
        pass  # no such file outside of Linux, "max" without a quota
    return cores


def num_free_cores() -> int:
    """Cores of those that the last minute's load of the machine leaves, at least 1."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, min(num_cores(), round((os.cpu_count() or 1) - load)))
