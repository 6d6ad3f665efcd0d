"""Of which label set the entity marks in a language model are."""

from __future__ import annotations

from slue_ner.core.labels import COMBINED, END_SYMBOL, RAW, LabelSet, label_set
from slue_ner.decoding.lm.ngram import NgramModel

_ONLY_RAW = frozenset(RAW.marks) - frozenset(COMBINED.marks)
_NO_PUNCTUATION = frozenset("`}~{")
"""Raw marks of ORG, PERSON, ORDINAL and PERCENT, which no ordinary text has as words."""

_COMBINED_NAMES = frozenset(COMBINED.symbols[label] for label in ("ORG", "PERSON"))


def label_set_of(model: NgramModel) -> LabelSet | None:
    """The label set that a model says, or that its marks can only be of.

    All marks of the combined set are raw ones too, of other types. Where the file does not say,
    a model is raw if it has marks of that set alone: one that is no punctuation, or most of them.
    It is combined if it has none, but those of ORG or PERSON: as raw marks they are EVENT and FAC,
    which no text names without a person or an organisation.

    Returns:
        The set; ``None`` when there are no marks, or when they fit both.
    """
    if model.labels is not None:
        return label_set(model.labels)
    if END_SYMBOL not in model.ids:
        return None
    only_raw = _ONLY_RAW & model.ids.keys()
    if only_raw & _NO_PUNCTUATION or 2 * len(only_raw) > len(_ONLY_RAW):
        return RAW
    return COMBINED if _COMBINED_NAMES & model.ids.keys() else None


def check_label_set(model: NgramModel, labels: LabelSet) -> bool:
    """Raise ``ValueError`` for a model of another label set; whether it is sure to be of this."""
    found = label_set_of(model)
    if found is None:
        return END_SYMBOL not in model.ids
    if found is not labels:
        seen = [mark for mark in found.symbols.values() if mark in model.ids]
        telling = [mark for mark in seen if mark not in labels.marks]
        wrong = "" if model.labels else f", or say {say_labels(labels)} if that is not so"
        raise ValueError(
            f"the language model has the entity marks {' '.join(telling or seen)} of {found.name} "
            f"labels but the vocabulary has {labels.name} ones; train one with "
            f"`slue-ner lm train --labels {labels.name}`{wrong}"
        )
    return True


def say_labels(labels: LabelSet) -> str:
    """The line with which an ARPA file says its label set."""
    return f"'# labels: {labels.name}' in a line above \\data\\ of the ARPA file"
