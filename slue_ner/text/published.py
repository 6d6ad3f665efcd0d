"""Published transcripts in canonical form, and in small letters where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slue_ner.core.canonical import Changes, canonical, lower_case
from slue_ner.text.normalize import LabeledSpan


@dataclass(frozen=True, slots=True)
class Published:
    """A transcript as it is read on, and where its characters were in the published one.

    Attributes:
        text: canonical.
    """

    text: str
    _moves: tuple[Callable[[int, int], tuple[int, int]], ...]

    def span(self, span: LabeledSpan) -> LabeledSpan:
        """An entity's characters in ``text``."""
        label, start, length = span
        start, end = self.moved(start, start + length)
        return label, start, end - start

    def moved(self, start: int, end: int) -> tuple[int, int]:
        """Characters ``[start, end)`` of the published transcript in ``text``."""
        for move in self._moves:
            start, end = move(start, end)
        return start, end


def published(text: str, *, where: str, changes: Changes, lower: bool = False) -> Published:
    """Bring a transcript to canonical form.

    Args:
        text: as published.
        where: names the record.
        changes: counts what is changed, capitals aside.
        lower: make capitals small.
    """
    first = changes.of(where, text)
    if not lower:
        return Published(first.text, (first.moved,))
    lowered = lower_case(first.text)
    return Published(lowered.text, (first.moved, lowered.moved))


def canonical_spans(
    text: str, spans: Sequence[LabeledSpan], *, where: str, changes: Changes
) -> tuple[str, list[LabeledSpan]]:
    """A published transcript with its entities in canonical form."""
    read = published(text, where=where, changes=changes)
    return read.text, [read.span(span) for span in spans]


def plain(text: str, *, lower: bool = False) -> str:
    """A text without positions, such as a phrase that is looked for, read like a transcript."""
    text = canonical(text).text
    return lower_case(text).text if lower else text
