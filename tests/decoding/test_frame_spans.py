from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from slue_ner.core.time import FrameGrid
from slue_ner.decoding.frame_spans import (
    ANY_ENTITY,
    FrameDecoding,
    Thresholds,
    segments,
    smooth,
    spans,
)

BIO = ("O", "B-PERSON", "I-PERSON", "B-PLACE", "I-PLACE")
TYPES = ("PERSON", "PLACE")
MS20 = FrameGrid()
PLAIN = FrameDecoding()

grids = st.builds(FrameGrid, hop=st.integers(80, 1280), window=st.integers(1, 2000))


@st.composite
def known(draw, *, apart: int):
    """Frame spans ``(first, last, type)`` in order, at least ``apart`` frames between them."""
    found, position = [], 0
    for _ in range(draw(st.integers(0, 5))):
        first = position + draw(st.integers(apart if found else 0, 6))
        last = first + draw(st.integers(1, 8))
        found.append((first, last, draw(st.integers(0, 1))))
        position = last
    return found, position + draw(st.integers(0, 5))


def as_frames(entities, grid):
    scale = grid.sample_rate / grid.hop
    return [(round(e.start * scale), round(e.end * scale), e.label) for e in entities]


@given(known(apart=1), grids)
def test_binary_spans_are_found_again_whatever_the_hop(case, grid):
    entities, num_frames = case
    probabilities = np.zeros((num_frames, 1))
    for first, last, _ in entities:
        probabilities[first:last] = 1.0
    found = spans(probabilities, grid, PLAIN, (ANY_ENTITY,))
    assert as_frames(found, grid) == [(first, last, None) for first, last, _ in entities]
    assert all(e.phrase is None and e.words is None and e.score == 1.0 for e in found)


@given(known(apart=0), grids)
def test_bio_spans_are_found_again_even_where_they_touch(case, grid):
    entities, num_frames = case
    probabilities = np.zeros((num_frames, len(BIO)))
    probabilities[:, 0] = 1.0
    for first, last, k in entities:
        probabilities[first:last] = 0.0
        probabilities[first, 1 + 2 * k] = 1.0
        probabilities[first + 1 : last, 2 + 2 * k] = 1.0
    # one frame that touches an entity of its type is a second beginning, told apart by nothing
    assume(all(b - a > 1 or c > b or k != other for (a, b, k), (c, _, other) in pairwise(entities)))
    found = spans(probabilities, grid, PLAIN, BIO)
    assert as_frames(found, grid) == [(first, last, TYPES[k]) for first, last, k in entities]


@given(known(apart=1), known(apart=1), grids)
def test_spans_of_different_types_may_overlap(persons, places, grid):
    probabilities = np.zeros((max(persons[1], places[1]), 2))
    expected = []
    for k, (entities, _) in enumerate((persons, places)):
        for first, last, _ in entities:
            probabilities[first:last, k] = 1.0
            expected.append((first, last, TYPES[k]))
    found = as_frames(spans(probabilities, grid, PLAIN, TYPES), grid)
    assert sorted(found) == sorted(expected)
    assert [span[:2] for span in found] == sorted(span[:2] for span in expected)


def found(values, **options):
    firsts, lasts = segments(np.array(values), FrameDecoding(**options), 0.02)
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def test_an_entity_starts_at_the_high_threshold_and_ends_below_the_low_one():
    values = [0.0, 0.4, 0.7, 0.4, 0.2, 0.4, 0.4, 0.9]
    assert found(values, threshold_on=0.6, threshold_off=0.3) == [(2, 4), (7, 8)]
    assert found(values, threshold_on=0.4, threshold_off=0.4) == [(1, 4), (5, 8)]
    assert found(values, threshold_on=0.95, threshold_off=0.1) == []


def test_a_threshold_is_reached_by_what_equals_it():
    assert found([0.5, 0.25, 0.2], threshold_on=0.5, threshold_off=0.25) == [(0, 2)]


def test_short_gaps_are_closed_before_short_entities_are_dropped():
    values = [1, 0, 1, 0, 0, 1, 0, 0, 0]  # frames of 20 ms; gaps of 20 and 40 ms
    assert found(values) == [(0, 1), (2, 3), (5, 6)]
    assert found(values, min_gap=0.04) == [(0, 3), (5, 6)]
    assert found(values, min_gap=0.04, min_duration=0.06) == [(0, 3)]
    assert found(values, min_gap=0.06, min_duration=0.12) == [(0, 6)]
    assert found(values, min_duration=0.04) == []


@given(
    st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), max_size=30),
    st.sampled_from([0.2, 0.4, 0.6, 0.8]),
    st.sampled_from([0.5, 1.0]),
    st.integers(0, 4),
    st.integers(0, 4),
)
def test_segments_are_those_of_a_frame_by_frame_walk(values, on, share, gap, duration):
    off = share * on
    walked, start = [], None
    for frame, value in enumerate([*values, -1.0]):
        if start is None and value >= on:
            start = frame
        elif start is not None and value < off:
            walked.append([start, frame])
            start = None
    merged = []
    for first, last in walked:
        if merged and first - merged[-1][1] < gap:
            merged[-1][1] = last
        else:
            merged.append([first, last])
    expected = [(first, last) for first, last in merged if last - first >= duration]
    options = {"threshold_on": on, "threshold_off": off}
    assert found(values, **options, min_gap=0.02 * gap, min_duration=0.02 * duration) == expected


