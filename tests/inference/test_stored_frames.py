from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from slue_ner.core.time import FrameGrid
from slue_ner.core.types import EntitySpan, Utterance, Word
from slue_ner.decoding.emissions import EmissionsWriter, read_emissions
from slue_ner.decoding.frame_spans import ANY_ENTITY, FrameDecoding
from slue_ner.inference.frame_reading import decode_frames, tune_stored_frames

REFERENCE = Utterance(
    id="a",
    split="tune",
    audio=None,
    num_samples=16_000,
    sample_rate=16_000,
    text="in rome",
    words=(Word("in", 0.0, 0.2), Word("rome", 0.2, 0.6)),
    entities=(EntitySpan("PLACE", "rome", 3, 7, words=(1, 2), start=0.2, end=0.6),),
)


@pytest.fixture
def store(tmp_path):
    """``store("frames")``: emissions of utterance a, 0.3 in frames [10, 30) and 0.01 elsewhere."""

    def write(kind):
        probabilities = np.full((50, 1), 0.01)
        probabilities[10:30] = 0.3
        with EmissionsWriter(
            tmp_path / kind, kind=kind, symbols=(ANY_ENTITY,), grid=FrameGrid(), model_hash="0"
        ) as writer:
            writer.add("a", np.log(probabilities))
        return read_emissions(tmp_path / kind)

    return write


def test_a_threshold_found_on_stored_frames_finds_the_entity_again(store):
    emissions = store("frames")
    assert decode_frames(emissions, [REFERENCE], decoding=FrameDecoding())[0].entities == ()
    tuned = tune_stored_frames(emissions, [REFERENCE])
    assert tuned.frame_f1 == 1.0 and tuned.decoding.threshold_on < 0.3
    (prediction,) = decode_frames(emissions, [REFERENCE], decoding=tuned.decoding)
    assert [(e.start, e.end) for e in prediction.entities] == [(0.2, 0.6)]
    assert (prediction.num_frames, prediction.frame_seconds) == (50, 0.02)


def test_an_utterance_without_frames_is_predicted_as_failed(store):
    other = replace(REFERENCE, id="b")
    found = decode_frames(store("frames"), [other, REFERENCE], decoding=FrameDecoding())
    assert [p.id for p in found] == ["b", "a"]
    assert "has no emissions of b" in found[0].error and found[1].error is None


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("ctc", {}, "holds emissions of a ctc head, not of a frame head"),
        ("frames", {"split": "test"}, "utterance a is of the split test"),
        ("frames", {"words": None}, "none of the 1 references has word times, so nothing can be"),
        ("frames", {"id": "b"}, "has no emissions of any of the 1 utterances, first b"),
    ],
)
def test_what_frames_cannot_be_tuned_on_is_said(store, kind, changes, message):
    with pytest.raises(ValueError, match=message):
        tune_stored_frames(store(kind), [replace(REFERENCE, **changes)])
