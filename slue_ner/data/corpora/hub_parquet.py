"""A hub data set in parquet: where its files are, their rows, and the audio in these.

Files are here already or fetched from the hub, with errors that say what to do; an error in a row
names it. ``datasets`` streams the rows out of the files, audio as bytes.
"""

from __future__ import annotations

import glob
import hashlib
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from slue_ner.core.listing import shown
from slue_ner.core.suggest import nearest

if TYPE_CHECKING:
    from datasets import IterableDataset

_ROWS_AT_ONCE = 64  # about 6 MB of audio
_LONGEST_NAME = 150
_UNREADABLE = (OSError, ValueError, TypeError, KeyError, NotImplementedError)  # Arrow's are these


def has_parquet(folder: Path, *, config: str) -> bool:
    """Whether the folder holds parquet files, or a folder ``config`` with such files."""
    return any(any(place.glob("*.parquet")) for place in (folder, folder / config))


def parquet_folder(
    source: str | Path, out: Path, *, config: str, revision: str | None, example: str
) -> tuple[Path, dict[str, str]]:
    """The folder of the parquet files (downloaded when ``source`` is a hub id).

    Returns:
        The folder, and what ``dataset.json`` says about where it came from.

    Raises:
        ValueError: for a source that is neither, naming the id ``example`` as one that would do.
    """
    if Path(source).is_dir():
        if revision is not None:
            raise ValueError(f"revision {revision!r} is for the hub; {source} is a folder")
        return Path(source), {"path": os.path.relpath(Path(source).resolve(), out.resolve())}
    if Path(source).exists():
        raise ValueError(
            f"{source} is a file; unpack it if it is an archive, and give the folder, or the data "
            f"set's id {example!r}"
        )
    if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", str(source)):
        raise ValueError(f"{source}: no such folder, nor a data set's id like {example!r}")
    folder, commit = _downloaded(str(source), config=config, revision=revision)
    return folder, {"id": str(source), "revision": commit}


def split_files(
    folder: Path, *, config: str, split_of: Mapping[str, str], example: str
) -> dict[str, list[Path]]:
    """Files ``<name>-*.parquet`` by the split that ``split_of`` gives their name.

    Raises:
        ValueError: when there is not one, in the folder or in its folder ``config``.
    """
    for place in (folder / config, folder):
        files = {split: sorted(place.glob(f"{name}-*.parquet")) for name, split in split_of.items()}
        found = {split: paths for split, paths in files.items() if paths}
        for paths in found.values():
            _check_complete(paths)
        if found:
            return found
    first, *others = split_of
    raise ValueError(
        f"{folder}: no {config}/{first}-*.parquet (nor {', '.join(others)}); give the folder that "
        f"holds the parquet files of {example}"
    )


def num_rows(paths: Sequence[Path]) -> int:
    """Rows of all files together, counted by their ids; errors as in ``read_rows``."""
    return sum(1 for path in paths for _ in read_rows(path, required=("id",)))


