"""The parquet files of a hub data set: where they are, and their rows with errors that name one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet

from slue_ner.core.suggest import nearest
from slue_ner.data.hub_download import download_parquet

_ROWS_AT_ONCE = 64  # about 6 MB of audio


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
    folder, commit = download_parquet(str(source), config=config, revision=revision)
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
        if found:
            return found
    first, *others = split_of
    raise ValueError(
        f"{folder}: no {config}/{first}-*.parquet (nor {', '.join(others)}); give the folder that "
        f"holds the parquet files of {example}"
    )


def num_rows(paths: Sequence[Path]) -> int:
    """Rows of all files together, read from their footers; errors as in ``read_rows``."""
    total = 0
    for path in paths:
        with opened_parquet(path, required=()) as file:
            total += file.metadata.num_rows
    return total


def read_rows(
    path: Path, *, required: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows with these columns, each with a phrase that says where it is.

    Raises:
        ValueError: for a required column that is missing, or a file that is not parquet.
    """
    number = 0
    with opened_parquet(path, required=required) as file:
        names = column_names(file)
        wanted = [*required, *(name for name in optional if name in names)]
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=wanted):
            for row in batch.to_pylist():
                number += 1
                yield f"{path}, row {number}", row


@contextmanager
def opened_parquet(path: Path, *, required: Sequence[str]) -> Iterator[parquet.ParquetFile]:
    """A parquet file that has the required columns; errors as in ``read_rows``."""
    try:
        with parquet.ParquetFile(path) as file:
            names = column_names(file)
            for name in required:
                if name not in names:
                    raise ValueError(f"{path}: column {name!r} is missing; {nearest(name, names)}")
            yield file
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(
            f"{path}: not a readable parquet file ({error}); fetch it again"
        ) from error


def column_names(file: parquet.ParquetFile) -> list[str]:
    """Top-level columns of an open file."""
    return list(file.schema_arrow.names)


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
