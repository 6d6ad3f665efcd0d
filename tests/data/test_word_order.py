"""Times of an aligner made those of a manifest."""

from __future__ import annotations

import pytest

from slue_ner.core.types import Word
from slue_ner.data.corpora.word_fit import TimeChanges, settled


def words(*spoken: tuple[str, float, float]) -> list[Word]:
    return [Word(*word) for word in spoken]


GOOD = words(("", 0.0, 0.25), ("a", 0.25, 0.5), ("'s", 0.5, 0.5), ("b", 0.5, 0.75), ("c", 1.0, 2.0))


def test_touching_empty_and_distant_words_stay_as_they_are() -> None:
    assert settled(GOOD, duration=2.0) == (GOOD, TimeChanges())


def test_an_end_within_a_frame_of_the_audios_is_left_alone() -> None:
    assert settled(GOOD, duration=1.99) == (GOOD, TimeChanges())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # the middle of [0.4, 0.5)
        ((("a", 0, 0.5), ("b", 0.4, 1)), (("a", 0, 0.45), ("b", 0.45, 1))),
        # one inside the other: the middle of [0.4, 0.6)
        ((("a", 0, 1), ("b", 0.4, 0.6)), (("a", 0, 0.5), ("b", 0.5, 0.6))),
        # both at once
        ((("a", 0, 1), ("b", 0, 1)), (("a", 0, 0.5), ("b", 0.5, 1))),
        # a silence gives way on both sides
        (
            (("a", 0, 0.5), ("SIL", 0.25, 1), ("b", 0.75, 2)),
            (("a", 0, 0.5), ("SIL", 0.5, 0.75), ("b", 0.75, 2)),
        ),
        # one that nothing is left of is left out
        ((("a", 0, 1), ("", 0.25, 0.5), ("b", 1, 2)), (("a", 0, 1), ("b", 1, 2))),
    ],
)
def test_what_overlaps_is_shared_out(
    given: tuple[tuple[str, float, float], ...], expected: tuple[tuple[str, float, float], ...]
) -> None:
    found, changes = settled(words(*given))
    assert [(w.text, w.start, w.end) for w in found] == [
        (text, pytest.approx(start), pytest.approx(end)) for text, start, end in expected
    ]
    assert changes.num_overlaps == (len([w for w in given if w[0] in "ab"]) == 2 == len(given))


def test_words_in_another_order_are_sorted() -> None:
    found, changes = settled([GOOD[4], *GOOD[:4]])
    assert (found, changes) == (GOOD, TimeChanges(num_sorted=1))


def test_three_words_at_one_time_are_refused() -> None:
    with pytest.raises(ValueError, match=r"three words are spoken at 0\.45s, among them 'b' and"):
        settled(words(("a", 0, 1), ("b", 0.4, 0.6), ("c", 0.45, 0.48)))


def test_silences_after_the_audio_are_cut_without_a_word() -> None:
    given = words(("a", 0, 1), ("sp", 1, 3), ("", 3, 4))
    assert settled(given, duration=2.0) == (words(("a", 0, 1), ("sp", 1, 2)), TimeChanges())


@pytest.mark.parametrize("late", [("b", 2.05, 2.08), ("b", 1.5, 2.2)])
def test_a_word_of_another_recording_is_refused(late: tuple[str, float, float]) -> None:
    with pytest.raises(ValueError, match=r"word 'b' is at .* but the audio lasts 2\.00s"):
        settled(words(("a", 0, 1), late), duration=2.0)
