from __future__ import annotations

import dataclasses
import json
from functools import partial

import pytest
import torch
from changed_corpora import change_corpus

from slue_ner.core.types import EntitySpan
from slue_ner.evaluation.counts import Counts
from slue_ner.tasks.frame_task import best_counts
from slue_ner.training.checkpoints import StopRequestedError

QUICK = "trainer.max_updates=1"
SCHEMES = ("binary", "bio", "per_label")


def assert_same_weights(one, other) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.fixture
def train_frames(train, timed_corpus):
    """``train_frames(folder, "task.scheme=bio")``: a tiny run of a frame head, as ``train``."""
    common = (f"data.root={timed_corpus}", "task=frames", "task.head.size=8")
    return lambda folder, *overrides, **options: train(folder, *common, *overrides, **options)


@pytest.fixture
def changed_corpus(timed_corpus, tmp_path):
    """``changed_corpus("tune", change)``: the corpus with one split's manifest changed."""
    return partial(change_corpus, timed_corpus, tmp_path / "changed")


def without_times(utterance):
    entities = tuple(
        EntitySpan(e.label, e.phrase, e.start_char, e.end_char) for e in utterance.entities
    )
    return dataclasses.replace(utterance, words=None, entities=entities)


@pytest.mark.parametrize("head", ["linear", "conv", "transformer"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_runs_with_every_head(train_frames, tmp_path, scheme, head):
    losses = ("task.gamma=2.0", "task.positive_weight=2.0", "task.iou_weight=0.5")
    options = (QUICK, f"task.scheme={scheme}", f"task.head.kind={head}", *losses)
    watched = train_frames(tmp_path, *options)
    assert watched.fit.figures["num_train_utterances"] == 16
    assert 0 < watched.logged("val_frame_f1")[0] <= 1
    rows = {"binary": 1, "bio": 15, "per_label": 7}[scheme]
    assert len(watched.weights()["frame_head.projection.bias"]) == rows


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_tone_inside_entities_is_learned(train_frames, tmp_path, scheme):
    watched = train_frames(
        tmp_path,
        f"task.scheme={scheme}",
        "optim=constant",
        "optim.lr=0.01",
        "optim.head_lr=0.01",
        "encoder.dropout=0.0",
        "data.batch_seconds=24",
        "trainer.max_updates=20",
        "trainer.validate_every=20",
    )
    assert watched.logged("val_frame_f1")[-1] > 0.9
    assert watched.logged("train_loss")[-1] < 0.5 * watched.logged("train_loss")[0]


def test_states_of_a_frozen_encoder_are_computed_once_and_change_nothing(train_frames, tmp_path):
    options = ("adaptation=frozen_weighted_sum", "state_cache.dtype=float32", "task.ctc_weight=0.5")
    cached = train_frames(tmp_path / "cached", *options)
    assert "encoder states: 20 of 20 utterances" in cached.printed
    fresh = train_frames(tmp_path / "fresh", *options, "state_cache=none")
    for name, tensor in cached.weights().items():
        torch.testing.assert_close(tensor, fresh.weights()[name], rtol=1e-4, atol=1e-5)
    assert cached.weights()["mixing.logits"].any()


@pytest.mark.parametrize("strategy", ["lora", "reinit", "truncate"])
def test_strategies_apply_to_frame_heads_too(train_frames, tmp_path, strategy):
    watched = train_frames(tmp_path, QUICK, f"adaptation={strategy}")
    assert watched.fit.report.strategy == strategy


@pytest.mark.parametrize("options", [("task=frames_joint",), ("augment=recording",)])
def test_a_resumed_run_ends_with_the_same_weights(train_frames, tmp_path, options):
    whole = train_frames(tmp_path / "whole", *options)
    with pytest.raises(StopRequestedError, match="stopped at update 2;"):
        train_frames(tmp_path / "cut", *options, stop_after=2)
    rest = train_frames(tmp_path / "cut", *options)
    assert rest.batches == whole.batches[2:]
    assert_same_weights(rest.weights(), whole.weights())
    assert_same_weights(rest.weights("best"), whole.weights("best"))
    assert rest.log() == whole.log()


def test_the_best_weights_are_those_with_the_best_frame_f1(train_frames, tmp_path):
    watched = train_frames(tmp_path, "trainer.validate_every=1", "optim.lr=0.02")
    scores = watched.logged("val_frame_f1")
    assert watched.logged("val_monitor") == scores
    assert scores[watched.fit.figures["best_update"] - 1] == max(scores)


@pytest.mark.parametrize("target", ["plain", "tagged"])
def test_joint_training_writes_text_too(train_frames, tmp_path, target):
    watched = train_frames(
        tmp_path, "trainer.max_updates=3", "task.ctc_weight=1.0", f"task.ctc_target={target}"
    )
    vocabulary = json.loads((tmp_path / "vocabulary.json").read_text())
    assert vocabulary["labels"] == (None if target == "plain" else "combined")
    assert len(watched.weights()["head.projection.bias"]) == len(vocabulary["symbols"])
    assert watched.logged("val_wer")


def test_a_frame_head_alone_has_no_vocabulary(train_frames, tmp_path):
    watched = train_frames(tmp_path, QUICK)
    assert not (tmp_path / "vocabulary.json").exists()
    assert not [name for name in watched.weights() if name.startswith("head.")]
    assert not watched.logged("val_wer")


def test_utterances_without_times_are_left_out_and_counted(train_frames, tmp_path, changed_corpus):
    root = changed_corpus("fine-tune", lambda i, u: without_times(u) if i < 3 else u)
    watched = train_frames(tmp_path / "run", root, QUICK)
    reason = "entities without times, run `slue-ner align` first"
    assert f"{reason}: 3 utterances (fine-tune_00, fine-tune_01, fine-tune_02)" in watched.printed
    assert watched.fit.figures["left_out"] == {reason: 3}
    assert watched.fit.figures["num_train_utterances"] == 13


@pytest.mark.parametrize(("split", "key"), [("fine-tune", "train"), ("tune", "tune")])
def test_a_split_without_any_times_is_refused(train_frames, tmp_path, changed_corpus, split, key):
    root = changed_corpus(split, lambda _, u: without_times(u))
    message = rf"data.{key}={split} has no entity with times; .* run `slue-ner align`"
    with pytest.raises(ValueError, match=message):
        train_frames(tmp_path / "run", root)


def test_entities_in_unreadable_audio_count_as_missed(train_frames, tmp_path, changed_corpus):
    root = changed_corpus(
        "tune", lambda _, u: dataclasses.replace(u, audio=u.audio.parent / "gone.wav")
    )
    watched = train_frames(tmp_path / "run", root, QUICK)
    assert watched.logged("val_frame_recall") == [0.0]
    assert watched.logged("val_loss") == [0.0]


def test_the_best_threshold_is_the_one_with_the_best_f1():
    frames = torch.zeros(2, 100, dtype=torch.long)
    frames[0, 10], frames[0, 60] = 90, 10  # outside: 90 frames near 0.1, 10 near 0.6
    frames[1, 40], frames[1, 80] = 20, 30  # inside: 20 near 0.4, 30 near 0.8
    # from 0.11 to 0.40: tp 50, fp 10, fn 0, F1 100/110; from 0.61: tp 30, fn 20, F1 60/80
    counts, threshold = best_counts(frames)
    assert counts == Counts(50, 10, 0)
    assert threshold == 0.11


def test_nothing_to_find_is_an_f1_of_zero():
    assert best_counts(torch.zeros(2, 100, dtype=torch.long))[0].f1 == 0.0
