from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.time import FrameGrid
from slue_ner.core.types import EntitySpan, Utterance, Word
from slue_ner.decoding.frame_spans import ANY_ENTITY, FrameDecoding, spans
from slue_ner.tasks.frame_task import FrameTargets, frames_inside, select_timed

GRID = FrameGrid()  # frames of 20 ms, 1 s of audio has 49


def utterance(*entities: EntitySpan, **changes) -> Utterance:
    made = Utterance("u", "tune", None, 16_000, 16_000, "ana in rome", entities=entities)
    return dataclasses.replace(made, **changes)


PERSON = EntitySpan("PERSON", "ana", start=0.1, end=0.16)
PLACE = EntitySpan("GPE", "rome", start=0.16, end=0.2)
EVENT = EntitySpan("EVENT", "ana", start=0.1, end=0.16)


def labels(scheme, *entities, grid=GRID, num_samples=16_000, stretch=1.0, **changes):
    targets = FrameTargets(scheme, "combined", grid)
    return targets(utterance(*entities, **changes), num_samples, stretch)


def test_binary_labels_are_one_inside_entities():
    values = labels("binary", PERSON, PLACE)
    assert values.shape == (49, 1) and values.dtype == torch.float32
    assert torch.nonzero(values[:, 0]).flatten().tolist() == [5, 6, 7, 8, 9]


def test_every_label_is_a_question_of_its_own():
    values = labels("per_label", PERSON, dataclasses.replace(PLACE, start=0.14))
    assert values.shape == (49, 7)
    assert torch.nonzero(values).tolist() == [[5, 3], [6, 3], [7, 3], [7, 4], [8, 4], [9, 4]]


def test_bio_marks_where_an_entity_begins():
    values = labels("bio", PERSON, PLACE)
    assert values.dtype == torch.long
    # PERSON is type 3, PLACE type 4: B 7 and 9, I 8 and 10
    assert values[4:11].tolist() == [0, 7, 8, 8, 9, 10, 0]


@pytest.mark.parametrize(
    ("start", "end", "frames"),
    [
        (0.1, 0.16, (5, 8)),
        (0.11, 0.15, (5, 7)),  # centres at 0.11 (in) and 0.15 (out)
        (0.1101, 0.1501, (6, 8)),
        (0.12, 0.1299, (6, 6)),
        (0.0, 0.005, (0, 0)),
    ],
)
def test_a_frame_is_inside_when_its_centre_is(start, end, frames):
    assert frames_inside(GRID, start, end) == frames


def test_an_entity_between_two_centres_gets_the_frame_of_its_middle():
    short = dataclasses.replace(PERSON, start=0.112, end=0.118)
    assert torch.nonzero(labels("binary", short)[:, 0]).tolist() == [[5]]
    assert labels("bio", dataclasses.replace(short, end=0.112))[5] == 7


def test_dropped_types_are_no_entities():
    assert not labels("binary", EVENT).any()


def test_labels_follow_a_change_of_speed():
    # half the length: 0.1 to 0.16 s becomes 0.05 to 0.08 s
    values = labels("binary", PERSON, num_samples=8_000, stretch=0.5)
    assert len(values) == GRID.num_frames(8_000)
    assert torch.nonzero(values[:, 0]).flatten().tolist() == [2, 3]


def test_frames_of_estimated_words_are_ignored():
    words = (Word("ana", 0.1, 0.16, estimated=True), Word("in", 0.16, 0.2))
    assert labels("binary", PERSON, words=words)[4:9, 0].tolist() == [0, -1, -1, -1, 0]
    assert labels("bio", PERSON, words=words)[4:9].tolist() == [0, -1, -1, -1, 0]


def test_what_lies_beyond_the_last_frame_is_cut_off():
    late = dataclasses.replace(PERSON, start=0.96, end=1.0)
    assert torch.nonzero(labels("binary", late)[:, 0]).tolist() == [[48]]


@given(
    st.lists(st.floats(0.0, 3.0), min_size=2, max_size=8, unique=True),
    st.integers(80, 1280),
)
def test_spans_read_from_labels_are_half_a_frame_off_at_most(borders, hop):
    grid = FrameGrid(hop=hop, window=400)
    ordered = sorted(borders)
    wanted = list(zip(ordered[::2], ordered[1::2], strict=False))
    entities = [dataclasses.replace(PERSON, start=start, end=end) for start, end in wanted]
    num_samples = 4 * 16_000
    values = labels("binary", *entities, grid=grid, num_samples=num_samples).numpy()
    centres = (np.arange(len(values)) + 0.5) * grid.frame_seconds
    inside = np.any([(s <= centres) & (centres < e) for s, e in wanted], axis=0)
    short = [e - s < grid.frame_seconds for s, e in wanted]
    if not any(short):
        assert values[:, 0].astype(bool).tolist() == inside.tolist()
    if len(wanted) == 1 and not short[0]:
        (found,) = spans(values, grid, FrameDecoding(), (ANY_ENTITY,))
        assert found.start == pytest.approx(wanted[0][0], abs=grid.frame_seconds / 2 + 1e-6)
        assert found.end == pytest.approx(wanted[0][1], abs=grid.frame_seconds / 2 + 1e-6)


def test_targets_travel_to_loader_processes():
    targets = FrameTargets("bio", "combined", GRID)
    assert pickle.loads(pickle.dumps(targets)) == targets


UNTIMED = EntitySpan("PERSON", "ana")


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (utterance(PERSON), None),
        (utterance(), None),
        (utterance(UNTIMED, PLACE), "entities without times, run `slue-ner align` first"),
        (utterance(EventUntimed := EntitySpan("EVENT", "ana")), "entities without times, run"),
        (utterance(EventUntimed, words=(Word("ana", 0.1, 0.2),)), None),
        (utterance(text=""), "no words"),
        (utterance(PERSON, num_samples=300), "shorter than a frame"),
        (utterance(PERSON, num_samples=50_000), "longer than 2 s"),
    ],
)
def test_only_utterances_whose_frames_are_known_are_kept(made, reason):
    kept, left_out = select_timed([made], GRID, labels="combined", max_seconds=2.0)
    assert bool(kept) == (reason is None)
    assert [key[: len(reason)] for key in left_out] == ([] if reason is None else [reason])


def test_raw_labels_cannot_be_learned_from_combined_ones():
    combined = utterance(EntitySpan("PLACE", "rome", start=0.1, end=0.2))
    with pytest.raises(ValueError, match="utterance u: label 'PLACE' is a combined one"):
        select_timed([combined], GRID, labels="raw")
