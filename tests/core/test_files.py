from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from slue_ner.core.files import atomic_path, check_writable, read_json, write_json, write_text


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_is_reported_with_the_path_and_the_way_out(tmp_path):
    path = tmp_path / "a.txt"
    message = r"cannot write .*a\.txt: No space left.*free some space"
    with pytest.raises(OSError, match=message), atomic_path(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not path.exists()


def test_a_place_that_cannot_be_a_folder_is_reported_with_the_path(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write .*file/a\.txt"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_json_with_nan_is_refused(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"x": float("nan")})


def test_a_file_that_is_not_json_is_named(tmp_path):
    Path(tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match=r"a\.json is not JSON"):
        read_json(tmp_path / "a.json")


def test_json_that_an_editor_saved_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}


def test_a_place_that_cannot_be_written_is_known_beforehand(tmp_path):
    check_writable(tmp_path / "new" / "a.json")
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(OSError, match=f"cannot write {tmp_path}: it is a folder; name a file"):
        check_writable(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(
        OSError, match=r"cannot write .*/file/a\.json: .*; free some space or choose"
    ):
        check_writable(tmp_path / "file" / "a.json")


def test_a_link_stays_one_and_what_it_points_to_is_written(tmp_path):
    there, link = tmp_path / "there.txt", tmp_path / "link.txt"
    there.write_text("old")
    link.symlink_to(there)
    write_text(link, "new")
    assert link.is_symlink()
    assert there.read_text() == "new"


def test_a_pipe_gets_what_is_written_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    check_writable(pipe)
    write_text(pipe, "new")
    assert pipe.is_fifo()
    assert os.read(reader, 100) == b"new"
    os.close(reader)
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(0o600)
    write_text(path, "new")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_read_only_file_is_not_replaced(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(0o444)
    for write in (check_writable, lambda path: write_text(path, "new")):
        with pytest.raises(OSError, match=r"cannot write .*a\.txt: it is read-only"):
            write(path)
    assert path.read_text() == "old"


def test_a_file_name_that_is_no_utf_8_is_escaped_in_json(tmp_path):
    write_json(tmp_path / "a.json", {"path": "ol\udce9"})
    assert read_json(tmp_path / "a.json") == {"path": "ol\udce9"}


def test_what_is_read_is_not_overwritten_whatever_it_is_called(tmp_path):
    manifest, link = tmp_path / "dev.jsonl", tmp_path / "link.jsonl"
    manifest.write_text("")
    link.symlink_to(manifest)
    for output in (manifest, link, tmp_path / "x" / ".." / "dev.jsonl"):
        with pytest.raises(ValueError, match="would be overwritten; choose another output"):
            check_writable(output, inputs=[None, manifest])
    check_writable(tmp_path / "other.jsonl", inputs=[None, manifest])


def test_a_device_that_is_full_is_named():
    with pytest.raises(OSError, match="cannot write /dev/full: No space left on device"):
        write_text(Path("/dev/full"), "x")
