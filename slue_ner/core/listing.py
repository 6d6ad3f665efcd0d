"""Many sentences or ids as one: the first of them, and how many more there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slue_ner.core.types import Prediction

MOST_LISTED = 20


def listed(sentences: Sequence[str]) -> str:
    """Sentences below one another, twenty at most, and the number of the others."""
    more = len(sentences) - MOST_LISTED
    ending = [f"and {more} more"] if more > 0 else []
    return "\n  ".join(["", *sentences[:MOST_LISTED], *ending])


def shown(ids: Sequence[str], most: int = 5, *, between: str = ", ") -> str:
    """The first few ids in one line, and the number of the others."""
    more = len(ids) - most
    return between.join(ids[:most]) + (f" and {more} more" if more > 0 else "")


def counted(ids: Sequence[str]) -> str:
    """How many utterances, and the first of them."""
    return f"{len(ids)} utterances ({shown(ids)})"


def refuse(problems: Sequence[str], what: str) -> None:
    """Raise ``ValueError`` if there are problems: a single one as it is, several in a list.

    Args:
        problems: sentences.
        what: cannot be used, behind their number: ``utterances``, ``of 12 lines``.
    """
    if len(problems) == 1:
        raise ValueError(problems[0])
    if problems:
        raise ValueError(f"{len(problems)} {what} cannot be used:{listed(problems)}")


def list_reasons(reasons: Mapping[str, str]) -> str:
    """A line for each of the first ids with its reason."""
    return listed([f"{id}: {reason}" for id, reason in reasons.items()])


def list_failures(predictions: Sequence[Prediction]) -> str | None:
    """Which utterances could not be predicted, and why; ``None`` when all could."""
    reasons = {p.id: p.error for p in predictions if p.error is not None}
    if not reasons:
        return None
    return (
        f"{len(reasons)} of {len(predictions)} utterances could not be predicted and score as "
        f"missed:{list_reasons(reasons)}"
    )
