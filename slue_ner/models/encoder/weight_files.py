"""What is wrong with a file of weights, found out before any library trips over it.

Libraries speak of headers and opcodes, or advise to read the file unsafely; here the file is named
and the reason is one that its owner can mend.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

from safetensors import SafetensorError

UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    EOFError,
    ImportError,
    pickle.UnpicklingError,
    SafetensorError,
)
"""What transformers and torch raise for files that are absent, damaged or of another kind."""

_POINTER = b"version https://git-lfs.github.com/spec/"
_LONGEST_HEADER = 100_000_000  # safetensors' own limit
_UNSAFE_ADVICE = ("weights_only", "trust_remote_code")


def check_weights(path: Path) -> None:
    """Refuse a file that cannot hold the weights it should, reading no more than its header.

    Args:
        path: a ``.safetensors``, a file that ``torch.save`` wrote, or the ``.index.json`` of
            several, whose files are checked too.

    Raises:
        ValueError: naming the file, what it is instead and the way out.
    """
    if (found := damage(path)) is not None:
        raise ValueError(
            f"{path} {found}; download it again, or run `git lfs pull` where it was cloned"
        )
    if path.name.endswith(".index.json"):
        for name in shards(path):
            check_weights(path.parent / name)


def damage(path: Path) -> str | None:
    """What a file is that cannot hold weights, as ``is ...``; ``None`` when nothing is seen."""
    if not path.is_file():
        return "is not there"
    found = _instead(path)
    if found is not None or path.name.endswith(".index.json"):
        return found
    return _cut_safetensors(path) if path.suffix == ".safetensors" else _cut_pickle(path)


def shards(index: Path) -> list[str]:
    """Names of the files that an ``.index.json`` lists.

    Raises:
        ValueError: for a file that is no such index.
    """
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return sorted(names)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} is no index of weights; download it again") from error


def reason(error: Exception) -> str:
    """A library's error as the end of a sentence; never advice to switch safety off."""
    if isinstance(error, pickle.UnpicklingError):  # torch's own words tell how to run such code
        return "its pickled weights are damaged or hold more than tensors"
    words = " ".join(str(error).split())
    if "trust_remote_code" in words:
        return "it needs code of its own, which is never run"
    if any(advice in words for advice in _UNSAFE_ADVICE):
        return "its pickled weights are damaged or hold more than tensors"
    return words[:200].rstrip(".") or type(error).__name__


def _instead(path: Path) -> str | None:
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return "is empty"
    if start.startswith(_POINTER):
        return "is a Git LFS pointer and no weights"
    if start.lstrip()[:14].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page and no weights"
    if not any(start):
        return "holds zeros and no weights"
    return None


def _cut_safetensors(path: Path) -> str | None:
    num_bytes = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _LONGEST_HEADER or num_bytes < 8:
            return "is no safetensors file"
        header = file.read(length)
    if len(header) < length:
        return f"is cut short at {num_bytes:,} bytes, within its header"
    try:
        tensors = {k: v for k, v in json.loads(header).items() if k != "__metadata__"}
        expected = 8 + length + max((v["data_offsets"][1] for v in tensors.values()), default=0)
    except (ValueError, LookupError, TypeError, AttributeError):
        return "is no safetensors file: its header is damaged"
    if num_bytes < expected:
        return f"is cut short: {num_bytes:,} of {expected:,} bytes"
    return None


def _cut_pickle(path: Path) -> str | None:
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] == b"PK" and not zipfile.is_zipfile(path):
        return f"is cut short at {path.stat().st_size:,} bytes"
    return None
