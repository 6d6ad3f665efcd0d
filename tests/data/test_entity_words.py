"""An entity's words: the official string search, and the annotated position."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.data.corpora.slue_nel_utterance import official_word_ranges, position_word_ranges


def words(line: str) -> list[str]:
    """``_`` is a silence."""
    return ["" if word == "_" else word for word in line.split()]


@pytest.mark.parametrize(
    ("line", "phrases", "ranges"),
    [
        ("the eu budget", ["eu"], [(1, 2)]),
        ("in new york city", ["new york"], [(1, 3)]),
        ("_ in _ new _ _ york _", ["new york"], [(3, 7)]),
        # the first occurrence, although the second one may be what was annotated
        ("may i in may", ["may"], [(0, 1)]),
        ("may i in may", ["may", "may"], [(0, 1), (3, 4)]),
        # "new" alone does not match "new york": the search moves on by one word
        ("new new york", ["new york"], [(1, 3)]),
        # the cleaning: full stops go, an apostrophe before a blank too, "'s" stands alone
        ("the u k 's law", ["u. k.'s law"], [(1, 5)]),
        ("the members rights", ["members' rights"], [(1, 3)]),
        ("mr smith", ["mr.  smith"], [(0, 2)]),
        # a word that the aligner kept whole is another string
        ("europe's budget", ["europe"], [None]),
        ("dates and dates", ["date"], [None]),
        # descending order: the second phrase lies before the first
        ("rome or paris", ["paris", "rome"], [(2, 3), None]),
        # the official program would have ended at the first; the rest is still looked for
        ("rome or paris", ["london", "paris"], [None, (2, 3)]),
        # an occurrence cut off by the end of the alignment
        ("to new", ["new york"], [None]),
        ("", ["eu"], [None]),
        ("the eu", [], []),
    ],
)
def test_official_search(
    line: str, phrases: list[str], ranges: list[tuple[int, int] | None]
) -> None:
    assert official_word_ranges(words(line), phrases) == ranges


def by_marking(line: list[str], phrases: list[str]) -> list[str]:
    """The search as SLUE.md describes it, marking words with ``#`` as it goes."""
    line = list(line)
    here = 0
    for phrase in phrases:
        wanted = phrase.split(" ")
        while True:
            if here == len(line):
                return line
            spoken = [i for i in range(here, len(line)) if line[i] != ""][: len(wanted)]
            if line[here] != "" and [line[i] for i in spoken] == wanted:
                for i in range(here, spoken[-1] + 1):
                    line[i] = "#" + line[i]
                here = spoken[-1] + 1
                break
            here += 1
    return line


@given(
    line=st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=12),
    phrases=st.lists(
        st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(" ".join), max_size=4
    ),
)
def test_official_search_equals_marking_word_by_word(line: list[str], phrases: list[str]) -> None:
    ranges = official_word_ranges(line, phrases)
    if None in ranges:  # there the official program ends
        ranges = ranges[: ranges.index(None)]
        phrases = phrases[: len(ranges)]
    marked = list(line)
    for found in ranges:
        assert found is not None
        for index in range(*found):
            marked[index] = "#" + marked[index]
    assert marked == by_marking(line, phrases)


@pytest.mark.parametrize(
    ("line", "text", "span", "found"),
    [
        ("may i in may", "may i in may", (9, 12), (3, 4)),
        ("_ in _ new _ york _", "in new york.", (3, 11), (3, 6)),
        ("the eu's budget", "the eu's budget", (4, 6), (1, 2)),
        ("the eu 's budget", "the eu's budget", (4, 8), (1, 3)),
        ("the E U budget", "the e.u. budget", (4, 8), (1, 3)),
        ("the eu -", "the eu - !", (9, 10), None),
    ],
)
def test_positions_do_not_depend_on_punctuation(
    line: str, text: str, span: tuple[int, int], found: tuple[int, int] | None
) -> None:
    assert position_word_ranges(words(line), text, [span]) == [found]


def test_positions_need_the_same_letters() -> None:
    assert position_word_ranges(["the", "<unk>"], "the eu", [(4, 6)]) is None


@given(
    spoken=st.lists(st.text("abcé", min_size=1, max_size=3), min_size=1, max_size=8),
    data=st.data(),
)
def test_a_phrase_is_found_again_at_its_position(spoken: list[str], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(spoken) - 1))
    last = data.draw(st.integers(first + 1, len(spoken)))
    start = sum(len(word) + 1 for word in spoken[:first])
    end = start + len(" ".join(spoken[first:last]))
    found = position_word_ranges(spoken, " ".join(spoken), [(start, end)])
    assert found == [(first, last)]
