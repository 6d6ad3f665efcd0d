from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.labels import COMBINED, RAW
from slue_ner.core.time import FrameGrid
from slue_ner.core.types import EntitySpan, Prediction, TokenSpan, Word
from slue_ner.decoding.localizers import LocalizerOptions, localize, marks_of, shift
from slue_ner.decoding.transcript import to_prediction

GRID = FrameGrid(hop=320, window=400)  # 20 ms frames
WORDS = LocalizerOptions()
WORDS_BLANK = LocalizerOptions(with_blanks=True)
SYMBOLS = LocalizerOptions(kind="type_symbols")
SYMBOLS_BLANK = LocalizerOptions(kind="type_symbols", with_blanks=True)


def predict(text: str, labels=COMBINED) -> Prediction:
    """Every symbol two frames long, one blank after it: symbol ``i`` fills [3i, 3i + 2)."""
    tokens = tuple(TokenSpan(symbol, 3 * i, 3 * i + 2, 0.9) for i, symbol in enumerate(text))
    return to_prediction("u", tokens, labels=labels, grid=GRID, num_frames=3 * len(text))


def times(prediction: Prediction) -> list[tuple[float, float]]:
    return [(entity.start, entity.end) for entity in prediction.entities]


# frames of  a | % | e u | ] |  begin at 0 3 6 9 12 15 18 21 24 and end two later
@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        (WORDS, 12, 17),  # start of e, end of u
        (WORDS_BLANK, 11, 18),  # end of the | before e, start of the | after u
        (SYMBOLS, 12, 18),  # start of e, start of the | before ]
        (SYMBOLS_BLANK, 6, 23),  # start of %, end of ]
    ],
)
def test_each_rule_reads_its_own_frames(options, first, last):
    found = localize(predict("a|%|eu|]|"), options, COMBINED)
    assert times(found) == [(round(first * 0.02, 2), round(last * 0.02, 2))]


def test_the_default_rule_gives_the_times_of_decoding():
    decoded = predict("a|%|eu|s|]|b|$|c|]|")
    assert localize(decoded, WORDS, COMBINED) == decoded


def test_blanks_stretch_words_to_the_delimiters_and_the_edges():
    first, last = localize(predict("ab|c"), WORDS_BLANK, COMBINED).words
    assert (first.start, first.end) == (0.0, 0.12)  # | starts at frame 6
    assert (last.start, last.end) == (0.16, 0.24)  # | ends at frame 8; 12 frames in all


def test_words_follow_the_blanks_but_not_the_offset():
    decoded = predict("%|eu|]|")
    found = localize(decoded, replace(WORDS_BLANK, offset=0.1), COMBINED)
    assert found.words == localize(decoded, WORDS_BLANK, COMBINED).words != decoded.words


def test_an_offset_moves_both_ends_and_stops_at_zero():
    decoded = predict("%|eu|]|")  # e starts at frame 6, u ends at frame 11
    ((start, end),) = times(localize(decoded, replace(WORDS, offset=-0.2), COMBINED))
    assert (start, end) == (0.0, pytest.approx(0.02))
    ((start, end),) = times(localize(decoded, replace(WORDS, offset=-0.3), COMBINED))
    assert (start, end) == (0.0, 0.0)
    ((start, end),) = times(localize(decoded, replace(WORDS, offset=0.3), COMBINED))
    assert (start, end) == (pytest.approx(0.42), pytest.approx(0.52))


