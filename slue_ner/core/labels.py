"""Entity labels: OntoNotes-5's 18 raw types, SLUE's 7 combined ones, and their CTC symbols.

Source: slue-toolkit, as restated in the SLUE paper (arXiv:2111.10367, table of entity types).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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

    The sets share characters with different meanings (``!`` is CARDINAL in one and LAW in
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
            ValueError: for a label of another set, or a combined label asked to become raw.
        """
        check_label(label)
        if label in self.symbols:
            return label
        if label not in OFFICIAL_LABELS or self.name not in ("raw", "combined"):
            others = [known.name for known in LABEL_SETS.values() if label in known.symbols]
            raise ValueError(
                f"label {label!r} is not of the {self.name} label set but of {others[-1]}; use "
                f"that (task.labels={others[-1]}, --labels {others[-1]})"
            )
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

LABEL_SETS: dict[str, LabelSet] = {"raw": RAW, "combined": COMBINED}
"""All that this process knows; ``core.own_labels`` adds those of one's own."""

OFFICIAL_LABELS = frozenset(RAW.labels) | frozenset(COMBINED.labels)


def known_labels() -> frozenset[str]:
    """The labels of all known sets."""
    return OFFICIAL_LABELS.union(*(known.labels for known in LABEL_SETS.values()))


def check_label(label: str) -> None:
    """Raise ``ValueError`` for a label of no known set."""
    if label not in OFFICIAL_LABELS and label not in known_labels():
        raise ValueError(
            f"unknown entity label {label!r}; {nearest(label, known_labels())} (labels of your own "
            "stand in labels.yaml beside the file, docs/own_data.md)"
        )


def label_set(name: str) -> LabelSet:
    """The label set called ``name``.

    Raises:
        ValueError: naming the known sets.
    """
    if name not in LABEL_SETS:
        raise ValueError(f"unknown label set {name!r}; {nearest(name, LABEL_SETS)}")
    return LABEL_SETS[name]


def label_set_for(labels: Iterable[str]) -> LabelSet:
    """The set that these labels are reported in: combined, as SLUE does, or one's own.

    Raises:
        ValueError: for labels that no single set holds.
    """
    found = frozenset(labels)
    if found <= OFFICIAL_LABELS:
        return COMBINED
    for known in LABEL_SETS.values():
        if found <= frozenset(known.labels):
            return known
    raise ValueError(f"no label set holds all of {', '.join(sorted(found))}; score them apart")