@given(st.lists(st.floats(0, 1), max_size=20), st.sampled_from([1, 3, 5, 9]))
def test_smoothing_is_the_median_of_the_neighbourhood(values, median):
    half = median // 2
    padded = [*values[:1] * half, *values, *values[-1:] * half]
    expected = [np.median(padded[i : i + median]) for i in range(len(values))]
    assert smooth(np.array(values).reshape(-1, 1), median)[:, 0].tolist() == expected


def test_a_median_removes_a_blip_and_keeps_an_edge():
    column = np.array([0, 0, 1, 0, 0, 1, 1, 1, 1], dtype=float)[:, None]
    decoded = spans(column, MS20, FrameDecoding(median=3), (ANY_ENTITY,))
    assert as_frames(decoded, MS20) == [(5, 9, None)]


def test_bio_decides_for_an_entity_before_its_type():
    # no single class reaches 0.5 but "not outside" does; PERSON has more of it on the whole
    probabilities = np.array([[0.9, 0.1, 0, 0, 0], [0.4, 0.2, 0.1, 0.3, 0], [0.2, 0, 0.6, 0, 0.2]])
    (entity,) = spans(probabilities, MS20, PLAIN, BIO)
    assert (entity.label, entity.start, entity.end) == ("PERSON", 0.02, 0.06)
    assert entity.score == pytest.approx((0.3 + 0.6) / 2)


def bio(*frames: tuple[float, float, float], **options):
    """Labels and frames of what BIO says of persons: O, B and I of every frame."""
    decoding = FrameDecoding(threshold_on=0.25, threshold_off=0.25, **options)
    decoded = spans(np.array(frames), MS20, decoding, ("O", "B-PERSON", "I-PERSON"))
    return [frames for *frames, _ in as_frames(decoded, MS20)]


INSIDE = (0.05, 0.05, 0.90)


def test_bio_cuts_only_where_a_beginning_beats_every_other_tag():
    soft = ((0.95, 0.02, 0.03), (0.30, 0.10, 0.60))
    assert bio(*soft, (0.45, 0.35, 0.20), INSIDE) == [[1, 4]]  # O is above B
    assert bio(*soft, (0.10, 0.45, 0.45), INSIDE) == [[1, 4]]  # I is as probable as B
    assert bio(*soft, (0.10, 0.50, 0.40), INSIDE) == [[1, 2], [2, 4]]


def test_bio_cuts_only_where_a_part_stands_before():
    perhaps = ((0.95, 0.02, 0.03), (0.70, 0.14, 0.16), (0.60, 0.10, 0.30))  # above the threshold
    assert bio(*perhaps, (0.2, 0.7, 0.1), INSIDE) == [[1, 5]]


def test_parts_of_bio_obey_the_shortest_duration():
    begin, outside = (0.1, 0.8, 0.1), (0.9, 0.05, 0.05)
    two = (outside, begin, INSIDE, begin, INSIDE, INSIDE, outside)  # 40 ms and 60 ms
    assert bio(*two) == [[1, 3], [3, 6]]
    assert bio(*two, min_duration=0.04) == [[1, 3], [3, 6]]
    assert bio(*two, min_duration=0.06) == [[1, 6]]
    assert bio(*reversed(two), min_duration=0.06) == [[1, 6]]  # too short behind the cut
    assert bio(*two, min_duration=0.12) == []


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.02, 0.06, 0.1]))
def test_no_entity_is_shorter_than_the_shortest_duration(seed, shortest):
    values = np.random.default_rng(seed).dirichlet(np.full(len(BIO), 0.5), size=40)
    decoding = FrameDecoding(threshold_on=0.3, threshold_off=0.3, min_duration=shortest)
    for entity in spans(values, MS20, decoding, BIO):
        assert entity.end - entity.start >= shortest - 1e-9


def test_a_type_may_have_thresholds_of_its_own():
    values = np.array([[0.4, 0.4], [0.9, 0.4], [0.4, 0.1]])
    decoding = FrameDecoding(
        threshold_on=0.8,
        threshold_off=0.8,
        per_label={"PLACE": Thresholds(threshold_on=0.3, threshold_off=0.3)},
    )
    assert as_frames(spans(values, MS20, decoding, TYPES), MS20) == [
        (0, 2, "PLACE"),
        (1, 2, "PERSON"),
    ]
    with pytest.raises(ValueError, match="thresholds of its own for PLACE, which is none of the"):
        spans(values[:, :1], MS20, decoding, ("PERSON",))


def test_a_score_is_the_mean_probability():
    (entity,) = spans(np.array([[0.6], [0.8], [0.1]]), MS20, PLAIN, ("PERSON",))
    assert entity.score == pytest.approx(0.7)


@pytest.mark.parametrize("labels", [(ANY_ENTITY,), TYPES, BIO])
def test_no_frames_give_no_entities(labels):
    assert spans(np.zeros((0, len(labels))), MS20, FrameDecoding(median=5), labels) == []


def test_columns_of_another_model_are_refused():
    with pytest.raises(ValueError, match=r"shape \(4, 3\) do not fit the 2 classes PERSON, PLACE"):
        spans(np.zeros((4, 3)), MS20, PLAIN, TYPES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold_on": 0.3}, "threshold_off=0.5 and threshold_on=0.3"),
        ({"threshold_off": 0.0}, "0 < threshold_off"),
        ({"median": 4}, "an odd median of at least 1, got 4"),
        ({"min_gap": -0.1}, "at least 0, got 0.0 and -0.1"),
    ],
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FrameDecoding(**options)
