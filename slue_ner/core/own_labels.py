"""Label sets of one's own: ``labels.yaml`` beside the manifests and predictions that use them.

::

    name: medical
    labels: [DRUG, DOSE, BODY_PART]
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from slue_ner.core.files import write_text
from slue_ner.core.labels import LABEL_SETS, OFFICIAL_LABELS, RAW, LabelSet
from slue_ner.core.types import EntitySpan

LABELS_FILE = "labels.yaml"

_SYMBOLS = (*RAW.symbols.values(), *"=+;:/", *map(chr, range(0x2190, 0x219A)))
"""The marks of own labels in their order, arrows last: none is a letter, digit or ``|``."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def read_label_set(path: Path) -> LabelSet:
    """Read a label set, and know it from now on.

    Raises:
        ValueError: naming the file and what is wrong in it.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict) or set(values) != {"name", "labels"}:
        raise ValueError(f"{path} should hold a name and a list of labels, and nothing else")
    name, labels = values["name"], values["labels"]
    _check(path, name, labels)
    found = LabelSet(name, MappingProxyType(dict(zip(labels, _SYMBOLS, strict=False))))
    known = LABEL_SETS.setdefault(name, found)
    if known.labels != found.labels:
        raise ValueError(
            f"{path}: the label set {name} has other labels here than in another file of this "
            "run; call one of them otherwise"
        )
    return known


def know_labels_beside(path: Path) -> None:
    """Know the label set beside a file, if there is one; errors as of ``read_label_set``."""
    own = Path(path).parent / LABELS_FILE
    if own.is_file():
        read_label_set(own)


def keep_labels_beside(path: Path, entities: Iterable[EntitySpan]) -> None:
    """Write the label set that entities are of beside the file that holds them, if it is an own.

    Raises:
        ValueError: when another set stands there.
        OSError: when it cannot be written.
    """
    used = {entity.label for entity in entities} - OFFICIAL_LABELS - {None}
    if not used or (path.exists() and not path.is_file()):  # not beside /dev/null
        return
    own = next(known for known in LABEL_SETS.values() if used <= set(known.labels))
    place = path.parent / LABELS_FILE
    if place.is_file():
        if read_label_set(place) != own:
            raise ValueError(f"{place} holds other labels than {path.name}; choose another folder")
        return
    content = {"name": own.name, "labels": list(own.labels)}
    write_text(place, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


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
