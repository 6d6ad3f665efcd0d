"""One process a folder, and what killed ones left; the others are real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from slue_ner.core import locks
from slue_ner.core.files import atomic_path, sweep, write_text
from slue_ner.core.locks import held
from slue_ner.core.processes import Process, this_process

HOLD = """
import sys, time
from pathlib import Path
from slue_ner.core.locks import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

WRITE = """
import sys, time
from pathlib import Path
from slue_ner.core.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half of")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def child():
    """``child(SCRIPT, path)``: a process that has come as far as it says."""
    started = []

    def start(script: str, path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def signed_by(folder, **changes) -> None:
    """A lock as this process writes it, but for ``changes``."""
    process = this_process()
    owner = {"host": "far", "pid": process.pid, "since": "2026-01-02 03:04:05+00:00"}
    owner |= {"place": process.place, "started": process.started, **changes}
    (folder / "run.lock").write_text(json.dumps(owner))


def test_a_folder_in_use_is_refused_with_the_process_that_uses_it(tmp_path, child):
    process = child(HOLD, tmp_path / "run")
    with pytest.raises(ValueError) as caught, held(tmp_path / "run"):
        pass
    expected = (
        rf"{tmp_path}/run is in use by process {process.pid} on {os.uname().nodename} since "
        rf"20..-..-.. ..:..:..\+00:00; wait until it ends, stop it with `kill {process.pid}`, or "
        r"choose another name="
    )
    assert re.fullmatch(expected, str(caught.value))


def test_a_lock_goes_with_its_block_and_an_empty_folder_with_it(tmp_path):
    with pytest.raises(KeyError), held(tmp_path / "run"):
        assert (tmp_path / "run/run.lock").is_file()
        raise KeyError
    assert not (tmp_path / "run").exists()
    with held(tmp_path / "run"):
        (tmp_path / "run/kept").write_text("")
    assert os.listdir(tmp_path / "run") == ["kept"]


def test_what_a_killed_process_held_is_free(tmp_path, child):
    process = child(HOLD, tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "run.lock").is_file()
    with held(tmp_path):
        assert json.loads((tmp_path / "run.lock").read_text())["pid"] == os.getpid()


def test_a_process_killed_and_not_yet_waited_for_holds_nothing(tmp_path, child):
    process = child(HOLD, tmp_path)
    process.send_signal(signal.SIGKILL)
    while not Process(this_process().place, process.pid, 0).is_gone:
        pass
    with held(tmp_path):
        pass


def test_a_number_that_another_process_has_now_is_not_the_holder(tmp_path):
    signed_by(tmp_path, started=this_process().started - 1)
    with held(tmp_path):
        pass


def test_the_process_that_has_the_number_and_the_start_is_the_holder(tmp_path):
    signed_by(tmp_path)
    with pytest.raises(ValueError, match="is in use by process"), held(tmp_path):
        pass


def test_a_process_of_another_machine_is_never_taken_for_dead_on_a_shared_disk(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(locks, "_is_local", lambda path: False)
    signed_by(tmp_path, place="0123456789ab", pid=7)
    with pytest.raises(ValueError) as caught, held(tmp_path):
        pass
    assert str(caught.value) == (
        f"{tmp_path} is in use by process 7 on far since 2026-01-02 03:04:05+00:00, and from here "
        "it cannot be seen whether that still runs; look with `ps -p 7` on far (or where its "
        f"container runs), and when it is gone remove {tmp_path}/run.lock and start again"
    )


def test_on_a_disk_of_this_machine_a_lock_of_before_a_restart_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_is_local", lambda path: True)
    signed_by(tmp_path, place="0123456789ab")
    with held(tmp_path):
        pass


def test_on_a_disk_of_this_machine_another_container_is_seen(tmp_path, child, monkeypatch):
    monkeypatch.setattr(locks, "_is_local", lambda path: True)
    child(HOLD, tmp_path)
    path = tmp_path / "run.lock"
    owner = json.loads(path.read_text())
    with path.open("r+") as file:  # the same file, so the child still holds it
        file.write(json.dumps({**owner, "place": "0123456789ab"}))
    with pytest.raises(ValueError, match="is in use by process"), held(tmp_path):
        pass


@pytest.mark.parametrize("content", ["", "{", "[1]"])
def test_a_lock_that_names_nobody_is_waited_for_and_then_explained(tmp_path, monkeypatch, content):
    monkeypatch.setattr(locks, "_is_local", lambda path: False)
    monkeypatch.setattr(locks, "_PATIENCE", 0.1)
    (tmp_path / "run.lock").write_text(content)
    message = r"does not say by whom; .* remove .*run\.lock"
    with pytest.raises(ValueError, match=message), held(tmp_path):
        pass


def test_many_that_find_a_dead_lock_at_once_do_not_both_get_it(tmp_path):
    signed_by(tmp_path, started=1)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD.replace("60", "1"), str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    ended = [process.communicate() for process in processes]
    for process, (out, err) in zip(processes, ended, strict=True):
        assert (out == "held\n") == (process.returncode == 0)
        assert process.returncode == 0 or "is in use by process" in err
    assert any(process.returncode == 0 for process in processes)


@pytest.mark.parametrize("before", ["", "old"])
def test_a_write_cut_off_by_a_kill_leaves_the_old_file_and_is_swept_by_the_next(
    tmp_path, child, before
):
    path = tmp_path / "last.ckpt"
    if before:
        write_text(path, before)
    process = child(WRITE, path)
    process.kill()
    process.wait()
    (left,) = (p for p in tmp_path.iterdir() if p != path)
    assert left.read_text() == "half of"
    assert path.exists() == bool(before)
    assert not before or path.read_text() == "old"
    write_text(path, "new")
    assert os.listdir(tmp_path) == ["last.ckpt"]
    assert path.read_text() == "new"


def test_what_a_living_process_writes_is_never_swept(tmp_path, child):
    child(WRITE, tmp_path / "last.ckpt")
    write_text(tmp_path / "last.ckpt", "new")
    sweep(tmp_path)
    assert len(os.listdir(tmp_path)) == 2


def test_what_another_machine_left_is_swept_only_where_nobody_else_may_write(tmp_path):
    left = tmp_path / ".last.ckpt.0123456789ab-7-1.xyz.part"
    left.write_text("half of")
    (tmp_path / ".mine.part").write_text("not ours")
    sweep(tmp_path)
    assert left.exists()
    sweep(tmp_path, all_of_them=True)
    assert os.listdir(tmp_path) == [".mine.part"]


def test_other_files_of_the_same_beginning_are_left_to_their_writers(tmp_path):
    with atomic_path(tmp_path / "a.json") as first, atomic_path(tmp_path / "a") as second:
        first.write_text("1")
        second.write_text("2")
    assert sorted(os.listdir(tmp_path)) == ["a", "a.json"]
