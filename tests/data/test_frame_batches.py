from __future__ import annotations

from itertools import islice

import pytest
import torch

from slue_ner.core.records import read_manifest
from slue_ner.core.time import FrameGrid
from slue_ner.data.loading.augment import AugmentOptions
from slue_ner.data.loading.batch import Example, UtteranceDataset, collate
from slue_ner.data.loading.loaders import DataOptions, training_loader
from slue_ner.tasks.frame_task import FrameTargets

GRID = FrameGrid(hop=320, window=480)


@pytest.fixture
def utterances(timed_corpus):
    return read_manifest(timed_corpus / "fine-tune.jsonl")


def test_frame_labels_are_padded_with_what_is_ignored():
    long = [
        Example(str(n), torch.ones(n), torch.zeros(0), frame_labels=torch.arange(n)) for n in (2, 3)
    ]
    assert collate(long).frame_labels.tolist() == [[0, 1, -1], [0, 1, 2]]
    several = [
        Example(str(n), torch.ones(n), torch.zeros(0), frame_labels=torch.ones(n, 2))
        for n in (1, 2)
    ]
    assert collate(several).frame_labels.tolist() == [[[1, 1], [-1, -1]], [[1, 1], [1, 1]]]


def test_without_labels_a_batch_has_none():
    assert collate([Example("a", torch.ones(2), torch.zeros(0))]).frame_labels is None
    assert collate([Example("a", None, torch.zeros(0), "gone")]).frame_labels is None


def test_labels_stay_on_the_sound_when_its_speed_changes(utterances):
    dataset = UtteranceDataset(
        utterances,
        target=None,
        min_samples=GRID.window,
        augment=AugmentOptions(speed=0.3, filter_prob=0.0, reverb_prob=0.0, noise_prob=0.0),
        frame_labels=FrameTargets("binary", "combined", GRID),
    )
    lengths = set()
    for seed in range(8):
        example = dataset[(3, (seed,))]
        lengths.add(len(example.waveform))
        num_frames = GRID.num_frames(len(example.waveform))
        assert len(example.frame_labels) == num_frames
        frames = example.waveform[: num_frames * GRID.hop].unfold(0, GRID.hop, GRID.hop)
        loud = frames.square().mean(1).sqrt() > 0.1  # the tone has 0.21, the noise 0.02
        disagree = (loud != example.frame_labels[:, 0].bool()).sum()
        assert disagree <= 4  # one frame at each of the four borders
    assert len(lengths) == 8


@pytest.mark.slow
def test_loader_processes_make_the_same_labels(utterances):
    def labels(num_workers: int):
        loader = training_loader(
            utterances,
            options=DataOptions(
                root="data",
                train="fine-tune",
                tune="tune",
                evaluate=[],
                batch_seconds=4.0,
                max_seconds=None,
                num_workers=num_workers,
                short_first=False,
            ),
            target=lambda u: [],
            frame_labels=FrameTargets("bio", "combined", GRID),
            min_samples=GRID.window,
            seed=0,
        )
        return [batch.frame_labels for batch in islice(loader, 3)]

    for one, other in zip(labels(0), labels(1), strict=True):
        assert torch.equal(one, other)
