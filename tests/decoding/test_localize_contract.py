"""Known answers are written as tokens and emissions and must be found again, for any stride."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.labels import COMBINED
from slue_ner.core.time import FrameGrid
from slue_ner.decoding.ctc import greedy
from slue_ner.decoding.localizers import LocalizerOptions, localize, marks_of
from slue_ner.decoding.transcript import to_prediction

SYMBOLS = ("<blank>", "<unk>", "|", "a", "b", "c", "%", "$", "]")
LABELS = {"%": "PLACE", "$": "PERSON"}


@dataclass
class Spoken:
    """A frame sequence and where its words and entities are, in frames."""

    path: list[int]
    words: list[tuple[int, int]]  # first letter to last letter
    wide_words: list[tuple[int, int]]  # delimiter to delimiter
    entities: list[tuple[str, int, int, int, int]]  # label, words, type symbol to end mark


@st.composite
def spoken(draw: st.DrawFn) -> Spoken:
    """Random words, some in entities, every symbol and every blank of random length."""
    said = Spoken([], [], [], [])
    blanks, lengths = st.integers(0, 3), st.integers(1, 3)

    def emit(symbol: str) -> tuple[int, int]:
        index = SYMBOLS.index(symbol)
        pause = draw(blanks)
        if said.path and said.path[-1] == index:
            pause = max(1, pause)
        said.path += [0] * pause
        first = len(said.path)
        said.path += [index] * draw(lengths)
        return first, len(said.path)

    delimiter_end = 0

    def word(letters: str) -> tuple[int, int]:
        nonlocal delimiter_end
        spans = [emit(letter) for letter in letters]
        end = delimiter_end
        start_of_delimiter, delimiter_end = emit("|")
        said.wide_words.append((end, start_of_delimiter))
        return spans[0][0], spans[-1][1]

    words = st.text("abc", min_size=1, max_size=4)
    for mark in draw(st.lists(st.sampled_from([None, "%", "$"]), max_size=5)):
        if mark is not None:
            start, _ = word(mark)
            said.wide_words.pop()
        first = len(said.words)
        for text in draw(st.lists(words, min_size=1, max_size=3)):
            said.words.append(word(text))
        if mark is not None:
            _, end = word("]")
            said.wide_words.pop()
            said.entities.append((LABELS[mark], first, len(said.words), start, end))
    said.path += [0] * draw(blanks)
    return said


def emissions(path: list[int]) -> torch.Tensor:
    """``(1, T, V)`` log-probabilities with this best path."""
    probabilities = np.full((1, len(path), len(SYMBOLS)), 0.02)
    probabilities[0, np.arange(len(path)), path] = 0.84
    return torch.from_numpy(np.log(probabilities))


@given(spoken(), st.integers(1, 2000), st.sampled_from([8000, 16_000, 44_100]))
def test_what_was_spoken_is_found_again_at_any_stride(said, hop, sample_rate):
    grid = FrameGrid(hop=hop, window=hop, sample_rate=sample_rate)
    (tokens,) = greedy(emissions(said.path), torch.tensor([len(said.path)]), SYMBOLS)
    decoded = to_prediction("u", tokens, labels=COMBINED, grid=grid, num_frames=len(said.path))
    assert decoded.num_repairs == 0
    assert marks_of([decoded]) is COMBINED

    def seconds(first: int, last: int) -> tuple[float, float]:
        return first * hop / sample_rate, last * hop / sample_rate

    def hundredths(first: int, last: int) -> tuple[float, float]:
        start, end = seconds(first, last)
        return round(start, 2), round(end, 2)

    for with_blanks, spans in ((False, said.words), (True, said.wide_words)):
        options = LocalizerOptions(kind="words", with_blanks=with_blanks)
        found = localize(decoded, options, COMBINED)
        assert [(w.start, w.end) for w in found.words] == [seconds(*span) for span in spans]
        assert [(e.label, e.words, (e.start, e.end)) for e in found.entities] == [
            (label, (first, last), hundredths(spans[first][0], spans[last - 1][1]))
            for label, first, last, _, _ in said.entities
        ]
    found = localize(decoded, LocalizerOptions(kind="type_symbols", with_blanks=True), COMBINED)
    assert [(e.start, e.end) for e in found.entities] == [
        hundredths(start, end) for _, _, _, start, end in said.entities
    ]


def toolkit_segments(path: list[int], *, with_blanks: bool) -> list[tuple[int, int]]:
    """SLUE.md 6.1 run by run, in frames, with a clock that counts frames."""
    runs: list[list[int]] = []  # symbol, number of frames
    for symbol in path:
        if runs and runs[-1][0] == symbol:
            runs[-1][1] += 1
        else:
            runs.append([symbol, 1])
    segments = []
    opened, start, clock = False, None, 0
    starts: list[int] = []
    for index, (number, length) in enumerate(runs):
        starts.append(clock)
        symbol = SYMBOLS[number]
        if symbol in LABELS:
            opened, start = True, clock if with_blanks else None
        elif symbol == "]":
            if opened:
                end = clock + length if with_blanks else clock
                if not with_blanks:
                    for back in (1, 2):
                        if index >= back and SYMBOLS[runs[index - back][0]] == "|":
                            end = starts[index - back]
                            break
                        if SYMBOLS[runs[index - back][0]] != "<blank>":
                            break
                segments.append((start, end))
            opened = False
        elif opened and start is None and symbol not in ("|", "<blank>"):
            start = clock
        clock += length
    return segments


@given(spoken(), st.booleans())
def test_type_symbols_agree_with_the_toolkits_state_machine(said, with_blanks):
    grid = FrameGrid(hop=320, window=400)
    (tokens,) = greedy(emissions(said.path), torch.tensor([len(said.path)]), SYMBOLS)
    decoded = to_prediction("u", tokens, labels=COMBINED, grid=grid, num_frames=len(said.path))
    options = LocalizerOptions(kind="type_symbols", with_blanks=with_blanks)
    found = localize(decoded, options, COMBINED)
    assert [(e.start, e.end) for e in found.entities] == [
        (round(first * 0.02, 2), round(last * 0.02, 2))
        for first, last in toolkit_segments(said.path, with_blanks=with_blanks)
    ]


@given(st.lists(st.sampled_from(["a", "bc", "%", "$", "]", "%a"]), max_size=12), st.booleans())
def test_malformed_marks_never_break_a_localizer(tagged, with_blanks):
    path = [SYMBOLS.index(s) for word in tagged for s in (*word, "|")]
    path = [symbol for index in path for symbol in (index, 0)]
    (tokens,) = greedy(emissions(path or [0]), torch.tensor([len(path)]), SYMBOLS)
    decoded = to_prediction("u", tokens, labels=COMBINED, grid=FrameGrid(), num_frames=len(path))
    options = LocalizerOptions(kind="type_symbols", with_blanks=with_blanks, offset=-0.1)
    found = localize(decoded, options, COMBINED)
    for before, after in zip(decoded.entities, found.entities, strict=True):
        assert (before.label, before.phrase, before.words) == (
            after.label,
            after.phrase,
            after.words,
        )
        assert 0 <= after.start <= after.end
