"""Fields of JSON records: there, known, and of the type they should be."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from slue_ner.core.suggest import nearest

Json = dict[str, Any]

_LONGEST = 60


def check_keys(
    record: Json,
    known: Collection[str],
    *,
    required: Collection[str] = (),
    kinds: Mapping[str, tuple[Collection[str], Collection[str]]] | None = None,
) -> None:
    """Refuse fields that are unknown or missing.

    Args:
        record: of a file.
        known: names of the fields it may have.
        required: those it must have.
        kinds: known and required fields of all kinds of records, by what holds them.

    Raises:
        ValueError: naming the field, or the kind of record that this is instead.
    """
    missing = [key for key in required if key not in record]
    unknown = [key for key in record if key not in known]
    if not missing and not unknown:
        return
    for kind, (may, must) in (kinds or {}).items():
        if set(must) <= set(record) <= set(may):
            raise ValueError(f"this is a line of {kind}; another file is meant here")
    if unknown:
        raise ValueError(f"unknown field {unknown[0]!r}; {nearest(unknown[0], known)}")
    raise ValueError(f"field {missing[0]!r} is missing")


def typed(record: Json, key: str, kind: type) -> Any:
    """The value of a field that must be there.

    Raises:
        ValueError: unless it is a ``kind``; whole numbers are numbers, NaN and infinity are none.
    """
    return value_of(record.get(key), kind, f"field {key!r}")


def optional(record: Json, key: str, kind: type) -> Any:
    """The value of a field that may be absent or null; errors as of ``typed``."""
    return None if record.get(key) is None else typed(record, key, kind)


def value_of(value: Any, kind: type, what: str) -> Any:
    """A value of a type, named ``what`` in the error; as ``typed``."""
    accepted = (int, float) if kind is float else kind
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise ValueError(f"{what} should be {kind.__name__}, got {_shortened(value)}")
    if kind in (int, float) and not _is_sane(value):
        raise ValueError(f"{what} should be a number within reason, got {_shortened(value)}")
    return value


def _is_sane(value: Any) -> bool:
    """Whether arithmetic can be done with it; whole numbers of JSON may have any length."""
    return abs(value) < 1e15 if isinstance(value, int) else math.isfinite(value)


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
