"""What entity types of taggers of others are called here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from slue_ner.core.labels import check_label, known_labels
from slue_ner.core.suggest import nearest
from slue_ner.text.bio import OUTSIDE

_GAP = re.compile(r"[\s-]+")


class LabelMap:
    """Types of a tagger to labels, raw or combined, and a count of what has no label.

    What is not given is known where its name says it: OntoNotes' and SLUE's own names in any case
    (``Work of Art`` is ``WORK_OF_ART``), ``PER``, and ``LOC`` of taggers that know no ``GPE``. That
    is CoNLL's, countries and cities included, so ``PLACE``, which is nearly true: CoNLL counts
    buildings and roads, too. CoNLL's ``MISC`` is no label of SLUE.

    Args:
        types: all that the tagger can find.
        name: of the tagger, for messages.
        given: label of some types, ``None`` to leave one out.
        where: what ``given`` was read from, for messages.

    Attributes:
        left_out: number of entities of each type that has no label, those left out on purpose
            aside.

    Raises:
        ValueError: for a type or label that does not exist, and when no type has a label.
    """

    def __init__(
        self,
        types: Sequence[str],
        *,
        name: str,
        given: Mapping[str, str | None] | None = None,
        where: str = "",
    ) -> None:
        given = given or {}
        for type, label in given.items():
            if type not in types:
                raise ValueError(f"{where}: {name} has no type {type!r}; {nearest(type, types)}")
            if label is not None:
                try:
                    check_label(label)
                except ValueError as error:
                    raise ValueError(f"{where}: {type}: {error}") from error
        self.labels: dict[str, str | None] = {
            type: given[type] if type in given else _by_name(type, types) for type in types
        }
        if not any(self.labels.values()):
            raise ValueError(
                f"no type of {name} has a label here ({', '.join(types)}); say with --label-map "
                f"FILE what they are called, one `{next(iter(types), 'TYPE')}: PERSON` a line"
            )
        self.left_out: Counter[str] = Counter()
        self._name = name
        self._on_purpose = {type for type, label in given.items() if label is None}

    def relabel(self, tags: Sequence[str]) -> list[str]:
        """BIO tags of types as BIO tags of labels; what has no label becomes outside.

        Args:
            tags: of one sentence; every entity begins with ``B``.
        """
        relabelled: list[str] = []
        for tag in tags:
            place, _, type = tag.partition("-")
            label = self.labels.get(type)
            relabelled.append(f"{place}-{label}" if label is not None else OUTSIDE)
            if place == "B" and label is None and type not in self._on_purpose:
                self.left_out[type] += 1
        return relabelled

    def report(self) -> str | None:
        """A sentence about types that go by another name here, and entities left out so far."""
        renamed = [
            f"{type} as {label}"
            for type, label in self.labels.items()
            if label is not None and label != _as_written_here(type)
        ]
        left_out = [f"{count} {type}" for type, count in self.left_out.most_common()]
        said = [f"reads {', '.join(renamed)}"] if renamed else []
        if left_out:
            said.append(f"entities without a label are left out: {', '.join(left_out)}")
        return f"{self._name}: {'; '.join(said)} (--label-map FILE changes it)" if said else None


def _by_name(type: str, types: Sequence[str]) -> str | None:
    name = _as_written_here(type)
    if name == "PER":
        return "PERSON"
    if name == "LOC" and "GPE" not in map(_as_written_here, types):
        return "PLACE"
    return name if name in known_labels() else None


def _as_written_here(type: str) -> str:
    return _GAP.sub("_", type.strip()).upper()
