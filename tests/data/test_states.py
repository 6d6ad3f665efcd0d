from __future__ import annotations

import errno
import os
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from slue_ner.data.loading import states as features
from slue_ner.data.loading.states import (
    DTYPES,
    StateCacheOptions,
    States,
    make_room,
    write_states,
)


def random_states(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def write(
    folder: Path, utterances: Any, *, dtype: str = "float32", num_layers: int = 2, size: int = 3
) -> None:
    write_states(folder, utterances, dtype=dtype, num_layers=num_layers, size=size)


def entry(root: Path, name: str, *, num_bytes: int, used: float) -> Path:
    """States of ``num_bytes`` that were used last at a point in time."""
    folder = root / name
    write(folder, [("a", torch.zeros(1, num_bytes // 4, 1))], num_layers=1, size=1)
    os.utime(folder / "index.json", (used, used))
    return folder


@given(
    st.sampled_from(DTYPES),
    st.integers(1, 4),
    st.integers(1, 6),
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.integers(0, 2**32),
)
@settings(max_examples=40)
def test_states_are_read_as_they_were_written(
    dtype: str, num_layers: int, size: int, lengths: list[int], seed: int
) -> None:
    kept = {
        f"u{i}": random_states(num_layers, num_frames, size, seed=seed + i)
        for i, num_frames in enumerate(lengths)
    }
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "key"
        write(folder, kept.items(), dtype=dtype, num_layers=num_layers, size=size)
        states = States.open(folder)
        assert (states.dtype, states.num_layers, states.size) == (dtype, num_layers, size)
        for id in reversed(kept):
            assert torch.equal(states.read(id), kept[id].to(getattr(torch, dtype)))


@pytest.mark.parametrize(("dtype", "width"), [("float32", 4), ("float16", 2), ("bfloat16", 2)])
def test_a_value_takes_as_many_bytes_as_its_type(tmp_path: Path, dtype: str, width: int) -> None:
    write(tmp_path / "key", [("a", torch.zeros(2, 5, 3)), ("b", torch.zeros(2, 1, 3))], dtype=dtype)
    assert (tmp_path / "key/states.bin").stat().st_size == 2 * 6 * 3 * width


def test_bfloat16_keeps_its_range_and_infinities(tmp_path: Path) -> None:
    values = torch.tensor([3e38, -1e-38, float("inf"), 0.0]).view(1, 1, 4)
    write(tmp_path / "key", [("a", values)], dtype="bfloat16", num_layers=1, size=4)
    assert torch.equal(States.open(tmp_path / "key").read("a"), values.to(torch.bfloat16))


def test_states_need_not_be_contiguous(tmp_path: Path) -> None:
    values = random_states(4, 3, 2).transpose(0, 2)  # (2, 3, 4)
    write(tmp_path / "key", [("a", values)], size=4)
    assert torch.equal(States.open(tmp_path / "key").read("a"), values)


def test_what_is_read_may_be_changed_and_the_file_stays(tmp_path: Path) -> None:
    write(tmp_path / "key", [("a", torch.ones(2, 4, 3))])
    states = States.open(tmp_path / "key")
    states.read("a").zero_()
    assert states.read("a").all()


def test_an_utterance_without_states_keeps_its_reason(tmp_path: Path) -> None:
    write(tmp_path / "key", [("a", "a.wav: empty file"), ("b", torch.ones(2, 4, 3))])
    states = States.open(tmp_path / "key")
    assert states.errors == {"a": "a.wav: empty file"}
    assert list(states.places) == ["b"]


def test_nothing_but_errors_can_be_kept_too(tmp_path: Path) -> None:
    write(tmp_path / "key", [("a", "a.wav: empty file")])
    assert States.open(tmp_path / "key").errors == {"a": "a.wav: empty file"}


def test_a_worker_process_maps_the_file_itself(tmp_path: Path) -> None:
    write(tmp_path / "key", [("a", torch.ones(2, 4, 3))])
    states = States.open(tmp_path / "key")
    states.read("a")
    sent = pickle.dumps(states)
    assert len(sent) < 1000
    assert torch.equal(pickle.loads(sent).read("a"), torch.ones(2, 4, 3))


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError])
def test_writing_that_is_cut_off_leaves_nothing(tmp_path: Path, stop: type[BaseException]) -> None:
    def utterances() -> Iterator[Any]:
        yield "a", torch.ones(2, 4, 3)
        raise stop

    with pytest.raises(stop):
        write(tmp_path / "key", utterances())
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".key.unfinished"
    left.mkdir()
    (left / "states.bin").write_bytes(b"half of it")
    write(tmp_path / "key", [("a", torch.ones(2, 4, 3))])
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert torch.equal(States.open(tmp_path / "key").read("a"), torch.ones(2, 4, 3))


class FullDisk:
    """A file that takes ``free`` bytes and then no more."""

    def __init__(self, file: Any, free: int) -> None:
        self.file, self.free = file, free

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        self.file.close()

    def write(self, data: bytes) -> int:
        self.free -= len(data)
        if self.free < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written: int = self.file.write(data)
        return written


def test_a_full_disk_is_one_sentence_with_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Any = Path.open

    def open_full(path: Any, mode: Any = "r", *arguments: Any, **options: Any) -> Any:
        file = opened(path, mode, *arguments, **options)
        return FullDisk(file, free=150) if path.name == "states.bin" else file

    utterances = [(name, torch.ones(2, 4, 3)) for name in "abc"]  # 96 bytes each
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", open_full)
        with pytest.raises(OSError) as caught:
            write(tmp_path / "key", utterances)
    assert str(caught.value) == (
        f"cannot write encoder states into {tmp_path}: No space left on device; free some space, "
        "choose another state_cache.folder, or set state_cache.cache=none"
    )
    assert not list(tmp_path.iterdir())
    write(tmp_path / "key", utterances)  # and later, with space, it works
    assert torch.equal(States.open(tmp_path / "key").read("c"), torch.ones(2, 4, 3))


def test_an_index_that_cannot_be_written_leaves_no_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Any, value: Any) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(features, "write_json", fail)
    with pytest.raises(
        OSError, match=r"states into .*: Disk quota exceeded; .*state_cache\.cache=no"
    ):
        write(tmp_path / "key", [("a", torch.ones(2, 4, 3))])
    assert not list(tmp_path.iterdir())


def test_room_is_made_by_what_was_used_longest_ago(tmp_path: Path) -> None:
    for name, used in (("new", 300.0), ("old", 100.0), ("middle", 200.0)):
        entry(tmp_path, name, num_bytes=400, used=used)
    assert make_room(tmp_path, 400, limit=1600)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "old", "middle"}
    assert make_room(tmp_path, 401, limit=1600)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "middle"}
    assert make_room(tmp_path, 1201, limit=1600)
    assert {path.name for path in tmp_path.iterdir()} == set()


