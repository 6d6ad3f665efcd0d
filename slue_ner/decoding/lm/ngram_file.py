r"""The compact form of an n-gram model on disk, mapped into memory instead of read.

::

    slue-ner n-gram\n{header as JSON}\n    padded with spaces to a multiple of 64 bytes; it names
                                         the label set of the entity marks, where known
    words                                joined by line feeds, UTF-8, padded likewise
    word, log_prob, back_off, suffix, first_child   as in ``NgramModel``, little-endian, each padded
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from slue_ner.core.files import atomic_path
from slue_ner.decoding.lm.arpa import read_arpa, write_arpa
from slue_ner.decoding.lm.ngram import NgramModel

BINARY_SUFFIX = ".ngram"

_MAGIC = b"slue-ner n-gram\n"
_SCHEMA = 1
_BLOCK = 64
_ARRAYS = {
    **{"word": "<i4", "log_prob": "<f4", "back_off": "<f4"},
    **{"suffix": "<i4", "first_child": "<i4"},
}


def read_model(path: Path, *, note: Callable[[str], None] | None = None) -> NgramModel:
    """Read a model in either form: mapped into memory, or ARPA.

    Args:
        path: of the model.
        note: called with a sentence about whatever of it is not used.

    Raises:
        ValueError: naming the file and what is wrong with it.
    """
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) == _MAGIC:
                return _read_binary(path)
    return read_arpa(path, note=note)


def write_model(model: NgramModel, path: Path) -> None:
    """Write a model, compact where the name ends in ``.ngram``, else as ARPA (``.gz`` packed)."""
    if path.suffix == BINARY_SUFFIX:
        _write_binary(model, path)
    else:
        write_arpa(model, path)


def _write_binary(model: NgramModel, path: Path) -> None:
    words = "\n".join(model.words).encode()
    header = {
        "schema": _SCHEMA,
        "order": model.order,
        "num_words": len(model.words),
        "num_nodes": len(model.word),
        "word_bytes": len(words),
        "labels": model.labels,
    }
    with atomic_path(path) as unfinished, unfinished.open("wb") as file:
        file.write(_padded(_MAGIC + json.dumps(header).encode() + b"\n"))
        file.write(_padded(words))
        for name, dtype in _ARRAYS.items():
            file.write(_padded(getattr(model, name).astype(dtype).tobytes()))


def _read_binary(path: Path) -> NgramModel:
    # copy on write, never written: compiled functions take it as they take arrays in memory
    data = np.asarray(np.memmap(path, np.uint8, mode="c"))
    start = len(_MAGIC)
    try:
        end = start + bytes(data[start : start + 1024]).index(b"\n")
        header = json.loads(bytes(data[start:end]))
        sizes = [header[name] for name in ("order", "num_words", "num_nodes", "word_bytes")]
        order, num_words, num_nodes, word_bytes = map(int, sizes)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: the header of this n-gram model is damaged") from error
    if header["schema"] != _SCHEMA:
        raise ValueError(
            f"{path}: format {header['schema']} of n-gram models is not known; write it anew"
        )
    lengths = {name: 4 * (num_nodes + (name == "first_child")) for name in _ARRAYS}
    place = _rounded(end + 1)
    if len(data) != place + sum(map(_rounded, [word_bytes, *lengths.values()])):
        raise ValueError(f"{path}: this n-gram model is cut off or damaged; write it anew")
    words = bytes(data[place : place + word_bytes]).decode(errors="replace").split("\n")
    place += _rounded(word_bytes)
    arrays = {}
    for name, dtype in _ARRAYS.items():
        arrays[name] = data[place : place + lengths[name]].view(dtype)
        place += _rounded(lengths[name])
    if len(words) != num_words:
        raise ValueError(f"{path}: this n-gram model is damaged; write it anew")
    return NgramModel(order, tuple(words), **arrays, labels=header.get("labels"))


def _padded(content: bytes) -> bytes:
    return content.ljust(_rounded(len(content)))


def _rounded(length: int) -> int:
    return -(-length // _BLOCK) * _BLOCK
