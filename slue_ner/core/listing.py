"""Many sentences as one: the first of them, and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence

MOST_LISTED = 20


def listed(sentences: Sequence[str]) -> str:
    """Sentences below one another, twenty at most, and the number of the others."""
    more = len(sentences) - MOST_LISTED
    ending = [f"and {more} more"] if more > 0 else []
    return "\n  ".join(["", *sentences[:MOST_LISTED], *ending])
