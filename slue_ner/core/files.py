"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from slue_ner.core.processes import signed, this_process

_UNFINISHED = ".part"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block ends without an error.

    The file is flushed to disk before it is renamed, so a crash or a full disk leaves either
    the old file or the new one, never half of one. What a killed process left of ``path`` goes
    when it is written the next time. A file keeps its permissions; a link stays one, and what it
    points to is replaced; a pipe or a device (``/dev/null``) stays too, and gets what was written.

    Raises:
        OSError: naming ``path`` and what to do when it cannot be written.
    """
    path = Path(path)
    if _is_stream(path):
        with tempfile.TemporaryDirectory() as folder:
            yield (whole := Path(folder) / path.name)
            try:
                with whole.open("rb") as file, path.open("wb") as stream:
                    shutil.copyfileobj(file, stream)
            except OSError as error:
                raise _cannot_write(path, error) from error
        return
    if path.is_symlink():
        path = path.resolve()
    temporary: Path | None = None
    try:
        mode = _mode(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, path.name)
        prefix, suffix = unfinished_name(path.name)
        handle, name = tempfile.mkstemp(suffix, prefix, path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def filled_folder(folder: Path, *, last: str) -> Iterator[Path]:
    """A temporary folder whose files go into ``folder`` when the block ends without an error.

    A new folder appears whole or not at all. From one that is there, ``last`` is taken away before
    the first file is replaced, and comes last: without it the folder counts as unfinished. Other
    files stay as they are.

    Raises:
        OSError: naming ``folder`` and what to do when it cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OSError(f"cannot write {folder}: it is a file; name a folder")
    place = folder if folder.is_dir() else folder.parent
    temporary: Path | None = None
    try:
        place.mkdir(parents=True, exist_ok=True)
        sweep(place, folder.name)
        prefix, suffix = unfinished_name(folder.name)
        temporary = Path(tempfile.mkdtemp(suffix, prefix, place))
        yield temporary
        names = sorted(path.name for path in temporary.iterdir() if path.name != last)
        for path in temporary.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
            path.chmod(0o666 & ~_umask())
        if place != folder:
            temporary.chmod(0o777 & ~_umask())
            temporary.replace(folder)
            return
        (folder / last).unlink(missing_ok=True)
        for name in (*names, last):
            (temporary / name).replace(folder / name)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


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


def check_writable(path: Path, *, inputs: Iterable[Path | None] = ()) -> None:
    """Refuse, before long work, what could not or should not be written after it.

    Args:
        path: to write.
        inputs: what is read for it, and must not be lost.

    Raises:
        ValueError: naming ``path`` if it is one of ``inputs``.
        OSError: naming ``path`` and what to do.
    """
    if any(given is not None and given.resolve() == path.resolve() for given in inputs):
        raise ValueError(f"{path} would be overwritten; choose another output")
    if path.is_dir():
        raise OSError(f"cannot write {path}: it is a folder; name a file")
    if _is_stream(path):
        return
    try:
        _mode(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 with its ends of lines as they are, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; NaN is refused.

    Bytes of a file name that are no UTF-8 are escaped, as JSON can.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def read_yaml(path: Path, load: Callable[[str], Any] = yaml.safe_load) -> Any:
    """Read a YAML file; tags that build objects are refused.

    Raises:
        ValueError: naming the file, when it is none.
    """
    try:
        return load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error


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


def _mode(path: Path) -> int:
    """Permissions of the file that is there, to be kept, or of a new one."""
    if not path.is_file():
        return 0o666 & ~_umask()
    mode = path.stat().st_mode & 0o777
    if not mode & 0o222:  # renaming would ask the folder alone
        raise PermissionError(errno.EACCES, "it is read-only")
    return mode


def _is_stream(path: Path) -> bool:
    """Whether it is a pipe or a device, which a file must not take the place of."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _cannot_write(path: Path, error: OSError) -> OSError:
    return OSError(
        f"cannot write {path}: {error.strerror or error}; free some space or choose a folder "
        "you may write to, then run the same command again"
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
