"""A folder belongs to one process at a time, and the one that is refused is told which.

The lock is a file that only one process can make, on a shared disk too. It says who made it, and
its maker holds a POSIX lock on it as long as it lives. What a killed process left is taken over
where it is certain that the process is gone: its number is, or another process has it now, or the
disk is this machine's own and nobody holds the POSIX lock. Anything else is for the user to decide.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slue_ner.core.processes import Process, this_process

LOCK_FILE = "run.lock"

_LOCAL = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"})
"""File systems on which the kernel knows of every lock, whichever container holds it."""

_PATIENCE = 2.0  # seconds for a process that has made the file and is about to sign it


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold ``folder``, which is made, within the block; it goes again when nothing is in it.

    Raises:
        ValueError: naming the process that holds it.
        OSError: when the folder cannot be written.
    """
    path = folder / LOCK_FILE
    file = _acquire(path)
    try:
        yield
    finally:
        if _is_same(file, path):
            path.unlink()
        os.close(file)
        if not any(folder.iterdir()):
            folder.rmdir()


def _acquire(path: Path) -> int:
    waited_until = time.monotonic() + _PATIENCE
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            if not _released(path, last_chance=time.monotonic() > waited_until):
                time.sleep(0.05)
            continue
        _try_lock(file, wait=True)  # for who looks at the empty file just now
        os.write(file, json.dumps(_signature()).encode())
        os.fsync(file)
        if _is_same(file, path):
            return file
        os.close(file)


def _released(path: Path, *, last_chance: bool) -> bool:
    """Whether the lock is gone now, its holder being gone for sure; raises when it is held."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        locked = _try_lock(file)  # nobody else judges this file now
        try:
            holder = json.loads(os.read(file, 4096))
            process = Process(holder["place"], int(holder["pid"]), int(holder["started"]))
        except (ValueError, LookupError, TypeError):
            if not last_chance:
                return False
            holder, process = None, Process("", 0, 0)
        gone = process.is_gone
        if gone is None and _is_local(path):
            gone = locked
        if gone:
            if _is_same(file, path):
                path.unlink()
            return True
    finally:
        os.close(file)
    raise ValueError(_sentence(path, holder, alive=gone is False))


def _signature() -> dict[str, Any]:
    process = this_process()
    return {
        "host": os.uname().nodename,
        "pid": process.pid,
        "since": datetime.datetime.now(datetime.UTC).isoformat(" ", "seconds"),
        "place": process.place,
        "started": process.started,
    }


def _sentence(path: Path, holder: dict[str, Any] | None, *, alive: bool) -> str:
    folder = path.parent
    if holder is None:
        return (
            f"{folder} is locked by {path.name}, which does not say by whom; when no process "
            f"trains there, remove {path}"
        )
    pid, host = holder["pid"], holder["host"]
    who = f"process {pid} on {host} since {holder['since']}"
    if alive:
        return (
            f"{folder} is in use by {who}; wait until it ends, stop it with `kill {pid}`, or "
            "choose another name="
        )
    return (
        f"{folder} is in use by {who}, and from here it cannot be seen whether that still runs; "
        f"look with `ps -p {pid}` on {host} (or where its container runs), and when it is gone "
        f"remove {path} and start again"
    )


def _try_lock(file: int, *, wait: bool = False) -> bool:
    """Whether this process has the POSIX lock now; file systems without locks have none to give."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _is_same(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _is_local(path: Path) -> bool:
    """Whether the disk is this machine's own, as ``/proc/self/mountinfo`` tells."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    kinds = {line.partition(" - ")[2].split()[0] for line in mounts if f" {number} " in line}
    return bool(kinds) and kinds <= _LOCAL
