from __future__ import annotations

from itertools import islice

import pytest
import torch

from slue_ner.core.records import read_manifest
from slue_ner.data.loading.audio import read_audio
from slue_ner.data.loading.augment import AugmentOptions
from slue_ner.data.loading.loaders import DataOptions, evaluation_loader, training_loader

EFFECTS = AugmentOptions(speed=0.1, filter_prob=0.5, reverb_prob=0.5, noise_prob=0.5)
NOISE = AugmentOptions(speed=0.0, filter_prob=0.0, reverb_prob=0.0, noise_prob=1.0)
NOTHING = AugmentOptions(speed=0.0, filter_prob=0.0, reverb_prob=0.0, noise_prob=0.0)


def target(_) -> list[int]:
    return [1]


@pytest.fixture
def utterances(tiny_corpus):
    return read_manifest(tiny_corpus / "fine-tune.jsonl")


@pytest.fixture
def load(utterances):
    """``load(5, start=2)``: the next batches of a training stream with augmentation."""

    def batches(count, *, augment=EFFECTS, seed=3, num_workers=0, **changes):
        options = DataOptions(
            root="data",
            train="fine-tune",
            tune="tune",
            evaluate=["dev"],
            batch_seconds=4.0,
            max_seconds=None,
            num_workers=num_workers,
            short_first=False,
        )
        loader = training_loader(
            utterances,
            options=options,
            target=target,
            min_samples=400,
            seed=seed,
            augment=augment,
            **changes,
        )
        return list(islice(loader, count))

    return batches


def assert_same(one, other) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.ids == b.ids
        for name in ("waveforms", "num_samples", "clean", "targets"):
            assert torch.equal(getattr(a, name), getattr(b, name)), name


def by_id(batches) -> dict[str, list[torch.Tensor]]:
    """Every version of each utterance, in the order they came."""
    heard: dict[str, list[torch.Tensor]] = {}
    for batch in batches:
        for id, row, length in zip(batch.ids, batch.waveforms, batch.num_samples, strict=True):
            heard.setdefault(id, []).append(row[:length])
    return heard


@pytest.mark.parametrize("start", [1, 4, 7])
def test_a_restarted_stream_goes_on_with_the_very_same_audio(load, start):
    assert_same(load(3, start=start), load(start + 3)[start:])


@pytest.mark.slow
def test_loader_processes_change_nothing_of_the_audio(load):
    assert_same(load(6, num_workers=2, start=2), load(8)[2:])


def test_every_epoch_hears_other_audio(load):
    heard = by_id(load(20))
    assert len(heard) == 16
    for versions in heard.values():
        assert len(versions) > 1
        assert len({tuple(version[:50].tolist()) for version in versions}) == len(versions)


def test_another_seed_hears_other_audio(load):
    one, other = by_id(load(8, seed=3)), by_id(load(8, seed=4))
    for id in one.keys() & other.keys():
        assert not torch.equal(one[id][0][:50], other[id][0][:50])


def test_ranks_hear_different_audio_of_the_same_utterance(load):
    ranks = [by_id(load(12, rank=rank, num_ranks=2)) for rank in range(2)]
    shared = ranks[0].keys() & ranks[1].keys()
    assert shared
    for id in shared:
        assert not torch.equal(ranks[0][id][0][:50], ranks[1][id][0][:50])


def test_the_clean_audio_stands_beside_the_noisy_one(load, utterances):
    audio = {u.id: torch.from_numpy(read_audio(u.audio)) for u in utterances}
    for batch in load(16, augment=NOISE):  # over more than one epoch, so from kept audio too
        assert batch.clean.shape == batch.waveforms.shape
        for i, (id, length) in enumerate(zip(batch.ids, batch.num_samples.tolist(), strict=True)):
            assert torch.equal(batch.clean[i, :length], audio[id])
            assert not batch.clean[i, length:].any() and not batch.waveforms[i, length:].any()
            noise = batch.waveforms[i, :length] - batch.clean[i, :length]
            assert 0 < noise.square().mean() < 0.4 * audio[id].square().mean()  # 5 dB or more


def test_the_new_speed_decides_the_length(load, utterances):
    before = {u.id: u.num_samples for u in utterances}
    ratios = [
        length / before[id]
        for batch in load(16)
        for id, length in zip(batch.ids, batch.num_samples.tolist(), strict=True)
    ]
    assert 1 / 1.1 - 0.001 < min(ratios) < 0.95
    assert 1.05 < max(ratios) < 1 / 0.9 + 0.001


@pytest.mark.parametrize("augment", [None, NOTHING])
def test_without_an_effect_there_is_no_second_copy(load, utterances, augment):
    audio = {u.id: torch.from_numpy(read_audio(u.audio)) for u in utterances}
    for batch in load(4, augment=augment):
        assert batch.clean is None
        for id, row, length in zip(batch.ids, batch.waveforms, batch.num_samples, strict=True):
            assert torch.equal(row[:length], audio[id])


def test_the_order_of_the_utterances_does_not_depend_on_augmentation(load):
    assert [b.ids for b in load(10)] == [b.ids for b in load(10, augment=None)]


def test_evaluation_hears_the_audio_as_it_is(utterances):
    for batch in evaluation_loader(utterances, batch_seconds=4.0, min_samples=400):
        assert batch.clean is None


def test_a_batch_moves_with_its_clean_audio(load):
    (batch,) = load(1)
    assert batch.to("meta").clean.device.type == "meta"
