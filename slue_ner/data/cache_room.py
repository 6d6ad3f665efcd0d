"""Who uses which entry of a cache, and room in it for more.

::

    ROOT/KEY/        an entry
    ROOT/KEY.lock    shared by those who use KEY, held alone by who writes or removes it
    ROOT/room.lock   held while room is made
    ROOT/users.lock  of a cache that goes with its users: shared by them
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from slue_ner.data.features import INDEX_FILE, STATES_FILE, UNFINISHED

USERS_LOCK = "users.lock"
"""Shared by those who use any entry of a cache that goes with them."""

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock file ``path``, alone or with others; a dead process holds none.

    Waits for whoever holds it.
    """
    with _open(path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
        yield


@contextmanager
def locked_now(path: Path) -> Iterator[bool]:
    """Hold the lock file ``path`` alone if nobody else does; whether it is held."""
    with suppress(BlockingIOError), _open(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield True
        return
    yield False


def make_room(folder: Path, needed: int, *, limit: int) -> bool:
    """Remove the entries used longest ago until ``needed`` bytes more stay within ``limit``.

    An entry in use, or about to be, stays; what killed processes have not finished goes first.

    Returns:
        Whether there is room.
    """
    if needed > limit:
        return False
    for left in folder.glob(f".*{UNFINISHED}"):
        _remove(left, folder / f"{left.name[1 : -len(UNFINISHED)]}.lock")
    entries = sorted(folder.glob(f"*/{INDEX_FILE}"), key=lambda path: path.stat().st_mtime)
    sizes = {entry.parent: (entry.parent / STATES_FILE).stat().st_size for entry in entries}
    total = sum(sizes.values())
    for entry, size in sizes.items():
        if total + needed > limit and _remove(entry, entry.with_suffix(".lock")):
            total -= size
    return total + needed <= limit


def remove_unused(root: Path) -> None:
    """Remove a whole cache, unless a living process uses it."""
    if not root.is_dir():
        return
    with locked_now(root / USERS_LOCK) as free:
        if free:
            shutil.rmtree(root, ignore_errors=True)


def _remove(folder: Path, lock: Path) -> bool:
    """Remove a folder, and its lock, unless a living process holds it; whether it is gone."""
    with locked_now(lock) as free:
        if free:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink()
    return free


def free_bytes(folder: Path) -> int:
    """Bytes that can be written into ``folder``, or into the nearest one above that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


@contextmanager
def _open(path: Path, how: int) -> Iterator[None]:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = path.open("a")
        except FileNotFoundError:  # the folder was removed just now
            continue
        with file:
            fcntl.flock(file, how)
            try:
                same = os.path.samestat(os.fstat(file.fileno()), path.stat())
            except FileNotFoundError:
                same = False
            if same:  # else whoever held it has removed it
                yield
                return
