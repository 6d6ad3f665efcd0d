"""References with word times and predictions with entity times, written in one line each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import strategies as st

from slue_ner.core.types import EntitySpan, Prediction, Utterance, Word

Timed = tuple[str, float, float]


def words(*timed: Timed) -> tuple[Word, ...]:
    return tuple(Word(*word) for word in timed)


def placed(
    alignment: Sequence[Word], first: int, last: int, label: str | None = "ORG"
) -> EntitySpan:
    """The entity in words ``[first, last)``, with the times of its words."""
    phrase = " ".join(word.text for word in alignment[first:last] if word.text)
    before = " ".join(word.text for word in alignment[:first] if word.text)
    start = len(before) + 1 if before else 0
    return EntitySpan(
        label,
        phrase,
        start,
        start + len(phrase),
        words=(first, last),
        start=alignment[first].start,
        end=alignment[last - 1].end,
    )


def reference(
    alignment: Sequence[Word] | Iterable[Timed],
    *ranges: tuple[int, int] | tuple[int, int, str],
    id: str = "a",
    **fields: Any,
) -> Utterance:
    """An aligned utterance with an entity in each range of words (and its label, else ORG)."""
    known = tuple(word if isinstance(word, Word) else Word(*word) for word in alignment)
    text = " ".join(word.text for word in known if word.text)
    entities = tuple(placed(known, *range) for range in ranges)
    usual = {"words": known, "entities": entities, **fields}
    return Utterance(id, "dev", None, None, 16_000, text, **usual)


def prediction(*times: tuple[Any, ...], id: str = "a") -> Prediction:
    """A prediction of entities ``(start, end)`` or ``(start, end, label)``, in this order."""
    entities = tuple(
        EntitySpan(label[0] if label else "ORG", None, start=start, end=end)
        for start, end, *label in times
    )
    return Prediction(id, "", entities=entities)


instants = st.one_of(
    st.integers(0, 300).map(lambda hundredths: hundredths / 100),
    st.floats(0, 3, allow_subnormal=False),
)
"""Seconds, most of them on the grid of 10 ms."""

labels = st.sampled_from(["ORG", "PLACE", "PERSON"])


@st.composite
def references(draw: st.DrawFn, *, min_length: float = 0.0, estimated: bool = False) -> Utterance:
    """Words and silences in a row, now and then a gap, and entities that do not overlap."""
    lengths = st.one_of(
        st.integers(0, 60).map(lambda hundredths: hundredths / 100), st.floats(0, 0.6)
    ).filter(lambda length: length >= min_length)
    now = draw(st.sampled_from([0.0, 0.13]))
    alignment: list[Word] = []
    for _ in range(draw(st.integers(1, 8))):
        now += draw(st.sampled_from([0.0, 0.0, 0.0, 0.07]))
        end = now + draw(lengths)
        guess = estimated and draw(st.integers(0, 4)) == 0
        alignment.append(Word(draw(st.sampled_from(["", "eu", "'s", "two"])), now, end, guess))
        now = end
    ranges = []
    first = draw(st.integers(0, 3))
    while first < len(alignment):
        last = min(len(alignment), first + draw(st.integers(1, 3)))
        ranges.append((first, last, draw(labels)))
        first = last + draw(st.integers(0, 3))
    return reference(alignment, *ranges)


predictions = st.lists(
    st.tuples(instants, instants, labels).map(lambda t: (*sorted(t[:2]), t[2])), max_size=5
).map(lambda times: prediction(*times))
