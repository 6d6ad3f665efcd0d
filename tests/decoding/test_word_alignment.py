from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.labels import COMBINED
from slue_ner.core.time import FrameGrid
from slue_ner.core.types import Word
from slue_ner.decoding.ctc import greedy
from slue_ner.decoding.forced_alignment import MOST_COST, mean_score, time_text, word_times
from slue_ner.decoding.transcript import to_prediction
from slue_ner.text.markup import DELIMITER
from slue_ner.text.vocabulary import BLANK, Vocabulary

PLAIN = Vocabulary.build(["abcde inos"], None)
TAGGED = Vocabulary.build(["abcde inos"], COMBINED)
GRID = FrameGrid(hop=320)  # 20 ms


def emissions_of(path: list[str], vocabulary: Vocabulary, sure: float = 0.9) -> np.ndarray:
    """Emissions that say ``path``, one symbol a frame; ``_`` is the blank."""
    probabilities = np.full((len(path), len(vocabulary)), (1 - sure) / (len(vocabulary) - 1))
    ids = vocabulary.encode([BLANK if symbol == "_" else symbol for symbol in path])
    probabilities[np.arange(len(path)), ids] = sure
    return np.log(probabilities).astype(np.float32)


def test_a_word_lasts_from_its_first_letter_to_the_end_of_its_last():
    log_probs = emissions_of([*"_a_bb_|__ccd|_"], PLAIN)
    first, second = word_times("ab cd", PLAIN, log_probs, GRID)
    assert (first.text, first.start, first.end) == ("ab", 0.02, 0.1)  # frames [1, 5)
    assert (second.text, second.start, second.end) == ("cd", 0.18, 0.24)  # frames [9, 12)
    assert (first.score, second.score) == pytest.approx((0.9, 0.9))
    assert not first.estimated


def test_the_cost_is_what_forcing_the_text_takes_per_symbol():
    # c where b was heard: the others of the vocabulary share 0.1; three symbols with the delimiter
    assert time_text("ab", PLAIN, emissions_of([*"_a_b_|_"], PLAIN), GRID).cost == pytest.approx(0)
    heard = emissions_of([*"_a_b_|_"], PLAIN)
    forced = math.log(0.9 / (0.1 / (len(PLAIN) - 1))) / 3
    assert time_text("ac", PLAIN, heard, GRID).cost == pytest.approx(forced, rel=1e-5)


def _noise(num_frames: int, share: float) -> np.ndarray:
    """Frames without speech, of which a model takes a share for some letter or other."""
    random = np.random.default_rng(0)
    path = [
        "abcdeinos"[random.integers(9)] if random.random() < share else "_"
        for _ in range(num_frames)
    ]
    return emissions_of(path, PLAIN)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.4, 1.0])
def test_two_words_on_forty_seconds_of_noise_cost_too_much(share):
    assert time_text("in noise", PLAIN, _noise(2000, share), GRID).cost > MOST_COST


@pytest.mark.parametrize("sure", [0.5, 0.9])
def test_speech_with_long_pauses_or_a_wrong_letter_does_not(sure):
    said = emissions_of([*"in|nose|", *"_" * 2000, *"is|on|"], PLAIN, sure)
    assert time_text("in nose is on", PLAIN, said, GRID).cost == pytest.approx(0)
    assert time_text("in node is on", PLAIN, said, GRID).cost < MOST_COST / 2
    assert time_text("in 1999 nose is on", PLAIN, said, GRID).cost < MOST_COST / 2


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abcde"), st.integers(1, 4)), min_size=1, max_size=6),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 4),
    st.sampled_from([160, 320, 640, 512]),
)
def test_words_put_into_emissions_are_found_again_at_any_stride(spelled, pause, hop):
    path: list[str] = ["_"] * pause
    spans = []
    for letters in spelled:
        first = len(path)
        for letter, length in letters:
            path += (["_"] if path and path[-1] == letter else []) + [letter] * length
        spans.append((first, len(path)))
        path += ["_"] * pause + [DELIMITER] + ["_"] * pause
    text = " ".join("".join(letter for letter, _ in letters) for letters in spelled)
    grid = FrameGrid(hop=hop)
    words = word_times(text, PLAIN, emissions_of(path, PLAIN), grid)
    assert " ".join(word.text for word in words) == text
    for word, (first, last) in zip(words, spans, strict=True):
        assert (word.start, word.end) == (grid.span(first, last).start, grid.span(first, last).end)


