"""Entity labels: OntoNotes-5's 18 raw types, SLUE's 7 combined ones, and their CTC symbols.

Source: slue-toolkit, as restated in the SLUE paper (arXiv:2111.10367, table of entity types).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from slue_ner.core.suggest import nearest

END_SYMBOL = "]"
"""Closes an entity of any type in a tagged transcript."""

RAW_TO_COMBINED: Mapping[str, str | None] = MappingProxyType(
    {
        "CARDINAL": "QUANT",
        "DATE": "WHEN",
        "EVENT": None,
        "FAC": None,
        "GPE": "PLACE",
        "LANGUAGE": None,
        "LAW": "LAW",
        "LOC": "PLACE",
        "MONEY": "QUANT",
        "NORP": "NORP",
        "ORDINAL": "QUANT",
        "ORG": "ORG",
        "PERCENT": "QUANT",
        "PERSON": "PERSON",
        "PRODUCT": None,
        "QUANTITY": "QUANT",
        "TIME": "WHEN",
        "WORK_OF_ART": None,
    }
)
"""The official map; ``None`` marks the five types that SLUE drops from both sides."""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """A closed set of labels and the one character that opens each in a tagged transcript.

    The two sets share characters with different meanings (``!`` is CARDINAL in one and LAW in
    the other), so whoever stores symbols must store the set's name beside them.
    """

    name: str
    symbols: Mapping[str, str]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in the set's fixed order."""
        return tuple(self.symbols)

    @property
    def marks(self) -> tuple[str, ...]:
        """All that a tagged transcript adds to the words: the type symbols and ``]``."""
        return (*self.symbols.values(), END_SYMBOL)

    def label(self, symbol: str) -> str | None:
        """The label that ``symbol`` opens, or ``None`` when it opens none."""
        return next((label for label, char in self.symbols.items() if char == symbol), None)

    def convert(self, label: str) -> str | None:
        """``label`` in the terms of this set; ``None`` when the set has no place for it.

        Combined labels map to themselves, raw ones through the official map.

        Raises:
            ValueError: for a label of neither set, or a combined label asked to become raw.
        """
        check_label(label)
        if label in self.symbols:
            return label
        if self.name == "raw":
            raise ValueError(
                f"label {label!r} is a combined one and cannot be turned back into a raw one; "
                "use the combined label set"
            )
        return RAW_TO_COMBINED[label]


RAW = LabelSet(
    "raw",
    MappingProxyType(
        {
            "CARDINAL": "!",
            "DATE": "@",
            "EVENT": "#",
            "FAC": "$",
            "GPE": "%",
            "LANGUAGE": "^",
            "LAW": "&",
            "LOC": "*",
            "MONEY": "(",
            "NORP": ")",
            "ORDINAL": "~",
            "ORG": "`",
            "PERCENT": "{",
            "PERSON": "}",
            "PRODUCT": "[",
            "QUANTITY": "<",
            "TIME": ">",
            "WORK_OF_ART": "?",
        }
    ),
)

COMBINED = LabelSet(
    "combined",
    MappingProxyType(
        {
            "LAW": "!",
            "NORP": "@",
            "ORG": "#",
            "PERSON": "$",
            "PLACE": "%",
            "QUANT": "^",
            "WHEN": "&",
        }
    ),
)

LABEL_SETS: Mapping[str, LabelSet] = MappingProxyType({"raw": RAW, "combined": COMBINED})
ALL_LABELS = frozenset(RAW.labels) | frozenset(COMBINED.labels)


def check_label(label: str) -> None:
    """Raise ``ValueError`` for a label that is neither raw nor combined."""
    if label not in ALL_LABELS:
        raise ValueError(f"unknown entity label {label!r}; {nearest(label, ALL_LABELS)}")


def label_set(name: str) -> LabelSet:
    """The label set called ``name``.

    Raises:
        ValueError: naming the known sets.
    """
    if name not in LABEL_SETS:
        raise ValueError(f"unknown label set {name!r}; {nearest(name, LABEL_SETS)}")
    return LABEL_SETS[name]
