"""Plain mappings (from YAML or JSON) to typed dataclasses, with errors that name the key."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar

from slue_ner.core.suggest import nearest

Options = TypeVar("Options")


def from_mapping(cls: type[Options], values: Any, *, where: str = "") -> Options:
    """Build ``cls`` from ``values``; nothing is guessed and nothing ignored.

    Whole numbers are taken for floats, which must be finite; enums are given by value; nested
    dataclasses by mappings.

    Args:
        cls: a dataclass.
        values: its fields.
        where: dotted path of ``values`` in the whole config, for messages.

    Raises:
        ValueError: for an unknown or missing key, a wrong type, or what the dataclass itself
            refuses.
    """
    prefix = f"{where}." if where else ""
    if not isinstance(values, Mapping):
        raise ValueError(f"{where or 'the config'} should be a mapping, got {values!r}")
    assert is_dataclass(cls)
    known = {field.name: field for field in fields(cls)}
    for key in values:
        if key not in known:
            raise ValueError(f"{prefix}{key} is unknown; {nearest(str(key), known)}")
    for name, field in known.items():
        absent = field.default is MISSING and field.default_factory is MISSING
        if absent and name not in values:
            raise ValueError(f"{prefix}{name} is missing")
    hints = typing.get_type_hints(cls)
    converted = {
        key: _convert(hints[key], value, f"{prefix}{key}") for key, value in values.items()
    }
    try:
        return typing.cast(Options, cls(**converted))
    except ValueError as error:
        named = str(error).startswith(where)  # true without a path, too
        raise ValueError(str(error) if named else f"{where}: {error}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    if isinstance(value, float) and not math.isfinite(value):  # no comparison would refuse a NaN
        raise ValueError(f"{where} should be a finite number, got {value}")
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        choices = typing.get_args(hint)
        if value is None and type(None) in choices:
            return None
        rest = [choice for choice in choices if choice is not type(None)]
        if any(isinstance(choice, type) and type(value) is choice for choice in rest):
            return value
        return _convert(rest[0], value, where)
    if hint is Any:
        return value
    if is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else from_mapping(hint, value, where=where)
    if origin is list:
        if not isinstance(value, list):
            raise ValueError(f"{where} should be a list, got {value!r}")
        (item,) = typing.get_args(hint)
        return [_convert(item, element, f"{where}[{i}]") for i, element in enumerate(value)]
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} should be a mapping, got {value!r}")
        _, item = typing.get_args(hint)
        return {key: _convert(item, element, f"{where}.{key}") for key, element in value.items()}
    if isinstance(hint, type) and issubclass(hint, Enum):
        allowed = [member.value for member in hint]
        if value not in allowed:
            raise ValueError(f"{where}={value!r} is unknown; known: {', '.join(map(str, allowed))}")
        return hint(value)
    return _scalar(hint, value, where)


def _scalar(hint: Any, value: Any, where: str) -> Any:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if hint is float and is_whole:
        return float(value)
    if (hint is int and is_whole) or (hint is not int and isinstance(value, hint)):
        return value
    raise ValueError(f"{where} should be {hint.__name__}, got {value!r}")