@pytest.mark.parametrize(
    ("time", "offset", "found", "scored"),
    [  # the bin is what the scorer truncates to: int(seconds * 1 / 0.01)
        (0.03, -0.02, 0.01, 1),  # 0.009999999999999998 before the last rounding, bin 0
        (0.01, 0.06, 0.07, 7),  # 0.06999999999999999, bin 6
        (0.05, 0.18, 0.23, 23),  # 0.22999999999999998, bin 22
        (0.01, 0.28, 0.29, 28),  # 0.29000000000000004, bin 29; 0.29 itself is 28.999999999999996
        (1.005, 0.0, 1.0, 100),  # the float is 1.00499999999999989...
        (0.125, 0.0, 0.12, 12),  # a true half goes to the even digit
        (0.135, 0.0, 0.14, 14),  # 0.13500000000000000888...
        (0.146, -0.06, 0.09, 9),  # 0.15 - 0.06; rounded once at the end it were 0.086 -> 0.09
        (0.145, 0.3, 0.44, 44),  # 0.14499999999999999 -> 0.14
        (0.018, -0.3, 0.0, 0),  # cut at 0
    ],
)
@pytest.mark.parametrize("has_tokens", [False, True])
def test_the_last_digit_decides_the_bin_end_to_end_and_in_a_cascade(
    time, offset, found, scored, has_tokens
):
    words = (Word("eu", time, time + 1.0),)
    cascade = Prediction("u", "eu", entities=(EntitySpan("ORG", "eu", words=(0, 1)),), words=words)
    localized = localize(cascade, replace(WORDS, offset=offset), None)
    if has_tokens:  # a grid on which the letters of eu begin at this time
        sample_rate = 1000
        first = round(time * sample_rate)
        grid = FrameGrid(hop=1, window=1, sample_rate=sample_rate)
        spelled = [("%", 0), ("|", 1), ("e", first), ("u", first + 1), ("|", 5000), ("]", 5001)]
        tokens = tuple(TokenSpan(symbol, at, at + 1, 0.9) for symbol, at in spelled)
        decoded = to_prediction("u", tokens, labels=COMBINED, grid=grid, num_frames=6000)
        localized = localize(decoded, replace(SYMBOLS, offset=offset), COMBINED)
    (entity,) = localized.entities
    assert entity.start == found
    assert int(entity.start * 1 / 0.01) == scored


def toolkit_time(time: float, offset: float) -> float:
    """SLUE.md 6.1 in exact decimals: round half to even, add as floats, cut at 0, round again."""

    def to_hundredths(value: float) -> float:
        return float(Decimal(value).quantize(Decimal("0.01"), ROUND_HALF_EVEN))

    return to_hundredths(max(0.0, to_hundredths(time) + offset))


@given(
    st.one_of(st.floats(0, 60), st.integers(0, 60_000).map(lambda n: n / 1000)),
    st.floats(0, 3),
    st.integers(-15, 15).map(lambda step: step / 50),
)
def test_both_ends_are_rounded_before_and_after_the_offset(start, length, offset):
    words = (Word("eu", start, start + length),)
    cascade = Prediction("u", "eu", entities=(EntitySpan("ORG", "eu", words=(0, 1)),), words=words)
    found = localize(cascade, replace(WORDS, offset=offset), None)
    assert times(found) == [(toolkit_time(start, offset), toolkit_time(start + length, offset))]
    assert found.words == words
    assert shift(localize(cascade, WORDS, None), offset) == found


def test_times_at_type_symbols_are_rounded_to_ten_milliseconds_before_the_offset():
    grid = FrameGrid(hop=200, window=400)  # 12.5 ms frames
    tokens = tuple(TokenSpan(s, 2 * i + 1, 2 * i + 2, 0.9) for i, s in enumerate("%|a|]|"))
    decoded = to_prediction("u", tokens, labels=COMBINED, grid=grid, num_frames=12)
    # % starts at frame 1, 0.0125 s; ] ends at frame 10, 0.125 s, which halves to the even 0.12
    ((start, end),) = times(localize(decoded, replace(SYMBOLS_BLANK, offset=0.02), COMBINED))
    assert (start, end) == (0.03, 0.14)


def test_localizing_twice_is_localizing_once():
    options = replace(SYMBOLS_BLANK, offset=-0.06)
    once = localize(predict("a|%|eu|]|"), options, COMBINED)
    assert localize(once, options, COMBINED) == once


def test_an_entity_opened_twice_starts_at_the_second_type_symbol():
    (entity,) = localize(predict("%|a|$|b|]|"), SYMBOLS_BLANK, COMBINED).entities
    assert (entity.label, entity.start, entity.end) == ("PERSON", 0.24, 0.52)  # $ 12, ] 24 to 26


def test_repaired_marks_leave_the_other_entities_where_they_are():
    # a stray ], an empty entity and one left open do not shift which marks belong to b
    (entity,) = localize(predict("]|%|]|$|b|]|%|c|"), SYMBOLS_BLANK, COMBINED).entities
    assert (entity.phrase, entity.start, entity.end) == ("b", 0.36, 0.64)  # $ 18, ] 30 to 32


