"""Fields of JSON objects, checked one by one so that an error says which one and what it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slue_ner.core.suggest import nearest

Json = dict[str, Any]


def check_keys(record: Json, known: Sequence[str], *, required: Sequence[str] = ()) -> None:
    """Raise ``ValueError`` for a field that is unknown or missing."""
    for key in record:
        if key not in known:
            raise ValueError(f"unknown field {key!r}; {nearest(key, known)}")
    for key in required:
        if key not in record:
            raise ValueError(f"field {key!r} is missing")


def typed(record: Json, key: str, kind: type) -> Any:
    """The field, which should be of this kind; a whole number is a ``float`` too."""
    value = record[key]
    accepted = (int, float) if kind is float else kind
    if isinstance(value, bool) is not (kind is bool) or not isinstance(value, accepted):
        raise ValueError(f"field {key!r} should be {kind.__name__}, got {value!r}")
    return value


def optional(record: Json, key: str, kind: type) -> Any:
    """The same for a field that may be absent or ``null``."""
    return None if record.get(key) is None else typed(record, key, kind)


def objects(
    record: Json, key: str, kinds: Mapping[str, type], *, required: Sequence[str] = ()
) -> list[Json] | None:
    """The field, a list of objects whose fields are of these kinds, or ``None``.

    Args:
        record: what has the field.
        key: its name.
        kinds: of the fields of each object; those that are not required may be ``null``.
        required: of them.
    """
    values: list[Json] | None = optional(record, key, list)
    for value in values or ():
        try:
            if not isinstance(value, dict):
                raise ValueError(f"should be an object, got {value!r}")
            check_keys(value, tuple(kinds), required=required)
            for name, kind in kinds.items():
                if name in required:
                    typed(value, name, kind)
                else:
                    optional(value, name, kind)
        except ValueError as error:
            raise ValueError(f"an item of field {key!r}: {error}") from None
    return values
