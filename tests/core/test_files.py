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