def test_reading_states_counts_as_use(tmp_path: Path) -> None:
    entry(tmp_path, "first", num_bytes=400, used=100.0)
    entry(tmp_path, "second", num_bytes=400, used=200.0)
    States.open(tmp_path / "first")
    assert make_room(tmp_path, 400, limit=800)
    assert {path.name for path in tmp_path.iterdir()} == {"first"}


def test_what_can_never_fit_removes_nothing(tmp_path: Path) -> None:
    entry(tmp_path, "first", num_bytes=400, used=100.0)
    assert not make_room(tmp_path, 801, limit=800)
    assert (tmp_path / "first").is_dir()


def test_room_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert make_room(tmp_path / "cache", 10, limit=10)


def test_removed_states_can_be_read_by_who_has_read_them_before(tmp_path: Path) -> None:
    write(tmp_path / "key", [("a", torch.ones(2, 4, 3)), ("b", torch.zeros(2, 1, 3))])
    states = States.open(tmp_path / "key")
    states.read("a")
    assert make_room(tmp_path, 100, limit=100)
    assert not (tmp_path / "key").exists()
    assert torch.equal(states.read("b"), torch.zeros(2, 1, 3))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("cache", "ram", "state_cache.cache='ram' should be none, memory or disk"),
        ("dtype", "int8", "state_cache.dtype='int8' should be one of float32, float16, bfloat16"),
        ("max_gigabytes", 0.0, r"state_cache.max_gigabytes=0.0 should be positive"),
    ],
)
def test_options_out_of_range_are_refused_by_name(name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StateCacheOptions(**{name: value})
