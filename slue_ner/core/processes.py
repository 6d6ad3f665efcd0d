"""Which process wrote something, and whether it is certain that this process is gone.

A process is told from a later one with its number by the time at which it started, and numbers
mean something only within one boot of one machine and one PID namespace (a container has its own).
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """A process, recognisable after its end.

    Attributes:
        place: where ``pid`` means something: a boot of a machine, and a PID namespace in it.
        pid: its number there.
        started: clock ticks from the boot to its start; 0 where that cannot be known.
    """

    place: str
    pid: int
    started: int

    @property
    def signature(self) -> str:
        """The process as a part of a file name."""
        return f"{self.place}-{self.pid}-{self.started}"

    @property
    def is_gone(self) -> bool | None:
        """Whether it has ended; ``None`` where that cannot be seen from here."""
        if self.place != this_process().place:
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # another user's, so it lives, or has given its number to one that does
            pass
        state, started = _state(self.pid)
        return state in ("Z", "X") or (bool(started and self.started) and started != self.started)


def this_process() -> Process:
    """The process that asks."""
    return _process(os.getpid())


def signed(text: str) -> Process | None:
    """The process whose ``signature`` ``text`` holds."""
    found = re.search(r"([0-9a-f]{12})-(\d+)-(\d+)", text)
    return None if found is None else Process(found[1], int(found[2]), int(found[3]))


def own_rank() -> int:
    """The rank of the process that asks, as torchrun or SLURM says; 0 when it was started alone."""
    return int(os.environ["RANK"] if torchrun_started() else os.environ.get("SLURM_PROCID", "0"))


def torchrun_started() -> bool:
    """Whether torchrun started the process that asks."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


@functools.lru_cache(maxsize=1)
def _process(pid: int) -> Process:
    boot = _read(_PROC / "sys/kernel/random/boot_id") or os.uname().nodename
    try:
        namespace = os.readlink(_PROC / "self/ns/pid")
    except OSError:
        namespace = ""
    place = hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:12]
    return Process(place, pid, _state(pid)[1])


def _state(pid: int) -> tuple[str, int]:
    """State and start of a process, ``("", 0)`` where there is no such file (see ``man proc``)."""
    fields = _read(_PROC / str(pid) / "stat").rpartition(")")[2].split()  # a name may hold blanks
    return (fields[0], int(fields[19])) if len(fields) > 19 else ("", 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
