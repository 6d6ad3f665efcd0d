"""Point a mistyped word at the nearest known one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for error messages: the closest known word, or the whole list."""
    choices = sorted(known)
    same = [choice for choice in choices if choice.casefold() == word.casefold()]
    close = same or difflib.get_close_matches(word, choices, n=1)
    return f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(choices)
