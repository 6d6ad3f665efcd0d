"""Which utterances are alike: those of one speaker, or where it is not known of one debate."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from slue_ner.core.types import Utterance

Kind = Literal["speaker", "debate", "utterance"]

KINDS: tuple[Kind, ...] = ("speaker", "debate", "utterance")
"""What a group can be, the best first."""

_DEBATE = re.compile(r"(\d{8}-\d{4}-PLENARY[^_]*)_")  # 20131007-0900-PLENARY-19-en_2013...

_NOBODY = frozenset({"", "None", "none", "null", "nan", "NaN"})
"""What programs write where a name is missing."""


class Group(NamedTuple):
    """A group by kind and name, so that a speaker called like a debate is not taken for it."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def speaker_name(value: object) -> str | None:
    """A speaker as a data set names it; ``None`` where that is only the trace of a missing name."""
    name = "" if value is None else str(value)
    return None if name.strip() in _NOBODY else name


def known_speaker(utterance: Utterance) -> str | None:
    """The speaker of an utterance, if there is a name."""
    return speaker_name(utterance.speaker)


def group_of(utterance: Utterance) -> Group:
    """The speaker of an utterance, else its VoxPopuli debate (its id up to the first ``_``), else
    the utterance itself.

    No two splits share a group, and intervals draw whole groups.
    """
    speaker = known_speaker(utterance)
    if speaker is not None:
        return Group("speaker", speaker)
    debate = _DEBATE.match(utterance.id)
    return Group("debate", debate[1]) if debate else Group("utterance", utterance.id)
