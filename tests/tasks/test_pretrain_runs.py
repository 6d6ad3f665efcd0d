from __future__ import annotations

import dataclasses
import json
import re

import pytest
import torch

from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.tasks.pretraining import PretrainModule as PretrainTask
from slue_ner.training.checkpoints import StopRequestedError

QUICK = "trainer.max_updates=1"
SEVERAL = (
    "trainer.max_updates=6",
    "trainer.validate_every=1",
    "data.tune=fine-tune",  # the tones of tune are all low, so what is learned may not help there
    "data.batch_seconds=24",  # all utterances in every update
    "optim=constant",
    "optim.lr=0.01",
)
MASKED = "task.objective=masked"


def assert_same_weights(one, other) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.fixture
def pretrain(train, tiny_pretraining):
    """``pretrain(folder, "task.units=phones")``: a tiny run, as ``train``."""
    return lambda folder, *overrides, **options: train(
        folder, *tiny_pretraining, *overrides, **options
    )


@pytest.mark.parametrize(
    ("objective", "units"),
    [
        ("masked", "letters"),
        ("supervised", "letters"),
        ("supervised", "phones"),
        ("both", "phones"),
    ],
)
def test_every_objective_learns(pretrain, tmp_path, objective, units):
    watched = pretrain(tmp_path, *SEVERAL, f"task.objective={objective}", f"task.units={units}")
    losses = watched.logged("val_loss")
    assert losses[-1] < 0.95 * losses[0]
    assert watched.logged("train_loss")[-1] < watched.logged("train_loss")[0]
    for name in ("train_masked_loss", "val_masked_loss", "val_masked_accuracy"):
        assert bool(watched.logged(name)) == (objective != "supervised"), name
    for name in ("train_ctc_loss", "val_ctc_loss", "val_unit_error_rate"):
        assert bool(watched.logged(name)) == (objective != "masked"), name


def test_the_best_weights_are_those_with_the_least_loss(pretrain, tmp_path):
    watched = pretrain(tmp_path, MASKED, "trainer.validate_every=1", "optim.lr=0.1")
    losses = watched.logged("val_loss")
    assert watched.fit.figures["best_update"] == 1 + losses.index(min(losses))


def test_a_run_says_what_it_did(pretrain, tmp_path):
    watched = pretrain(tmp_path, QUICK, "task.units=phones")
    # 10 letters and 3 special symbols
    assert re.search(r"16 utterances, \d+ s; 13 symbols", watched.printed)
    assert "clusters of MFCC: phone purity" in watched.printed
    assert json.loads((tmp_path / "vocabulary.json").read_text())["labels"] is None
    assert json.loads((tmp_path / "clusters.json").read_text())["num_clusters"] == 8
    assert watched.fit.figures["model_parameters"] > watched.fit.report.num_total


@pytest.mark.parametrize(
    ("options", "stop_after"),
    [((MASKED,), 4), (("task.objective=both", "task.units=phones", "augment=recording"), 1)],
)
def test_a_resumed_run_ends_with_the_same_weights(pretrain, tmp_path, options, stop_after):
    whole = pretrain(tmp_path / "whole", *options)
    with pytest.raises(StopRequestedError, match=f"stopped at update {stop_after};"):
        pretrain(tmp_path / "cut", *options, stop_after=stop_after)
    rest = pretrain(tmp_path / "cut", *options)
    assert rest.batches == whole.batches[stop_after:]
    assert_same_weights(rest.weights(), whole.weights())
    assert_same_weights(rest.weights("best"), whole.weights("best"))
    assert rest.log() == whole.log()
    assert "clusters of" not in rest.printed  # they are fitted once


def test_the_clusters_are_no_part_of_a_checkpoint(pretrain, tmp_path):
    watched = pretrain(tmp_path, QUICK, MASKED)
    state = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    for names in (state["state_dict"], watched.weights()):
        assert not [name for name in names if "centroid" in name or "clusters." in name]


@pytest.mark.parametrize("objective", ["masked", "both"])
def test_hiding_nothing_is_refused(pretrain, tmp_path, objective):
    message = rf"task.objective={objective} hides frames, so encoder.mask_time_prob must be above 0"
    with pytest.raises(ValueError, match=message):
        pretrain(tmp_path, f"task.objective={objective}", "encoder.mask_time_prob=0.0")


def test_supervision_may_hide_nothing(pretrain, tmp_path):
    options = (QUICK, "task.objective=supervised", "encoder.mask_time_prob=0.0")
    assert pretrain(tmp_path, *options).fit.figures["updates"] == 1


def test_unlabelled_audio_is_trained_on_too(pretrain, tmp_path, phone_corpus):
    more = f"data.unlabelled=[{phone_corpus}/dev.jsonl]"
    both = pretrain(tmp_path / "both", more)
    assert both.fit.figures["num_train_utterances"] == 20
    assert {id for ids in both.batches for id in ids} >= {f"dev_{n:02}" for n in range(4)}
    supervised = pretrain(tmp_path / "supervised", QUICK, more, "task.objective=supervised")
    assert supervised.fit.figures["left_out"] == {"no letters": 4}


def test_a_first_batch_without_any_units_passes_the_check_of_gradients(
    pretrain, tmp_path, phone_corpus
):
    # batches of one utterance in order of length, up to 5 % of jitter: the first six are short
    for name in ("fine-tune", "tune", "dev"):
        utterances = read_manifest(phone_corpus / f"{name}.jsonl")
        if name == "fine-tune":
            nothing = {"text": "", "entities": (), "phones": ()}
            utterances[:6] = [dataclasses.replace(u, **nothing) for u in utterances[:6]]
        write_manifest(tmp_path / f"{name}.jsonl", utterances)
    watched = pretrain(
        tmp_path / "run",
        f"data.root={tmp_path}",
        "data.short_first=true",
        "data.batch_seconds=0.1",
        "trainer.max_updates=9",
    )
    losses = watched.logged("train_ctc_loss")
    assert losses[:4] == [0.0] * 4
    assert losses[8] > 0


def test_phones_that_no_utterance_has_are_refused(pretrain, tmp_path, tiny_corpus):
    options = (f"data.root={tiny_corpus}", "task.units=phones")
    with pytest.raises(ValueError, match="no training utterance has phones to learn from; prepare"):
        pretrain(tmp_path, *options)


@pytest.mark.parametrize("strategy", ["reinit", "lora", "truncate", "top_layers"])
def test_strategies_apply_to_pretraining_too(pretrain, tmp_path, strategy):
    watched = pretrain(tmp_path, QUICK, f"adaptation={strategy}")
    assert watched.fit.report.strategy == strategy


def test_a_validation_does_not_touch_the_chance_of_training(pretrain, tmp_path, monkeypatch):
    seeded = []
    for module, name in ((torch, "manual_seed"), (torch.cuda, "manual_seed_all")):
        original = getattr(module, name)

        def noted(seed, original=original):
            seeded.append(seed)
            return original(seed)

        monkeypatch.setattr(module, name, noted)
    started = []
    step = PretrainTask.training_step
    monkeypatch.setattr(
        PretrainTask,
        "training_step",
        lambda self, *batch: started.append(len(seeded)) or step(self, *batch),
    )
    watched = pretrain(tmp_path, MASKED, "trainer.validate_every=1")
    assert len(watched.logged("val_masked_loss")) == 6
    assert seeded and len(seeded) == started[0]  # the run's own seed, before its first update