def read_rows(
    path: Path, *, required: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows with these columns, each with a phrase that says where it is; audio is not decoded.

    Raises:
        ValueError: for a required column that is missing, or a file that is not parquet.
    """
    names = column_names(path, required=required)
    rows = _stream(path, [*required, *(name for name in optional if name in names)])
    for number in itertools.count(1):
        try:
            row = next(rows)
        except StopIteration:
            return
        except _UNREADABLE as error:
            raise _unreadable(path, error) from error
        yield f"{path}, row {number}", row


def column_names(path: Path, *, required: Sequence[str] = ()) -> list[str]:
    """Top-level columns of a file; errors as in ``read_rows``."""
    names = list(_opened(path).features or ())
    for name in required:
        if name not in names:
            raise ValueError(f"{path}: column {name!r} is missing; {nearest(name, names)}")
    return names


def parallel_lists(
    struct: dict[str, list[Any]] | list[dict[str, Any]] | None, fields: Sequence[str]
) -> list[tuple[Any, ...]]:
    """Items of a struct of parallel lists, or of a list of structs; ``None`` is no items.

    Raises:
        ValueError: when the lists differ in length.
    """
    if isinstance(struct, list):
        struct = {name: [item.get(name) for item in struct] for name in fields}
    columns = [(struct or {}).get(name) or [] for name in fields]
    if len({len(column) for column in columns}) != 1:
        raise ValueError(
            f"{', '.join(fields[:-1])} and {fields[-1]} have "
            f"{', '.join(str(len(column)) for column in columns)} items; "
            "they should have one each per entity or word"
        )
    return list(zip(*columns, strict=True))


class AudioFolder:
    """Writes ``<folder>/<split>/<id>.<extension>`` and keeps the names apart.

    Ids of SLUE hold ``:``, which some file systems refuse; everything but letters, digits,
    ``.``, ``_`` and ``-`` becomes ``_``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._id_of: dict[str, str] = {}

    def write(self, id_: str, audio: dict[str, Any] | None, *, split: str) -> Path:
        """Write the ``{"bytes", "path"}`` of one row, whatever it holds.

        Whoever reads the file says what is wrong with it; no bytes at all make an empty one.

        Returns:
            The absolute path of the file.
        """
        content = (audio or {}).get("bytes") or b""
        name = self._name(id_, split) + _extension(content, (audio or {}).get("path"))
        path = self.folder / split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def _name(self, id_: str, split: str) -> str:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", id_)[:_LONGEST_NAME]
        key = f"{split}/{name}".lower()
        if self._id_of.setdefault(key, id_) == id_:
            return name
        return f"{name}-{hashlib.sha256(id_.encode()).hexdigest()[:12]}"


def _extension(content: bytes, path: str | None) -> str:
    """What the bytes are, or else what the row's path says they are."""
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return ".wav"
    for start, extension in ((b"OggS", ".ogg"), (b"fLaC", ".flac"), (b"ID3", ".mp3")):
        if content.startswith(start):
            return extension
    if content[:1] == b"\xff" and content[1:2] >= b"\xe0":
        return ".mp3"
    named = re.search(r"\.[A-Za-z0-9]{1,5}$", path or "")
    return named[0].lower() if named else ".audio"


def _check_complete(paths: Sequence[Path]) -> None:
    """Refuse ``NAME-00000-of-00002.parquet`` without its sibling: a download that was stopped."""
    for path in paths:
        if numbers := re.fullmatch(r"(.*)-\d{5}-of-(\d{5})\.parquet", path.name):
            stem, num_files = numbers[1], int(numbers[2])
            names = [f"{stem}-{i:05}-of-{num_files:05}.parquet" for i in range(num_files)]
            missing = [name for name in names if not path.with_name(name).exists()]
            if missing:
                raise ValueError(
                    f"{path.parent}: {len(missing)} of {num_files} files of {stem} are missing "
                    f"({shown(missing)}); fetch them, too"
                )


def _stream(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    from datasets import Audio

    dataset = _opened(path, columns=columns)
    if "audio" in columns:
        dataset = dataset.cast_column("audio", Audio(decode=False))
    return iter(dataset)


def _opened(path: Path, *, columns: list[str] | None = None) -> IterableDataset:
    # takes seconds to import, with torch, which it wants for streaming
    from datasets import IterableDataset, logging
    from pyarrow.dataset import ParquetFragmentScanOptions

    # it would print the error that is raised
    logging.get_logger("datasets.packaged_modules.parquet.parquet").setLevel(logging.CRITICAL)
    try:
        # load_dataset would ask a server to count the use; this, too, takes a pattern and leaves
        # a lock file in its cache
        with TemporaryDirectory() as cache:
            return IterableDataset.from_parquet(
                glob.escape(str(path)),
                split="train",
                cache_dir=cache,
                columns=columns,
                batch_size=_ROWS_AT_ONCE,
                # what is read ahead is kept until the file ends: 800 MB of a file of 800 MB
                fragment_scan_options=ParquetFragmentScanOptions(pre_buffer=False),
            )
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ValueError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ValueError(f"{path}: not a readable parquet file ({reason}); fetch it again")


def _downloaded(id_: str, *, config: str, revision: str | None) -> tuple[Path, str]:
    """Download ``<config>/*.parquet`` into the hub's cache (at once when it is there already).

    Only parquet is fetched, so no code of the data set can run.

    Returns:
        The folder of the snapshot, and the commit it is.

    Raises:
        ValueError: with the way out for a gate, an unknown id or revision, or no network.
    """
    # takes a second to import, and local files do not need it
    from huggingface_hub import constants, errors, snapshot_download

    try:
        folder = snapshot_download(
            id_, repo_type="dataset", revision=revision, allow_patterns=f"{config}/*.parquet"
        )
    except (errors.RevisionNotFoundError, errors.RevisionResolutionError) as error:
        raise ValueError(
            f"{id_} has no revision {revision!r} on the hub; leave it out for the newest"
        ) from error
    except errors.RepositoryNotFoundError as error:  # a gate is one, too, for who has no token
        raise ValueError(
            f"{id_} cannot be downloaded ({type(error).__name__}): accept its conditions at "
            f"{constants.ENDPOINT}/datasets/{id_}, then run `hf auth login` or set HF_TOKEN; "
            "or download its parquet files there and give their folder"
        ) from error
    except Exception as error:  # the hub's client passes errors of several HTTP libraries on
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if isinstance(error, errors.LocalEntryNotFoundError):
            reason = "no network, or HF_HUB_OFFLINE is set, and it is not in the hub's cache"
        raise ValueError(
            f"{id_} is no folder here, and as a data set of the hub it cannot be downloaded "
            f"({reason}): check the name and the network; or download its {config}/*.parquet files "
            f"elsewhere (`hf download {id_} --repo-type dataset --include '{config}/*.parquet' "
            "--local-dir FOLDER`) and give their folder"
        ) from error
    if not has_parquet(Path(folder), config=config):
        raise ValueError(
            f"{id_} has no {config}/*.parquet on the hub; a data set that is a loading script is "
            "not read, since its code would have to run"
        )
    return Path(folder), Path(folder).name