def test_a_mark_glued_to_letters_ends_nothing():
    (entity,) = localize(predict("%|a]|]|"), SYMBOLS_BLANK, COMBINED).entities
    assert (entity.phrase, entity.end) == ("a]", 0.34)  # the second ] ends at frame 17


def cascaded(text: str, *pieces: str, entity: tuple[int, int]) -> Prediction:
    """A plain recognition whose words were split into ``pieces``."""
    plain = predict(text, labels=None)
    words = tuple(Word(piece, 0.0, 0.0) for piece in pieces)
    span = EntitySpan("PLACE", " ".join(pieces[slice(*entity)]), words=entity)
    return replace(plain, words=words, text=" ".join(pieces), entities=(span,))


def test_a_piece_split_off_a_word_is_an_instant_at_its_end():
    found = localize(cascaded("the|eu's|", "the", "eu", "'s", entity=(1, 2)), WORDS, None)
    # eu's is symbols 4 to 7: frames [12, 23)
    assert [(w.start, w.end) for w in found.words[1:]] == [(0.24, 0.46), (0.46, 0.46)]
    assert times(found) == [(0.24, 0.46)]


def test_punctuation_that_the_text_form_drops_is_passed_over():
    found = localize(cascaded("eu,|,|members'|", "eu", "members", entity=(0, 2)), WORDS, None)
    # eu, is frames [0, 8), a lone comma is no word, members' is symbols 6 to 13: [18, 41)
    assert [(w.start, w.end) for w in found.words] == [(0.0, 0.16), (0.36, 0.82)]


def test_a_cascade_has_no_type_symbols():
    with pytest.raises(ValueError, match=r"prediction u: entity 'eu' was not found by type symb"):
        localize(cascaded("eu|", "eu", entity=(0, 1)), SYMBOLS, None)


@pytest.mark.parametrize("pieces", [("ea",), ("e",), ("eu", "s")])
def test_words_that_are_not_in_the_tokens_are_named(pieces):
    with pytest.raises(ValueError, match=r"prediction u: words and tokens differ at '(eu|s)'"):
        localize(cascaded("eu|", *pieces, entity=(0, 1)), WORDS, None)


def test_without_tokens_entities_follow_the_words_they_have():
    words = (Word("a", 0.5, 0.7), Word("b", 0.8, 1.0))
    span = EntitySpan("PLACE", "a b", words=(0, 2), start=9.0, end=9.5)
    prediction = Prediction("u", "a b", entities=(span,), words=words)
    once = localize(prediction, replace(WORDS, offset=0.5), None)
    assert times(once) == [(1.0, 1.5)]
    assert localize(once, replace(WORDS, offset=0.5), None) == once
    with pytest.raises(ValueError, match="prediction u has no tokens, so its entities can only"):
        localize(prediction, WORDS_BLANK, None)


def test_entities_of_a_frame_head_and_failed_predictions_stay_as_they_are():
    span = EntitySpan("PLACE", None, start=0.1, end=0.2)
    of_frames = Prediction("u", "", entities=(span,))
    failed = Prediction("v", "", error="no such audio file")
    for prediction in (of_frames, failed):
        assert localize(prediction, replace(SYMBOLS, offset=0.1), COMBINED) == prediction
    assert shift(of_frames, 0.1) == of_frames


def test_nothing_heard_needs_no_times():
    silent = predict("")
    assert localize(silent, replace(SYMBOLS_BLANK, offset=0.1), COMBINED) == silent


def test_tokens_without_a_frame_length_are_named():
    broken = replace(predict("a|"), frame_seconds=None)
    with pytest.raises(ValueError, match="prediction u has tokens but no frame_seconds"):
        localize(broken, WORDS, COMBINED)


def test_the_marks_are_told_by_what_they_spell():
    # ! is LAW in the combined set and CARDINAL in the raw one
    assert marks_of([predict("a|!|eu|]|"), predict("b|")]) is COMBINED
    assert marks_of([predict("a|!|eu|]|", RAW), predict("b|")]) is RAW
    assert marks_of([cascaded("eu's|", "eu", "'s", entity=(0, 1))]) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "word"}, "localizer kind 'word' is unknown; did you mean 'words'"),
        ({"offset": float("nan")}, "offset should be in seconds, got nan"),
    ],
)
def test_options_that_make_no_sense_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        LocalizerOptions(**values)
