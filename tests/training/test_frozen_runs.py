from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.training.checkpoints import StopRequestedError
from slue_ner.training.state_cache import _memory

SUM = ("adaptation=frozen_weighted_sum", "mixing=weighted_sum")
LAYER = ("adaptation=frozen_layer", "adaptation.layer=1")
EXACT = "state_cache.dtype=float32"


@pytest.fixture
def frozen(train: Any, tmp_path: Path) -> Any:
    """``frozen("a", "memory", *SUM)``: a run with this cache; disk is shared within a test."""
    return lambda name, cache, *overrides, **options: train(
        tmp_path / name,
        f"state_cache={cache}",
        f"state_cache.folder={tmp_path}/cache",
        *overrides,
        **options,
    )


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The number of utterances in every batch that any encoder has encoded."""
    sizes: list[int] = []
    forward = SpeechEncoder.forward

    def note(self: Any, waveforms: Any, *arguments: Any, **options: Any) -> Any:
        if waveforms.any():  # not the silence that a new encoder is tried on
            sizes.append(len(waveforms))
        return forward(self, waveforms, *arguments, **options)

    monkeypatch.setattr(SpeechEncoder, "forward", note)
    return sizes


def figures(watched: Any) -> list[tuple[str, str, float]]:
    """Everything that was logged of losses and scores, as update, name, value."""
    rows = [row for row in watched.log() if row[1].startswith(("train_loss", "val_"))]
    return [(update, name, float(value)) for update, name, value in rows]


def assert_close(one: Any, other: Any, tolerance: float) -> None:
    assert [row[:2] for row in one] == [row[:2] for row in other]
    for (*row, value), (*_, expected) in zip(one, other, strict=True):
        assert value == pytest.approx(expected, rel=tolerance, abs=tolerance), row


@pytest.mark.parametrize("strategy", [SUM, LAYER], ids=["sum", "layer"])
def test_a_cached_run_learns_what_a_run_without_cache_learns(
    frozen: Any, strategy: tuple[str, ...]
) -> None:
    plain = figures(frozen("none", "none", *strategy))
    assert len([row for row in plain if row[1] == "train_loss"]) == 6
    for cache in ("memory", "disk"):
        assert_close(figures(frozen(cache, cache, *strategy, EXACT)), plain, 1e-5)
    assert_close(figures(frozen("half", "memory", *strategy)), plain, 1e-2)


def test_every_utterance_is_encoded_once(frozen: Any, encoded: list[int]) -> None:
    frozen("cached", "memory", *SUM)
    assert sum(encoded) == 16 + 4
    encoded.clear()
    frozen("plain", "none", *SUM)
    assert sum(encoded) > 16 + 4


def test_a_second_run_with_the_same_encoder_encodes_nothing(
    frozen: Any, encoded: list[int]
) -> None:
    first = frozen("first", "disk", *SUM)
    assert sum(encoded) == 16 + 4
    encoded.clear()
    second = frozen("second", "disk", *SUM, "optim.head_lr=0.01", "state_cache.max_gigabytes=1")
    assert not encoded
    assert "the encoder's states are in the cache" in second.printed
    assert second.batches == first.batches
    frozen("third", "disk", *SUM, "seed=1")  # other random weights
    assert sum(encoded) == 16 + 4


def test_a_run_in_memory_leaves_nothing_behind(frozen: Any) -> None:
    watched = frozen("run", "memory", *SUM)
    assert "encoder states: 20 of 20 utterances" in watched.printed
    assert not _memory(watched.folder).exists()


def test_a_stopped_run_goes_on_to_the_same_weights(frozen: Any, tmp_path: Path) -> None:
    whole = frozen("whole", "memory", *SUM)
    with pytest.raises(StopRequestedError):
        frozen("cut", "memory", *SUM, stop_after=4)
    assert not _memory(tmp_path / "cut").exists()
    rest = frozen("cut", "memory", *SUM)
    assert rest.batches == whole.batches[4:]
    for name, value in rest.weights().items():
        assert torch.equal(value, whole.weights()[name]), name
    assert rest.log() == whole.log()


@pytest.mark.slow
def test_loader_processes_read_the_same_states(frozen: Any) -> None:
    alone = frozen("alone", "disk", *SUM)
    assert frozen("workers", "disk", *SUM, "data.num_workers=1").log() == alone.log()


@pytest.mark.parametrize("share", [0.5, 2.0])
@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_audio_changed_since_prepare_is_noticed_with_both_numbers(
    frozen: Any, tmp_path: Path, tiny_corpus: Path, cache: str, share: float
) -> None:
    for split in ("fine-tune", "tune"):
        utterances = read_manifest(tiny_corpus / f"{split}.jsonl")
        there = utterances[0].num_samples
        says = int(share * there)
        utterances[0] = dataclasses.replace(
            utterances[0], num_samples=says, words=None, phones=None, entities=()
        )
        write_manifest(tmp_path / f"{split}.jsonl", utterances)
    run = frozen(cache, cache, *SUM, f"data.root={tmp_path}", "trainer.max_updates=4")
    assert list(run.fit.figures["unreadable"]) == ["fine-tune_00"]
    printed = " ".join(run.printed.split())  # as if the console were wide
    for said in ("fine-tune_00 is left out of training", "tune_00 counts as missed in tune"):
        assert f"utterance {said}: " in printed
    assert f"{there} samples at 16 kHz, but the manifest says {says}; it has" in printed


def test_unreadable_audio_is_reported_as_without_cache(
    frozen: Any, tmp_path: Path, tiny_corpus: Path
) -> None:
    for split in ("fine-tune", "tune"):
        utterances = read_manifest(tiny_corpus / f"{split}.jsonl")
        utterances[0] = dataclasses.replace(utterances[0], audio=tmp_path / "gone.wav")
        write_manifest(tmp_path / f"{split}.jsonl", utterances)
    cached, plain = (
        frozen(cache, cache, *SUM, EXACT, f"data.root={tmp_path}", "trainer.max_updates=4")
        for cache in ("memory", "none")
    )
    assert list(plain.fit.figures["unreadable"]) == ["fine-tune_00"]
    assert cached.fit.figures["unreadable"] == plain.fit.figures["unreadable"]
    assert_close(figures(cached), figures(plain), 1e-5)


def test_states_that_do_not_fit_are_computed_in_every_update(frozen: Any) -> None:
    quick = (*SUM, "trainer.max_updates=2")
    watched = frozen("run", "memory", *quick, "state_cache.max_gigabytes=1e-6")
    note = "the encoder's states take 0.0 GB, more than state_cache.max_gigabytes=1e-06; they"
    assert note in watched.printed
    assert figures(watched) == figures(frozen("none", "none", *quick))


@pytest.mark.parametrize(
    "overrides", [(*SUM, "augment=recording"), ("adaptation=full",), ("adaptation=top_layers",)]
)
def test_an_encoder_that_hears_or_says_other_things_is_not_cached(
    frozen: Any, tmp_path: Path, overrides: tuple[str, ...]
) -> None:
    watched = frozen("run", "disk", *overrides, "trainer.max_updates=1")
    assert "encoder's states" not in watched.printed and "encoder states" not in watched.printed
    assert not (tmp_path / "cache").exists()
