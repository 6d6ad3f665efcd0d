"""How taggers of others write entities as tags: BIO, IO, BIOES, BILOU, BMES, or bare types."""

from __future__ import annotations

import re
from collections.abc import Sequence

from slue_ner.text.bio import OUTSIDE

_PREFIXED = re.compile(r"([BIMELSU])[-_](.+)")
_OPENING = re.compile(r"[BI][-_].")
_OPEN, _CLOSE = "BSU", "ELSU"


class TagScheme:
    """Reads tags of any of these schemes as BIO, which one it is being told by the tags.

    Where some tag begins with ``B-`` or ``I-`` (or ``B_``, ``I_``), the first letter of a tag says
    where in an entity a word stands, else every tag but ``O`` is a type. A tag that continues
    nothing opens an entity, and one that follows the end of an entity opens the next, as in
    seqeval's default mode.

    Args:
        tags: all that the tagger can write.
    """

    def __init__(self, tags: Sequence[str]) -> None:
        prefixed = any(_OPENING.match(tag) for tag in tags)
        self._read = {tag: _read(tag, prefixed=prefixed) for tag in tags}

    @property
    def types(self) -> tuple[str, ...]:
        """Entity types in the order in which tags name them first."""
        return tuple(dict.fromkeys(type for _, type in self._read.values() if type))

    def to_bio(self, tags: Sequence[str]) -> list[str]:
        """Tags of the scheme as BIO tags of the same types; every entity begins with ``B``."""
        bio: list[str] = []
        open_type = ""
        for tag in tags:
            place, type = self._read[tag]
            if type:
                bio.append(f"{'B' if place in _OPEN or type != open_type else 'I'}-{type}")
            else:
                bio.append(OUTSIDE)
            open_type = "" if place in _CLOSE else type
        return bio


def _read(tag: str, *, prefixed: bool) -> tuple[str, str]:
    """Place in an entity and type; the type is empty outside of entities."""
    if tag == OUTSIDE:
        return "I", ""
    found = _PREFIXED.fullmatch(tag) if prefixed else None
    return ("I", tag) if found is None else (found[1], found[2])