@given(st.lists(st.sampled_from([*"abcde", DELIMITER, "_"]), min_size=1, max_size=40))
def test_what_a_model_decodes_is_aligned_where_it_was_decoded(path):
    log_probs = emissions_of([*path, DELIMITER], PLAIN)
    (tokens,) = greedy(
        torch.from_numpy(log_probs)[None], torch.tensor([len(log_probs)]), PLAIN.symbols
    )
    decoded = to_prediction("a", tokens, labels=None, grid=GRID, num_frames=len(log_probs))
    said = "".join(token.symbol for token in tokens)
    if said.startswith(DELIMITER) or DELIMITER * 2 in said:
        return  # a text has one delimiter after each word
    words = word_times(decoded.text, PLAIN, log_probs, GRID)
    assert [(w.text, w.start, w.end) for w in words] == [
        (w.text, w.start, w.end) for w in decoded.words or ()
    ]


def test_a_number_gets_the_time_between_its_neighbours_pauses_left_out():
    spoken = [*"in|____", *"nine_|_", *"see", *"____|abc|"]
    assert "".join(spoken[7:17]) == "nine_|_see"
    before, number, after = word_times("in 9 abc", PLAIN, emissions_of(spoken, PLAIN), GRID)
    assert (number.text, number.start, number.end) == ("9", 7 * 0.02, pytest.approx(17 * 0.02))
    assert number.estimated and number.score is None
    assert not before.estimated and not after.estimated
    assert (before.end, after.start) == (0.04, pytest.approx(22 * 0.02))


def test_a_number_at_either_end_and_alone_is_timed():
    log_probs = emissions_of([*"__nine_|_abc|__see___"], PLAIN)
    first, _, last = word_times("9 abc 3", PLAIN, log_probs, GRID)
    assert (first.start, first.end) == (0.04, 0.12)  # frames [2, 6)
    assert (last.start, last.end) == (pytest.approx(0.3), pytest.approx(0.36))  # [15, 18)
    (alone,) = word_times("1999", PLAIN, emissions_of([*"__nine_|_see__"], PLAIN), GRID)
    assert (alone.start, alone.end) == (0.04, pytest.approx(0.24))  # frames [2, 12)


def test_a_word_with_a_foreign_letter_is_timed_by_its_others():
    (word,) = word_times("n\u00e4is", PLAIN, emissions_of([*"_n_is_|"], PLAIN), GRID)
    assert (word.text, word.start, word.end) == ("n\u00e4is", 0.02, 0.1)
    assert not word.estimated


def test_entity_marks_of_a_tagged_model_are_silence():
    marks = COMBINED.symbols
    path = [*"in|", marks["PLACE"], "|", *"_abc_|", "]", "|", *"on|"]
    log_probs = emissions_of(path, TAGGED)
    first, second, third = word_times("in abc on", TAGGED, log_probs, GRID)
    assert (second.start, second.end) == (pytest.approx(0.12), pytest.approx(0.18))  # [6, 9)
    assert (first.start, first.end) == (0.0, 0.04)
    assert (third.start, third.end) == (pytest.approx(0.26), pytest.approx(0.3))  # [13, 15)


def test_a_mark_in_a_text_is_not_taken_for_the_models_mark():
    mark = COMBINED.symbols["PLACE"]
    path = [*"in|", "s", *"___", mark, "_", *"|on|"]
    _, sign, _ = word_times(f"in {mark} on", TAGGED, emissions_of(path, TAGGED), GRID)
    assert (sign.start, sign.end, sign.estimated) == (
        pytest.approx(0.06),
        pytest.approx(0.08),
        True,
    )


def test_a_text_without_words_has_none():
    assert word_times("", PLAIN, emissions_of(["_"], PLAIN), GRID) == ()


def test_a_text_longer_than_its_audio_is_refused():
    with pytest.raises(ValueError, match="4 symbols need 4 frames, the audio has 3"):
        word_times("abc", PLAIN, emissions_of([*"abc"], PLAIN), GRID)  # and a delimiter


def test_priors_widen_words_and_numbers_alike():
    log_probs = emissions_of([*"__abc__|__see__"], PLAIN)
    blank_is_common = np.zeros(len(PLAIN), np.float32)
    blank_is_common[0] = 10.0
    plain = word_times("abc 3", PLAIN, log_probs, GRID)
    wide = word_times("abc 3", PLAIN, log_probs, GRID, priors=blank_is_common)
    for narrow, broad in zip(plain, wide, strict=True):
        assert broad.start <= narrow.start and broad.end >= narrow.end
        assert broad.end - broad.start > narrow.end - narrow.start


def test_only_words_with_a_score_count_in_the_mean():
    words = [Word("a", 0, 1, score=0.5), Word("9", 1, 2, estimated=True), Word("b", 2, 3, score=1)]
    assert mean_score(words) == 0.75
    assert mean_score(words[1:2]) == 0.0
