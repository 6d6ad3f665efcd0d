"""Dividing what the synthesiser ran together."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.data.synthesis.espeak import Mark, TimedPhone, WordSamples, time_phones, time_words


def phones_at(*pairs: tuple[str, int]) -> list[TimedPhone]:
    return [TimedPhone(name, start, start) for name, start in pairs]


def test_a_phone_lasts_until_the_next_phone_pause_or_word_begins() -> None:
    phones = phones_at(("h", 0), ("'aI", 100), ("_:", 300), ("D", 500))

    timed = time_phones(phones, [Mark(0, 0), Mark(3, 500)], last=900)

    assert timed == [
        TimedPhone("h", 0, 100),
        TimedPhone("aI", 100, 300),
        TimedPhone("D", 500, 900),
    ]


def test_the_closure_of_a_stop_belongs_to_the_stop() -> None:
    phones = phones_at(("@", 0), ("b", 900))

    timed = time_phones(phones, [Mark(0, 0), Mark(2, 200)], last=1_000)

    assert timed == [TimedPhone("@", 0, 200), TimedPhone("b", 200, 1_000)]


def test_a_long_wait_after_a_word_mark_is_a_pause() -> None:
    phones = phones_at(("@", 0), ("b", 5_000))

    timed = time_phones(phones, [Mark(0, 0), Mark(2, 200)], last=6_000)

    assert timed == [TimedPhone("@", 0, 200), TimedPhone("b", 5_000, 6_000)]


def test_phones_that_begin_at_one_instant_share_the_time() -> None:
    timed = time_phones(phones_at(("l", 100), ("v", 100)), [Mark(0, 100)], last=200)

    assert timed == [TimedPhone("l", 100, 150), TimedPhone("v", 150, 200)]


def test_a_merged_unit_is_divided_where_the_second_word_sounds() -> None:
    phones = time_phones(
        phones_at(("I", 0), ("n", 10), ("D", 30), ("@", 45), ("h", 60), ("aU", 80), ("s", 95)),
        [Mark(0, 0), Mark(7, 60)],
        last=120,
    )

    spans = time_words(
        [0, 3, 7],
        [Mark(0, 0), Mark(7, 60)],
        phones,
        [("'I", "n"), ("D", "@2"), ("h", "'aU", "s")],
    )

    assert spans == [WordSamples(0, 30), WordSamples(30, 60), WordSamples(60, 120)]


def test_a_possessive_is_divided_from_its_noun() -> None:
    phones = time_phones(phones_at(("u:", 0), ("n", 50), ("s", 80)), [Mark(0, 0)], last=100)

    spans = time_words([0, 5], [Mark(0, 0)], phones, [("u:", "n"), ("z",)])

    assert spans == [WordSamples(0, 80), WordSamples(80, 100)]


def test_words_that_left_no_phone_share_the_unit_and_are_estimated() -> None:
    phones = time_phones(phones_at(("@", 0)), [Mark(0, 0)], last=90)

    spans = time_words([0, 3], [Mark(0, 0)], phones, [("'a", "n"), ("D",)])

    assert spans == [WordSamples(0, 60, estimated=True), WordSamples(60, 90, estimated=True)]


def test_a_word_that_sounds_like_something_else_is_estimated() -> None:
    phones = time_phones(
        phones_at(("I", 0), ("n", 10), ("k", 30), ("t", 45)), [Mark(0, 0)], last=60
    )

    spans = time_words([0, 3], [Mark(0, 0)], phones, [("I", "n"), ("aU", "@")])

    assert [span.estimated for span in spans] == [False, True]


def test_a_mark_before_the_first_word_or_inside_a_word_is_no_new_word() -> None:
    phones = time_phones(phones_at(("t", 0), ("u:", 10), ("w", 20)), [Mark(0, 0)], last=30)

    spans = time_words([0], [Mark(-1, 0), Mark(2, 20)], phones, [("t", "u:", "w")])

    assert spans == [WordSamples(0, 30)]


@st.composite
def units(draw: st.DrawFn) -> tuple[list[TimedPhone], list[Mark], int, list[list[str]]]:
    names = st.sampled_from(["a", "i:", "@2", "n", "t", "d", "z", "_:"])
    gaps = draw(st.lists(st.integers(0, 2_000), min_size=1, max_size=12))
    starts = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    phones = [TimedPhone(draw(names), start, start) for start in starts]
    own = draw(st.lists(st.lists(names, max_size=4), min_size=1, max_size=4))
    positions = sorted(draw(st.lists(st.integers(0, len(own)), min_size=1, max_size=4)))
    samples = sorted(draw(st.sampled_from(starts)) for _ in positions)
    marks = [Mark(3 * p, s) for p, s in zip(positions, samples, strict=True)]
    return phones, marks, starts[-1] + draw(st.integers(1, 2_000)), own


@given(units())
def test_words_tile_without_overlap_whatever_the_marks(
    unit: tuple[list[TimedPhone], list[Mark], int, list[list[str]]],
) -> None:
    phones, marks, last, own = unit
    timed = time_phones(phones, marks, last=last)
    if not timed:
        return

    spans = time_words([3 * i for i in range(len(own))], marks, timed, own)

    assert len(spans) == len(own)
    assert all(span.start < span.end <= last for span in spans)
    assert all(before.end <= after.start + 1e-6 for before, after in pairwise(spans))


def test_unit_borders_are_exact_when_nothing_is_merged() -> None:
    marks = [Mark(0, 0), Mark(2, 40)]
    phones = time_phones(phones_at(("a", 0), ("b", 40)), marks, last=70)

    spans = time_words([0, 2], marks, phones, [("a",), ("b",)])

    assert spans == [WordSamples(0, 40), WordSamples(40, 70)]
    assert spans[0].end == pytest.approx(40, abs=0)
