"""Files are written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from slue_ner.core.processes import signed, this_process

_UNFINISHED = ".part"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block ends without an error.

    The file is flushed to disk before it is renamed, so a crash or a full disk leaves either
    the old file or the new one, never half of one. What a killed process left of ``path`` goes
    when it is written the next time.

    Raises:
        OSError: naming ``path`` and what to do when it cannot be written.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, path.name)
        prefix, suffix = unfinished_name(path.name)
        handle, name = tempfile.mkstemp(suffix, prefix, path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def unfinished_name(name: str) -> tuple[str, str]:
    """Beginning and end of the name of what this process has not finished writing as ``name``."""
    return f".{name[:80]}.{this_process().signature}.", _UNFINISHED


def sweep(folder: Path, name: str = "", *, all_of_them: bool = False) -> None:
    """Remove what a process that is gone for sure has not finished writing into ``folder``.

    Args:
        folder: may be absent.
        name: of the one file or folder; all when empty.
        all_of_them: whoever wrote them; for a folder into which nobody else may write now.
    """
    with suppress(OSError):  # rights that are lacking, or somebody else sweeps too
        for entry in os.scandir(folder):
            if entry.name.endswith(_UNFINISHED) and entry.name.startswith(f".{name[:80]}"):
                writer = signed(entry.name)
                if writer is None or not (all_of_them or writer.is_gone):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    os.unlink(entry.path)


def check_writable(path: Path) -> None:
    """Refuse, before long work, what could not be written after it.

    Raises:
        OSError: naming ``path`` and what to do.
    """
    if path.is_dir():
        raise OSError(f"cannot write {path}: it is a folder; name a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: naming the file and the line that does not parse.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cannot_write(path: Path, error: OSError) -> OSError:
    return OSError(
        f"cannot write {path}: {error.strerror or error}; free some space or choose a folder "
        "you may write to, then run the same command again"
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
