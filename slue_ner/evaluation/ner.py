"""Entity F1 and label F1: per utterance, multisets of entities compared without their order.

Source: slue-toolkit's NER scorer. Two entities agree when label and phrase are the same strings;
for label F1 every phrase counts as the same. Repeats count as often as they occur.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slue_ner.core.types import EntitySpan
from slue_ner.evaluation.counts import Counts

LabelCounts = dict[str | None, Counts]
"""Counts by label; ``None`` gathers predicted entities without a label, which are never right."""


@dataclass(frozen=True, slots=True)
class EntityScore:
    """Counts of a whole data set, over all labels and for each.

    Attributes:
        micro: every entity counts the same; predictions without a label are in here alone.
        per_label: the labels that occur in the references or in the predictions.
    """

    micro: Counts
    per_label: Mapping[str, Counts]

    @classmethod
    def from_labels(cls, by_label: LabelCounts) -> EntityScore:
        """The score whose entities were counted as ``by_label``."""
        labels = sorted(label for label in by_label if label is not None)
        return cls(
            micro=sum(by_label.values(), Counts()),
            per_label={label: by_label[label] for label in labels},
        )

    @property
    def macro(self) -> dict[str, float] | None:
        """Unweighted mean over labels of precision, recall and F1; ``None`` without any label.

        A label that was only predicted counts too and lowers the mean. The macro F1 is the mean
        of the F1s, not the F1 of the mean precision and recall.
        """
        counts = self.per_label.values()
        if not counts:
            return None
        return {
            "precision": sum(count.precision for count in counts) / len(counts),
            "recall": sum(count.recall for count in counts) / len(counts),
            "f1": sum(count.f1 for count in counts) / len(counts),
        }

    def to_json(self) -> dict[str, object]:
        """``micro``, ``macro`` (absent when undefined) and ``per_label`` as fractions."""
        macro = self.macro
        return {
            "micro": self.micro.to_json(),
            **({} if macro is None else {"macro": macro}),
            "per_label": {label: count.to_json() for label, count in self.per_label.items()},
        }


def count_entities(gold: Sequence[EntitySpan], *, predicted: Sequence[EntitySpan]) -> LabelCounts:
    """Count one utterance's entities that agree in label and phrase.

    A predicted entity whose label or phrase is not known matches nothing, yet it was predicted.
    """
    return _count([_key(entity) for entity in gold], [_key(entity) for entity in predicted])


def count_labels(gold: Sequence[EntitySpan], *, predicted: Sequence[EntitySpan]) -> LabelCounts:
    """Count one utterance's entities that agree in label, whatever their phrase."""
    return _count([(entity.label, "") for entity in gold], [(e.label, "") for e in predicted])


def num_matches(gold: Sequence[EntitySpan], *, predicted: Sequence[EntitySpan]) -> int:
    """How many entities agree in label and phrase, each used once."""
    if not gold or not predicted:
        return 0
    common = Counter(map(_key, gold)) & Counter(map(_key, predicted))
    return sum(count for key, count in common.items() if None not in key)


_Key = tuple[str | None, str | None]


def _key(entity: EntitySpan) -> _Key:
    return entity.label, entity.phrase


def _count(gold: list[_Key], predicted: list[_Key]) -> LabelCounts:
    unmatched = Counter(gold)
    tallies: dict[str | None, list[int]] = {label: [0, 0, 0] for label, _ in (*gold, *predicted)}
    for label, _ in gold:
        tallies[label][2] += 1
    for key in predicted:
        label, phrase = key
        tally = tallies[label]
        if label is not None and phrase is not None and unmatched[key] > 0:
            unmatched[key] -= 1
            tally[0] += 1
            tally[2] -= 1
        else:
            tally[1] += 1
    return {label: Counts(*tally) for label, tally in tallies.items()}
