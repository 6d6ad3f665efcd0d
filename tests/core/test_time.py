from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.time import FrameGrid, TimeSpan, said_length

GRIDS = [FrameGrid(), FrameGrid(hop=640, window=880), FrameGrid(hop=160, window=400)]


@pytest.mark.parametrize(("start", "end"), [(1.2, 0.9), (-0.1, 1.0), (0.0, float("inf"))])
def test_a_span_that_is_no_span_is_refused_with_its_numbers(start, end):
    with pytest.raises(ValueError, match=r"TimeSpan needs 0 <= start <= end, got start="):
        TimeSpan(start, end)


def test_one_second_at_wav2vec2s_rate_gives_49_frames():
    # 1 + (16000 - 400) // 320 = 1 + 48
    assert FrameGrid().num_frames(16_000) == 49


def test_less_than_one_window_gives_no_frame():
    assert FrameGrid().num_frames(399) == 0
    assert FrameGrid().num_frames(400) == 1


def test_wav2vec2s_convolutions_make_a_hop_of_320_and_a_window_of_400():
    grid = FrameGrid.from_convolutions((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))
    assert (grid.hop, grid.window) == (320, 400)


@given(st.integers(0, 200_000))
def test_convolutions_one_after_the_other_emit_what_the_grid_says(num_samples):
    kernels, strides = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)
    length = num_samples
    for kernel, stride in zip(kernels, strides, strict=True):
        length = max(0, (length - kernel) // stride + 1)
    assert FrameGrid.from_convolutions(kernels, strides).num_frames(num_samples) == length


@given(st.sampled_from(GRIDS), st.integers(0, 5000), st.integers(0, 500))
def test_frames_of_a_span_of_frames_are_those_frames(grid, first, length):
    assert grid.frames(grid.span(first, first + length)) == (first, first + length)


@given(st.sampled_from(GRIDS), st.integers(1, 5000))
def test_the_fewest_samples_for_some_frames_give_exactly_those(grid, num_frames):
    assert grid.num_frames(grid.num_samples(num_frames)) == num_frames
    assert grid.num_frames(grid.num_samples(num_frames) - 1) == num_frames - 1


def test_frame_times_are_multiples_of_the_hop():
    span = FrameGrid().span(50, 100)
    assert (span.start, span.end) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (99.4, "99 s"), (100, "2 min"), (5999, "100 min"), (6000, "1.67 h")],
)
def test_audio_is_counted_in_the_unit_that_suits_it(seconds, said):
    assert said_length(seconds) == said
