"""Encoder states on disk: one memory-mapped file and its index, written once, read by many.

::

    FOLDER/KEY/states.bin   utterance after utterance, (L, T, D) each
    FOLDER/KEY/index.json   shape, type, and for each utterance its place, or why it has none
    FOLDER/KEY.lock         shared by those who use KEY, held alone by who writes or removes it
    FOLDER/room.lock        held while room is made
    FOLDER/users.lock       of a cache that goes with its users: shared by them
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slue_ner.core.files import read_json, write_json

_STATES_FILE = "states.bin"
INDEX_FILE = "index.json"
_UNFINISHED = ".unfinished"

USERS_LOCK = "users.lock"
"""Shared by those who use any entry of a cache that goes with them."""

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
DTYPES = ("float32", "float16", "bfloat16")

_NUMPY_TYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16}
"""numpy has no bfloat16; its bits travel as integers."""


@dataclass(kw_only=True)
class StateCacheOptions:
    """Where the states of a frozen encoder are kept while its head is trained.

    Attributes:
        cache: ``none`` (computed anew in every update), ``memory`` (a temporary file system; the
            run folder where that is too small) or ``disk``.
        folder: for ``disk``.
        dtype: ``float32``, ``float16`` or ``bfloat16``.
        max_gigabytes: the cache never holds more; the states used longest ago make room.
    """

    cache: str = "none"
    folder: str = "cache/states"
    dtype: str = "float16"
    max_gigabytes: float = 8.0

    def __post_init__(self) -> None:
        if self.cache not in ("none", "memory", "disk"):
            raise ValueError(f"state_cache.cache={self.cache!r} should be none, memory or disk")
        if self.dtype not in DTYPES:
            raise ValueError(
                f"state_cache.dtype={self.dtype!r} should be one of {', '.join(DTYPES)}"
            )
        if self.max_gigabytes <= 0:
            raise ValueError(f"state_cache.max_gigabytes={self.max_gigabytes} should be positive")


@dataclass(frozen=True)
class States:
    """Hidden states of many utterances.

    Attributes:
        folder: of the two files.
        dtype: ``float32``, ``float16`` or ``bfloat16``.
        num_layers, size: ``L`` and ``D`` of every utterance.
        places: id to (first value in the file, number of frames).
        errors: id to the reason why its audio gave no states.
    """

    folder: Path
    dtype: str
    num_layers: int
    size: int
    places: Mapping[str, tuple[int, int]]
    errors: Mapping[str, str]
    _mapped: list[NDArray[Any]] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def open(cls, folder: Path) -> States:
        """Open what ``write_states`` wrote, and mark it as used just now."""
        index = read_json(folder / INDEX_FILE)
        os.utime(folder / INDEX_FILE)
        places = {id: (first, num_frames) for id, first, num_frames in index["places"]}
        states = cls(
            folder, index["dtype"], index["num_layers"], index["size"], places, index["errors"]
        )
        states._map()  # from here on the file may be removed
        return states

    def read(self, id: str) -> Tensor:
        """The states of an utterance, ``(L, T, D)``, in the type they are kept in."""
        if not self._mapped:
            self._map()
        first, num_frames = self.places[id]
        length = self.num_layers * num_frames * self.size
        values = np.array(self._mapped[0][first : first + length])
        tensor = torch.from_numpy(values)
        if self.dtype == "bfloat16":
            tensor = tensor.view(torch.bfloat16)
        return tensor.view(self.num_layers, num_frames, self.size)

    def _map(self) -> None:
        file = self.folder / _STATES_FILE
        if file.stat().st_size:  # no audio at all could be read otherwise
            self._mapped.append(np.memmap(file, _NUMPY_TYPES[self.dtype], mode="r"))

    def __getstate__(self) -> dict[str, Any]:
        """A copy in a process that was spawned maps the file itself."""
        return {**self.__dict__, "_mapped": []}


def write_states(
    folder: Path,
    utterances: Iterable[tuple[str, Tensor | str]],
    *,
    dtype: str,
    num_layers: int,
    size: int,
) -> None:
    """Write the states of utterances into ``folder``, which appears whole or not at all.

    What a killed process left unfinished is removed, so only one may write a folder at a time.

    Args:
        folder: must not exist; its parent does.
        utterances: id with states ``(L, T, D)``, or with the reason why there are none.
        dtype: ``float32``, ``float16`` or ``bfloat16``.
        num_layers: ``L``.
        size: ``D``.

    Raises:
        OSError: naming the folder when it cannot be written.
    """
    unfinished = folder.with_name(f".{folder.name}{_UNFINISHED}")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(exist_ok=True)
        places: list[tuple[str, int, int]] = []
        errors: dict[str, str] = {}
        first = 0
        with (unfinished / _STATES_FILE).open("wb") as file:
            for id, states in utterances:
                if isinstance(states, str):
                    errors[id] = states
                    continue
                kept = states.to(getattr(torch, dtype)).contiguous()
                bits = kept.view(torch.uint16) if dtype == "bfloat16" else kept
                file.write(bits.numpy().tobytes())
                places.append((id, first, states.shape[1]))
                first += states.numel()
        index = {"dtype": dtype, "num_layers": num_layers, "size": size}
        write_json(unfinished / INDEX_FILE, {**index, "places": places, "errors": errors})
        unfinished.replace(folder)
    except OSError as error:
        raise OSError(
            f"cannot write encoder states into {folder.parent}: {error.strerror or error}; free "
            "some space, choose another state_cache.folder, or set state_cache.cache=none"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock file ``path``, alone or with others; a dead process holds none.

    Waits for whoever holds it.
    """
    with _open(path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
        yield


def make_room(folder: Path, needed: int, *, limit: int) -> bool:
    """Remove the entries used longest ago until ``needed`` bytes more stay within ``limit``.

    An entry in use, or about to be, stays; what killed processes have not finished goes first.

    Returns:
        Whether there is room.
    """
    if needed > limit:
        return False
    for left in folder.glob(f".*{_UNFINISHED}"):
        _remove(left, folder / f"{left.name[1 : -len(_UNFINISHED)]}.lock")
    entries = sorted(folder.glob(f"*/{INDEX_FILE}"), key=lambda path: path.stat().st_mtime)
    sizes = {entry.parent: (entry.parent / _STATES_FILE).stat().st_size for entry in entries}
    total = sum(sizes.values())
    for entry, size in sizes.items():
        if total + needed > limit and _remove(entry, entry.with_suffix(".lock")):
            total -= size
    return total + needed <= limit


def remove_unused(root: Path) -> None:
    """Remove a whole cache, unless a living process uses it."""
    if not root.is_dir():
        return
    with _locked_now(root / USERS_LOCK) as free:
        if free:
            shutil.rmtree(root, ignore_errors=True)


def free_bytes(folder: Path) -> int:
    """Bytes that can be written into ``folder``, or into the nearest one above that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


@contextmanager
def _locked_now(path: Path) -> Iterator[bool]:
    """Hold the lock file ``path`` alone if nobody else does; whether it is held."""
    with suppress(BlockingIOError), _open(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield True
        return
    yield False


def _remove(folder: Path, lock: Path) -> bool:
    """Remove a folder, and its lock, unless a living process holds it; whether it is gone."""
    with _locked_now(lock) as free:
        if free:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink()
    return free


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
