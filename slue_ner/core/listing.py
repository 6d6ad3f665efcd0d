"""What went wrong with some of many utterances, for a person to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slue_ner.core.types import Prediction

_NUM_REASONS = 20


def list_reasons(reasons: Mapping[str, str]) -> str:
    """A line for each of the first twenty ids with its reason, and how many more there are."""
    lines = [f"\n  {id}: {reason}" for id, reason in list(reasons.items())[:_NUM_REASONS]]
    more = len(reasons) - len(lines)
    return "".join(lines) + (f"\n  and {more} more" if more else "")


def list_failures(predictions: Sequence[Prediction]) -> str | None:
    """Which utterances could not be predicted, and why; ``None`` when all could."""
    reasons = {p.id: p.error for p in predictions if p.error is not None}
    if not reasons:
        return None
    return (
        f"{len(reasons)} of {len(predictions)} utterances could not be predicted and score as "
        f"missed:{list_reasons(reasons)}"
    )
