from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from slue_ner.core.records import read_manifest
from slue_ner.core.time import FrameGrid
from slue_ner.decoding.frame_spans import FrameDecoding
from slue_ner.inference.emitting import LiveEmissions, Outputs
from slue_ner.inference.frame_reading import decode_frames
from slue_ner.inference.transcribing import decode
from slue_ner.text.vocabulary import Vocabulary

GRID = FrameGrid(window=400, hop=320, sample_rate=16_000)
VOCABULARY = Vocabulary.build(["ab"], None)


@pytest.fixture
def emitting(tiny_corpus):
    """``emitting(*ids, kind)``: emissions of noise, a batch an utterance; and the calls."""
    utterances = read_manifest(tiny_corpus / "dev.jsonl")

    def make(*lost, kind="ctc"):
        for i in lost:
            utterances[i] = replace(utterances[i], audio=Path("x"))
        calls = []

        def forward(waveforms, num_samples):
            calls.append(len(waveforms))
            frames = torch.tensor([GRID.num_frames(int(n)) for n in num_samples])
            shape = (len(waveforms), int(frames.max()), len(VOCABULARY))
            return Outputs(torch.full(shape, -1.0), frames)

        emitted = LiveEmissions(
            forward, utterances, kind=kind, symbols=VOCABULARY.symbols, grid=GRID, batch_seconds=0.1
        )
        return emitted, utterances, calls

    return make


def test_an_utterance_out_of_turn_leaves_the_batch_as_it_is(emitting):
    emitted, utterances, calls = emitting()
    ids = iter(emitted)
    first = next(ids)
    rows = emitted[first]
    other = next(u.id for u in utterances if u.id != first)
    assert np.all(emitted[other] == -1) and emitted[other] is emitted[other]
    assert emitted[first] is rows
    assert len(calls) == 2


def test_an_utterance_that_cannot_be_read_is_missing_by_its_reason(emitting):
    emitted, utterances, _ = emitting(0)
    lost = utterances[0].id
    with pytest.raises(KeyError, match=lost):
        emitted[lost]
    assert lost not in emitted and "no such audio file" in emitted.why_not(lost)
    assert set(emitted) == {u.id for u in utterances[1:]}


@pytest.mark.parametrize("kind", ["ctc", "frames"])
def test_progress_counts_every_utterance_once(emitting, kind):
    emitted, utterances, _ = emitting(0, 2, kind=kind)
    told = []

    def progress(done, total):
        told.append((done, total))

    if kind == "ctc":
        found = decode(emitted, utterances, vocabulary=VOCABULARY, progress=progress)
    else:
        found = decode_frames(emitted, utterances, decoding=FrameDecoding(), progress=progress)
    assert [p.error is not None for p in found][:3] == [True, False, True]
    assert told == [(i, len(utterances)) for i in range(1, len(utterances) + 1)]
