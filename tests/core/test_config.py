from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest

from slue_ner.core.typed_config import from_mapping


class Kind(Enum):
    one = "one"
    two = "two"


@dataclass(kw_only=True)
class Inner:
    rate: float
    share: float | None = None
    names: list[str] = field(default_factory=list)
    kind: Kind = Kind.one
    limit: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError(f"rate must not be negative, got {self.rate}")


@dataclass(kw_only=True)
class Outer:
    inner: Inner
    flag: bool = False


def test_nested_values_become_typed():
    made = from_mapping(Outer, {"inner": {"rate": 1, "kind": "two", "limit": 3}, "flag": True})
    assert made == Outer(inner=Inner(rate=1.0, kind=Kind.two, limit=3), flag=True)
    assert isinstance(made.inner.rate, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inner": {"rate": 1, "nmes": []}}, r"inner.nmes is unknown; did you mean 'names'\?"),
        ({"inner": {}}, "inner.rate is missing"),
        ({"inner": {"rate": "fast"}}, "inner.rate should be float, got 'fast'"),
        ({"inner": {"rate": math.nan}}, "inner.rate should be a finite number, got nan"),
        ({"inner": {"rate": 1, "share": math.inf}}, "inner.share should be a finite number, got i"),
        ({"inner": {"rate": True}}, "inner.rate should be float, got True"),
        ({"inner": {"rate": 1, "limit": 1.5}}, "inner.limit should be int, got 1.5"),
        ({"inner": {"rate": 1, "names": "a"}}, "inner.names should be a list, got 'a'"),
        ({"inner": {"rate": 1, "names": [1]}}, r"inner.names\[0\] should be str, got 1"),
        ({"inner": {"rate": 1, "kind": "three"}}, "inner.kind='three' is unknown; known: one, two"),
        ({"inner": {"rate": -1}}, "inner: rate must not be negative, got -1.0"),
        ({"inner": {"rate": 1}, "flag": 1}, "flag should be bool, got 1"),
        ({"inner": [1]}, "inner should be a mapping"),
    ],
)
def test_a_wrong_value_is_named_by_its_dotted_key(values, message):
    with pytest.raises(ValueError, match=message):
        from_mapping(Outer, values)


@pytest.mark.parametrize("name", ["rate", "limit"])
def test_nan_is_no_number_of_a_config(name):
    with pytest.raises(ValueError, match=rf"optim\.{name} should be a finite number, got nan"):
        from_mapping(Inner, {"rate": 1.0, name: float("nan")}, where="optim")
