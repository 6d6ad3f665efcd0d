"""Emissions on disk: log-probabilities of every frame, so that searches need no model.

::

    FOLDER/00000.npy    float16, (rows, V): utterance after utterance, none divided
    FOLDER/index.json   kind, symbols, frame grid, hashes, and the place of each utterance

Half precision moves a log-probability by at most one part in 2,000, so that two symbols that
are nearly as likely may change places.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slue_ner.core.files import read_json, sweep, unfinished_name, write_json
from slue_ner.core.time import FrameGrid
from slue_ner.core.types import Utterance

INDEX_FILE = "index.json"
KINDS = ("ctc", "frames")
SCHEMA = 1

_SHARD_BYTES = 64_000_000


class EmissionsWriter:
    """Writes the emissions of one model; a context that leaves the whole folder or none of it.

    Emissions already in the folder are replaced when the block ends without an error.

    Args:
        folder: where to; must not exist, be empty or hold emissions.
        kind: ``ctc`` or ``frames``.
        symbols: names of the ``V`` columns.
        grid: rows to seconds.
        model_hash: of the weights, see ``StoredEmissions.check_model``.
        shard_bytes: a file is closed when it has reached this size.

    Raises:
        ValueError: when the folder holds anything else.
        OSError: naming the folder when it cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        kind: str,
        symbols: Sequence[str],
        grid: FrameGrid,
        model_hash: str,
        shard_bytes: int = _SHARD_BYTES,
    ) -> None:
        assert kind in KINDS
        self.folder = Path(folder)
        if not _may_replace(self.folder):
            raise ValueError(
                f"{folder} holds something other than emissions; choose another folder for them"
            )
        self._index = {
            "schema": SCHEMA,
            "kind": kind,
            "grid": asdict(grid),
            "symbols": list(symbols),
            "vocabulary_sha256": vocabulary_hash(symbols),
            "model_sha256": model_hash,
        }
        self._width = len(symbols)
        self._rows_a_shard = max(1, shard_bytes // (2 * max(1, self._width)))
        self._pending: list[NDArray[np.float16]] = []
        self._shard_rows: list[int] = [0]
        self._places: dict[str, tuple[int, int, int]] = {}
        self._unfinished: Path | None = None

    def __enter__(self) -> EmissionsWriter:
        with self._naming_the_folder():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            sweep(self.folder.parent, self.folder.name)
            prefix, suffix = unfinished_name(self.folder.name)
            self._unfinished = Path(tempfile.mkdtemp(suffix, prefix, self.folder.parent))
            self._content.mkdir()
        return self

    def add(self, id: str, log_probs: NDArray[Any]) -> None:
        """Append the emissions of one utterance, ``(T, V)``.

        Raises:
            ValueError: for an id that was added before, another shape or NaN.
            OSError: naming the folder when it cannot be written.
        """
        if id in self._places:
            raise ValueError(f"emissions of utterance {id} were added before; ids must be unique")
        if log_probs.ndim != 2 or log_probs.shape[1] != self._width:
            raise ValueError(
                f"emissions of utterance {id} have shape {log_probs.shape}, expected (frames, "
                f"{self._width} symbols)"
            )
        if np.isnan(log_probs).any():
            raise ValueError(f"emissions of utterance {id} hold NaN; the model is broken")
        with np.errstate(over="ignore"):  # below the range of float16 lies minus infinity
            halves = log_probs.astype(np.float16)
        if self._shard_rows[-1] >= self._rows_a_shard:
            self._finish_shard()
            self._shard_rows.append(0)
        self._places[id] = (len(self._shard_rows) - 1, self._shard_rows[-1], len(halves))
        self._pending.append(halves)
        self._shard_rows[-1] += len(halves)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._unfinished is not None
        try:
            if kind is None:
                with self._naming_the_folder():
                    self._finish()
        finally:
            shutil.rmtree(self._unfinished, ignore_errors=True)

    @property
    def _content(self) -> Path:
        """What becomes the folder; temporary folders themselves have rights of their own."""
        assert self._unfinished is not None
        return self._unfinished / "emissions"

    def _finish(self) -> None:
        self._finish_shard()
        places = [[id, *place] for id, place in self._places.items()]
        write_json(
            self._content / INDEX_FILE,
            {**self._index, "shard_rows": self._shard_rows, "places": places},
        )
        if self.folder.is_dir():
            shutil.rmtree(self.folder)
        self._content.replace(self.folder)

    def _finish_shard(self) -> None:
        path = self._content / _shard_name(len(self._shard_rows) - 1)
        none = np.zeros((0, self._width), np.float16)
        with self._naming_the_folder(), path.open("wb") as file:
            np.save(file, np.concatenate([none, *self._pending]), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        self._pending = []

    @contextmanager
    def _naming_the_folder(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(
                f"cannot write emissions into {self.folder}: {error.strerror or error}; free some "
                "space or choose a folder you may write to"
            ) from error


def read_emissions(folder: Path) -> StoredEmissions:
    """Open what ``EmissionsWriter`` wrote.

    Raises:
        ValueError: naming what is missing or damaged.
    """
    folder = Path(folder)
    path = folder / INDEX_FILE
    if not path.is_file():
        raise ValueError(
            f"{folder} holds no emissions: it has no {INDEX_FILE}; "
            "`slue-ner predict --emissions` writes some"
        )
    index = read_json(path)
    try:
        if index["schema"] != SCHEMA:
            raise ValueError(f"schema is {index['schema']!r}, this version reads {SCHEMA}")
        symbols = tuple(index["symbols"])
        if vocabulary_hash(symbols) != index["vocabulary_sha256"]:
            raise ValueError("the symbols are not those that were written")
        sizes = [int(num_rows) for num_rows in index["shard_rows"]]
        places = {id: (shard, first, rows) for id, shard, first, rows in index["places"]}
        for id, (shard, first, num_rows) in places.items():
            if not 0 <= first <= first + num_rows <= sizes[shard]:
                raise ValueError(f"utterance {id} lies outside its shard")
        shards = [
            _open_shard(folder / _shard_name(number), (num_rows, len(symbols)))
            for number, num_rows in enumerate(sizes)
        ]
        return StoredEmissions(
            folder,
            index["kind"],
            symbols,
            FrameGrid(**index["grid"]),
            index["model_sha256"],
            places,
            shards,
        )
    except (KeyError, TypeError, IndexError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path} does not describe whole emissions: {what}") from error


def vocabulary_hash(symbols: Sequence[str]) -> str:
    """sha256 of the symbols in their order."""
    return hashlib.sha256(json.dumps(list(symbols)).encode()).hexdigest()


def _shard_name(number: int) -> str:
    return f"{number:05}.npy"


def _open_shard(path: Path, shape: tuple[int, int]) -> NDArray[np.float16]:
    if not path.is_file():
        raise ValueError(f"{path.name} is missing")
    if shape[0] == 0:
        return np.zeros(shape, np.float16)
    try:
        shard: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path.name} is damaged or cut short") from error
    if shard.shape != shape or shard.dtype != np.float16:
        raise ValueError(f"{path.name} has shape {shard.shape}, expected {shape}")
    return shard


def _may_replace(folder: Path) -> bool:
    if not folder.exists():
        return True
    return folder.is_dir() and all(
        path.name == INDEX_FILE or re.fullmatch(r"\d{5}\.npy", path.name)
        for path in folder.iterdir()
    )


@dataclass(frozen=True)
class StoredEmissions:
    """Emissions of many utterances, read from disk when asked for.

    Attributes:
        folder: where they are.
        kind: ``ctc`` (log-probabilities of symbols, the first the blank) or ``frames``.
        symbols: names of the ``V`` columns.
        grid: rows to seconds.
        model_hash: of the weights that made them.
        places: id to shard, first row and number of rows.
    """

    folder: Path
    kind: str
    symbols: tuple[str, ...]
    grid: FrameGrid
    model_hash: str
    places: Mapping[str, tuple[int, int, int]]
    _shards: Sequence[NDArray[np.float16]]

    @property
    def ids(self) -> tuple[str, ...]:
        """Utterances in the order in which they were added."""
        return tuple(self.places)

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def why_not(self, id: str) -> str:
        """Why an utterance has no emissions here."""
        return f"{self.folder} has no emissions of {id}"

    def __contains__(self, id: object) -> bool:
        return id in self.places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, id: str) -> NDArray[np.float32]:
        """The emissions of an utterance, ``(T, V)`` float32.

        Raises:
            ValueError: for an utterance that is not there, or damaged.
        """
        if id not in self.places:
            raise ValueError(
                f"{self.folder} has no emissions of utterance {id}; predict its manifest again"
            )
        shard, first, num_rows = self.places[id]
        log_probs = self._shards[shard][first : first + num_rows].astype(np.float32)
        if not (log_probs < np.inf).all():
            raise ValueError(
                f"{self.folder} is damaged: emissions of utterance {id} hold NaN or infinity; "
                "predict its manifest again"
            )
        return log_probs

    def check_holds_any(self, utterances: Sequence[Utterance]) -> None:
        """Check that at least one of these utterances is there, if there are any.

        Raises:
            ValueError: when none is.
        """
        if utterances and not any(utterance.id in self for utterance in utterances):
            raise ValueError(
                f"{self.folder} has no emissions of any of the {len(utterances)} utterances, "
                f"first {utterances[0].id}; predict their manifest with --emissions"
            )

    def check_model(self, *, symbols: Sequence[str], model_hash: str) -> None:
        """Check that the emissions come from these weights and this vocabulary.

        Raises:
            ValueError: when they come from another model.
        """
        if tuple(symbols) != self.symbols:
            raise ValueError(
                f"{self.folder} holds emissions over another vocabulary ({len(self.symbols)} "
                f"symbols, here {len(symbols)}); predict with this model again"
            )
        if model_hash != self.model_hash:
            raise ValueError(
                f"{self.folder} holds emissions of another model or other weights; predict with "
                "this model again"
            )
