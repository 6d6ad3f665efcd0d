import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.canonical import (
    APOSTROPHES,
    COMPOSITION,
    INVISIBLE,
    WHITE_SPACE,
    Changes,
    canonical,
    lower_case,
)


@pytest.mark.parametrize(
    ("text", "expected", "kinds"),
    [
        ("in rome", "in rome", ()),
        ("jose\u0301", "jos\u00e9", (COMPOSITION,)),
        ("\u1112\u1161\u11ab", "\ud55c", (COMPOSITION,)),
        ("it\u2019s", "it's", (APOSTROPHES,)),
        ("o\u2018brien \uff07tis \u02bcn", "o'brien 'tis 'n", (APOSTROPHES,)),
        ("it`s it\u00b4s ` \u00b4", "it's it's ` \u00b4", (APOSTROPHES,)),
        ("it\x92s d\u055aor \u1fbd it\u02b9s it\uff40s", "it's d'or ' it's it's", (APOSTROPHES,)),
        ("new\u00a0york\u2028a\x0bb\x85c\rd", "new york a b c d", (WHITE_SPACE,)),
        (" in  rome ", "in rome", (WHITE_SPACE,)),
        ("hello \u200b rome", "hello rome", (WHITE_SPACE, INVISIBLE)),
        ("bei\u200bjing bruss\u00adels \ufeffnow a\x00b", "beijing brussels now ab", (INVISIBLE,)),
        ("\u202bshalom\u202c\u200e \u2060x\u034f\u3164", "shalom x", (INVISIBLE,)),
    ],
)
def test_a_text_is_spelled_in_one_way(text, expected, kinds):
    found = canonical(text)
    assert found.text == expected
    assert found.kinds == kinds
    assert canonical(expected).kinds == ()


@pytest.mark.parametrize(
    "text",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian: a prefix that does not join
        "\u0915\u094d\u200d\u0937",  # Devanagari: a half letter
        "\u09b0\u200d\u09cd\u09af",  # Bengali: a joiner before the virama
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # emoji of a family
        "\u2764\ufe0f 1\ufe0f\u20e3",  # a red heart and a keycap
    ],
)
def test_joiners_and_selectors_that_mean_something_stay(text):
    assert canonical(text).text == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ro\u200dme", "rome"),
        ("auf\u200clage", "auflage"),
        ("\u06a9\u062a\u0627\u0628\u200c \u062e", "\u06a9\u062a\u0627\u0628 \u062e"),
        ("a\ufe0f", "a"),
    ],
)
def test_joiners_and_selectors_that_mean_nothing_go(text, expected):
    assert canonical(text).text == expected


def test_a_zero_width_space_is_a_word_border_where_words_have_no_spaces():
    khmer = "\u1781\u17d2\u1798\u17c2\u179a\u200b\u1793\u17b7\u1784"
    assert canonical(khmer).text == khmer.replace("\u200b", " ")
    assert canonical("ro\u200bme").text == "rome"


def test_positions_move_with_the_text():
    found = canonical("\ufeffjose\u0301\u00a0 in new\u00a0york")
    assert found.text == "jos\u00e9 in new york"
    assert found.moved(1, 6) == (0, 4)  # josé
    assert found.moved(0, 7) == (0, 4)  # with the mark before it and the space behind it
    assert found.moved(11, 19) == (8, 16)  # new york
    assert found.moved(11, 14) == (8, 11)  # new


ODD = st.sampled_from(
    " \u00a0\u200b\u200c\u200d\u2019\u0301\u0308\u094d\u0930\u06cc\u0e01\ufeffae'"
)


@given(st.text(ODD, max_size=8), st.data())
def test_what_was_seen_is_found_at_its_new_place(text, data):
    found = canonical(text)
    assert unicodedata.is_normalized("NFC", found.text)
    assert found.text == " ".join(found.text.split())
    if text:
        start = data.draw(st.integers(0, len(text) - 1))
        end = data.draw(st.integers(start + 1, len(text)))
        first, last = found.moved(start, end)
        assert 0 <= first <= last <= len(found.text)
        if text[start:end] == "ae":
            assert found.text[first : first + 1] == "a"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "\u039f\u0394\u039f\u03a3 \u03a3\u039f\u03a6\u0399\u0391",
            "\u03bf\u03b4\u03bf\u03c2 \u03c3\u03bf\u03c6\u03b9\u03b1",
        ),
        ("\u0130ZMIR", "izmir"),
        ("I\u0307ZMIR", "izmir"),  # the same, decomposed
        ("STRA\u1e9eE", "stra\u00dfe"),
        ("J\u030c ROME", "\u01f0 rome"),  # small, it has a composed form
    ],
)
def test_letters_are_made_small_by_word(text, expected):
    assert lower_case(canonical(text).text).text == expected


def test_positions_move_with_small_letters():
    assert lower_case("J\u030c ROME").moved(3, 7) == (2, 6)


def test_changes_are_counted_by_record_and_kind_with_the_first_shown():
    changes = Changes()
    assert changes.note("a.jsonl") is None
    changes.of("one", "in rome")
    changes.of("two", "it\u2019s")
    changes.of("two", "the eu\u2019s")
    changes.of("three", "a\u200b\u00a0b\u2019")
    assert changes.note("a.jsonl") == (
        "a.jsonl: 2 texts were brought to canonical form (apostrophes in 2, white space in 1, "
        "invisible characters in 1), first two: 'it\u2019s' is read as 'it's'"
    )
