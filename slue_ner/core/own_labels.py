"""Label sets of one's own: ``labels.yaml`` beside the manifests and predictions that use them.

::

    name: medical
    labels: [DRUG, DOSE, BODY_PART]

A label is of one set alone, so that the labels of entities say which set they are of. Where data
of several sets meet in a folder, the file has a YAML document for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from slue_ner.core.files import read_yaml, write_text
from slue_ner.core.labels import (
    COMBINED,
    LABEL_SETS,
    OFFICIAL_LABELS,
    RAW,
    LabelSet,
    label_set_for,
)
from slue_ner.core.lines import check_file
from slue_ner.core.types import EntitySpan

LABELS_FILE = "labels.yaml"

_SYMBOLS = (*RAW.symbols.values(), *"=+;:/", *map(chr, range(0x2190, 0x219A)))
"""The marks of own labels in their order, arrows last: none is a letter, digit or ``|``."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def read_label_set(path: Path) -> LabelSet:
    """Read the label set of a file, and know it from now on.

    Raises:
        ValueError: naming the file and what is wrong in it.
    """
    check_file(path)
    found = [_known(path, values) for values in _documents(path)]
    if len(found) != 1:
        raise ValueError(f"{path} should hold one label set, a name and its labels")
    return found[0]


def know_labels_beside(path: Path) -> None:
    """Know the label sets beside a file, if there are some; a file of something else is no harm.

    Raises:
        ValueError: naming the file that holds a broken set.
    """
    own = Path(path).parent / LABELS_FILE
    for values in _documents(own) if own.is_file() else ():
        if isinstance(values, dict) and {"name", "labels"} <= set(values):
            _known(own, values)


def keep_labels_beside(path: Path, entities: Iterable[EntitySpan]) -> None:
    """Write the label set that entities are of beside the file that holds them, if it is an own.

    Raises:
        ValueError: when they are of several sets.
        OSError: when it cannot be written.
    """
    used = {entity.label for entity in entities if entity.label is not None}
    if used <= OFFICIAL_LABELS or (path.exists() and not path.is_file()):  # not beside /dev/null
        return
    try:
        own = label_set_for(used)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    place = path.parent / LABELS_FILE
    there = _documents(place) if place.is_file() else []
    content = {"name": own.name, "labels": list(own.labels)}
    if content not in there:
        text = yaml.safe_dump_all([*there, content], sort_keys=False, allow_unicode=True)
        write_text(place, text)


def own_sets() -> list[tuple[str, tuple[str, ...]]]:
    """Names and labels of all own sets that this process knows, for another process."""
    return [(s.name, s.labels) for s in LABEL_SETS.values() if s not in (RAW, COMBINED)]


def know(sets: Iterable[tuple[str, tuple[str, ...]]]) -> None:
    """Know what ``own_sets`` of another process returned."""
    for name, labels in sets:
        LABEL_SETS.setdefault(name, _made(name, labels))


def _made(name: str, labels: Iterable[str]) -> LabelSet:
    return LabelSet(name, MappingProxyType(dict(zip(labels, _SYMBOLS, strict=False))))


def _documents(path: Path) -> list[Any]:
    documents: list[Any] = read_yaml(path, lambda text: list(yaml.safe_load_all(text)))
    return documents


def _known(path: Path, values: Any) -> LabelSet:
    if not isinstance(values, dict) or set(values) != {"name", "labels"}:
        raise ValueError(f"{path} should hold a name and a list of labels, and nothing else")
    name, labels = values["name"], values["labels"]
    _check(path, name, labels)
    found = _made(name, labels)
    for other in LABEL_SETS.values():
        if other.name == name and other.labels != found.labels:
            raise ValueError(
                f"{path}: the label set {name} has other labels here than in another file of "
                "this run; call one of them otherwise"
            )
        taken = [label for label in labels if label in other.symbols and other.name != name]
        if taken:
            whose = "SLUE's" if other in (RAW, COMBINED) else f"the set {other.name}'s"
            raise ValueError(
                f"{path}: {taken[0]} is {whose}, and a label is of one set alone; call it "
                f"otherwise, {name}_{taken[0]} say"
            )
    return LABEL_SETS.setdefault(name, found)


def _check(path: Path, name: Any, labels: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in ("raw", "combined"):
        raise ValueError(
            f"{path}: name is {name!r}; use letters, digits, - and _, and neither raw nor combined"
        )
    if not isinstance(labels, list) or not labels:
        raise ValueError(f"{path}: labels should be a list of names, got {labels!r}")
    for label in labels:
        if not isinstance(label, str) or not _NAME.fullmatch(label):
            raise ValueError(
                f"{path}: label {label!r}; use letters, digits, - and _, and quote yes and no"
            )
    if len(set(labels)) != len(labels):
        raise ValueError(f"{path}: a label stands twice in {labels}")
    if len(labels) > len(_SYMBOLS):
        raise ValueError(f"{path}: {len(labels)} labels, but at most {len(_SYMBOLS)} have marks")
