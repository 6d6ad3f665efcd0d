from __future__ import annotations

import dataclasses
import json
from functools import partial

import pytest
import torch
from changed_corpora import change_corpus

from slue_ner.cli.compose import compose_config
from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.models.ctc_model import CTCModel, Emissions
from slue_ner.tasks.ctc_task import CTCModule as CTCTask

WAVLM = (
    "encoder.family=wavlm",
    "~encoder.overrides",
    "+encoder.overrides.hidden_size=16",
    "+encoder.overrides.num_hidden_layers=2",
    "+encoder.overrides.num_attention_heads=2",
    "+encoder.overrides.intermediate_size=24",
    "+encoder.overrides.conv_dim=[16,16]",
    "+encoder.overrides.conv_kernel=[20,16]",
    "+encoder.overrides.conv_stride=[20,16]",
    "+encoder.overrides.num_conv_pos_embeddings=8",
    "+encoder.overrides.num_conv_pos_embedding_groups=4",
    "+encoder.overrides.num_buckets=16",
)


@pytest.fixture
def changed_corpus(tiny_corpus, tmp_path):
    """``changed_corpus("tune", change)``: the corpus with one split's manifest changed."""
    return partial(change_corpus, tiny_corpus, tmp_path / "changed")


@pytest.fixture
def weights_by_update(monkeypatch):
    """A copy of every parameter before each batch is trained on."""
    copies: list[dict[str, torch.Tensor]] = []
    step = CTCTask.training_step

    def noted(self, batch, batch_idx):
        copies.append({n: p.detach().clone() for n, p in self.model.named_parameters()})
        return step(self, batch, batch_idx)

    monkeypatch.setattr(CTCTask, "training_step", noted)
    return copies


def test_a_run_reports_what_it_did(train, tmp_path):
    done = train(tmp_path).fit
    assert done.figures["updates"] == 6
    assert done.figures["num_train_utterances"] == 16
    assert done.figures["unreadable"] == {}
    assert done.figures["audio_seconds"] > 6
    assert done.report.strategy == "full"
    json.dumps(done.figures, allow_nan=False)


def test_nothing_is_printed_but_our_own_lines(train, tmp_path, capfd):
    watched = train(tmp_path)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
    first, *lines = watched.printed.splitlines()
    assert first.startswith("default: encoder wav2vec2-bert with random weights, adaptation full; ")
    assert first.endswith("fine-tune.jsonl; 6 updates on CPU, 1 thread, 32-true")
    for line in lines:
        assert line.startswith(("adaptation full: ", "update ")), line


def test_a_frozen_encoder_stays_as_it_is_until_its_updates_are_over(
    train, tmp_path, weights_by_update, monkeypatch
):
    checked = []
    monkeypatch.setattr(
        "slue_ner.training.module.check_gradients",
        lambda module, *, trainable, what: checked.append(len(trainable)),
    )
    options = ("adaptation.freeze_updates=2", "trainer.accumulate=2", "trainer.max_updates=4")
    train(tmp_path, *options)
    start, before_release, after = (weights_by_update[i] for i in (0, 4, 6))
    encoder = [name for name in start if name.startswith("encoder.")]
    assert all(torch.equal(start[name], before_release[name]) for name in encoder)
    assert not torch.equal(start["head.projection.bias"], before_release["head.projection.bias"])
    moved = [name for name in encoder if not torch.equal(before_release[name], after[name])]
    assert len(moved) > len(encoder) / 2
    assert checked[0] == 2  # the head's weight and bias
    assert checked[1] > 2  # and the guard runs again when the encoder is released
    assert len(checked) == 2


def test_a_run_stopped_while_frozen_is_released_on_time(train, tmp_path):
    from slue_ner.training.checkpoints import StopRequestedError

    option = "adaptation.freeze_updates=3"
    whole = train(tmp_path / "whole", option)
    with pytest.raises(StopRequestedError):
        train(tmp_path / "cut", option, stop_after=2)
    rest = train(tmp_path / "cut", option)
    for name, tensor in rest.weights().items():
        assert torch.equal(tensor, whole.weights()[name]), name


def test_a_head_that_learns_alone_to_the_end_is_a_note(train, tmp_path):
    done = train(tmp_path, "adaptation.freeze_updates=6")
    assert (
        "note: adaptation.freeze_updates=6 leaves none of trainer.max_updates=6 to the encoder"
        in done.printed
    )


def test_utterances_too_short_to_be_masked_are_counted(train, tmp_path):
    masking = ("encoder.mask_time_prob=0.5", "+encoder.mask_time_length=50")  # one second
    printed = " ".join(train(tmp_path, *masking, "trainer.max_updates=1").printed.split())
    # 0.6 s and 0.9 / 16 s more each: number 7 is the last one that is shorter
    assert "never masked, shorter than mask_time_length=50 frames: 8 utterances" in printed


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("trainer.precision=16-mixed", "trainer.precision=16-mixed needs a GPU; use 32-true or"),
        ("trainer.accelerator=gpu", "trainer.accelerator=gpu, but torch sees no GPU here"),
    ],
)
def test_what_this_machine_cannot_run_is_refused(train, tmp_path, monkeypatch, option, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=message):
        train(tmp_path, option)


def test_accumulation_follows_the_mean_of_the_batches_means(train, tmp_path):
    # batches of one utterance, eight an update, against the mean gradient worked out by hand
    options = (
        "trainer.accumulate=8",
        "data.batch_seconds=0.1",
        "trainer.max_updates=1",
        "encoder.dropout=0.0",
        "optim.gradient_clip=0.0",
    )
    gradients: list[dict[str, torch.Tensor]] = []
    after_backward = CTCTask.on_after_backward

    def noted(self) -> None:
        gradients.append(
            {n: p.grad.clone() for n, p in self.model.named_parameters() if p.grad is not None}
        )
        after_backward(self)

    losses = []
    step = CTCTask.training_step

    def watched(self, batch, batch_idx):
        loss = step(self, batch, batch_idx)
        losses.append((loss, [p for p in self.model.parameters() if p.requires_grad]))
        expected.append(torch.autograd.grad(loss, losses[-1][1], retain_graph=True))
        return loss

    expected: list[tuple[torch.Tensor, ...]] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CTCTask, "on_after_backward", noted)
        patched.setattr(CTCTask, "training_step", watched)
        train(tmp_path, *options)
    assert len(expected) == 8
    means = [torch.stack(parts).mean(dim=0) for parts in zip(*expected, strict=True)]
    for found, mean in zip(gradients[7].values(), means, strict=True):
        torch.testing.assert_close(found, mean, rtol=1e-4, atol=1e-6)


def test_bf16_trains_on_a_cpu_and_keeps_ctc_in_float32(train, tmp_path):
    watched = train(tmp_path, "trainer.precision=bf16-mixed")
    losses = [float(value) for _, name, value in watched.log() if name == "train_loss"]
    assert len(losses) == 6 and losses[-1] < losses[0]
    assert {tensor.dtype for tensor in watched.weights().values()} == {torch.float32}


@pytest.mark.parametrize("update", [0, 2])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_ids(
    train, tmp_path, monkeypatch, update
):
    forward = CTCModel.forward
    seen = []

    def broken(self, waveforms, num_samples):
        emissions = forward(self, waveforms, num_samples)
        seen.append(emissions)
        if len(seen) <= update:
            return emissions
        log_probs = emissions.log_probs.clone()
        log_probs[0] = float("nan")
        return Emissions(log_probs, emissions.num_frames)

    monkeypatch.setattr(CTCModel, "forward", broken)
    message = rf"the loss of fine-tune_\d\d is not finite at update {update}; lower optim.lr"
    with pytest.raises(ValueError, match=message):
        train(tmp_path)
    assert not (tmp_path / "checkpoints/last.safetensors").exists()


def test_targets_longer_than_the_audio_are_left_out_of_training_and_listed(
    train, tmp_path, changed_corpus
):
    def lengthen(index, utterance):
        text = utterance.text + " and so on" * 20 if index < 2 else utterance.text
        return dataclasses.replace(utterance, text=text)

    root = changed_corpus("fine-tune", lengthen)
    watched = train(tmp_path / "run", root, "trainer.max_updates=3", "data.max_seconds=1.4")
    assert "more symbols than frames: 2 utterances (fine-tune_00, fine-tune_01)" in watched.printed
    assert "longer than 1.4 s: 1 utterances (fine-tune_15)" in watched.printed
    assert watched.fit.figures["left_out"] == {
        "more symbols than frames": 2,
        "longer than 1.4 s": 1,
    }
    assert not {"fine-tune_00", "fine-tune_15"} & {id for ids in watched.batches for id in ids}


def test_targets_longer_than_the_audio_stay_in_validation(train, tmp_path, changed_corpus):
    root = changed_corpus(
        "tune", lambda _, u: dataclasses.replace(u, text=u.text + " and so on" * 20)
    )
    values = {name: value for _, name, value in train(tmp_path / "run", root).log()}
    assert values["val_loss"] == "0.0"  # no target can be written at all
    assert float(values["val_wer"]) > 0.5


def test_lora_that_trains_nothing_is_refused(train, tmp_path):
    with pytest.raises(ValueError, match="WavLM's stock attention bypasses adapters, set stock"):
        train(tmp_path, *WAVLM, "adaptation=lora", "+encoder.stock_attention=true")


def test_lora_trains_wavlm_with_our_attention(train, tmp_path):
    figures = train(tmp_path, *WAVLM, "adaptation=lora", "trainer.max_updates=1").fit
    assert figures.report.num_trainable == 2 * 4 * 2 * 8 * 16  # blocks, targets, A and B, rank, D


def test_unreadable_audio_is_skipped_counted_and_named(train, tmp_path, changed_corpus):
    def lose(index, utterance):
        return dataclasses.replace(
            utterance, audio=utterance.audio.parent / "gone.wav" if not index else utterance.audio
        )

    root = changed_corpus("fine-tune", lose)
    watched = train(tmp_path / "run", root, "data.batch_seconds=0.1", "trainer.max_updates=20")
    assert list(watched.fit.figures["unreadable"]) == ["fine-tune_00"]
    assert "no such audio file" in watched.fit.figures["unreadable"]["fine-tune_00"]
    assert () in watched.batches  # a batch of nothing else goes by
    (said,) = (line for line in watched.printed.splitlines() if "is left out of" in line)
    assert said.startswith("utterance fine-tune_00 is left out of training: ")
    assert said.endswith("gone.wav: no such audio file")
    assert "trained without 1 utterances (fine-tune_00), whose audio cannot be read" in (
        watched.printed
    )


def test_more_than_one_percent_of_unreadable_audio_stops_the_run(train, tmp_path, changed_corpus):
    def lose(index, utterance):
        audio = utterance.audio.parent / f"gone{index}.wav" if index < 2 else utterance.audio
        return dataclasses.replace(utterance, audio=audio)

    root = changed_corpus("fine-tune", lose)
    with pytest.raises(
        ValueError, match=r"2 of 16 training files .* than 1%:\n  fine-tune_0[01]: "
    ):
        train(tmp_path / "run", root)


def test_unreadable_audio_in_tune_counts_as_missed(train, tmp_path, changed_corpus):
    root = changed_corpus(
        "tune", lambda i, u: dataclasses.replace(u, audio=u.audio.parent / "gone.wav")
    )
    watched = train(tmp_path / "run", root)
    values = {name: value for _, name, value in watched.log()}
    assert values["val_wer"] == "1.0"
    assert watched.printed.count("utterance tune_00 counts as missed in tune: ") == 1


@pytest.mark.parametrize("task", ["ctc_tagged", "ctc_plain"])
def test_texts_with_marks_are_left_out_of_training_and_tune(train, tmp_path, tiny_corpus, task):
    for name in ("fine-tune", "tune", "dev"):
        first, *rest = read_manifest(tiny_corpus / f"{name}.jsonl")
        text = f"{first.text} r & d a|b"
        marked = dataclasses.replace(first, text=text, words=None, entities=())
        write_manifest(tmp_path / "data" / f"{name}.jsonl", [marked, *rest])
    overrides = (f"task={task}", "trainer.max_updates=1", f"data.root={tmp_path / 'data'}")
    watched = train(tmp_path / "run", *overrides)
    assert "val_wer" in {name for _, name, _ in watched.log()}


def test_an_empty_training_or_tune_split_is_refused(train, tmp_path, tiny_corpus):
    folder = tmp_path / "changed"
    for name in ("fine-tune", "tune", "dev"):
        write_manifest(folder / f"{name}.jsonl", read_manifest(tiny_corpus / f"{name}.jsonl"))
    write_manifest(folder / "tune.jsonl", [])
    with pytest.raises(ValueError, match=r"data.tune=tune holds 0 utterances"):
        train(tmp_path / "run", f"data.root={folder}")
    with pytest.raises(ValueError, match="there is no utterance to train on"):
        train(tmp_path / "other", "data.max_seconds=0.1")


def test_plain_targets_train_a_recognizer(train, tmp_path):
    watched = train(tmp_path, "task=ctc_plain", "trainer.max_updates=3")
    names = {name for _, name, _ in watched.log()}
    assert "val_wer" in names and "val_f1" not in names
    assert json.loads((tmp_path / "vocabulary.json").read_text())["labels"] is None


@pytest.mark.parametrize("variables", [{}, {"RANK": "0", "WORLD_SIZE": "3"}])
def test_devices_need_as_many_processes(train, tmp_path, monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    started = variables.get("WORLD_SIZE", "1")
    with pytest.raises(ValueError, match=f"but {started} were started: .*torchrun --standalone "):
        train(tmp_path, "trainer.devices=2")


@pytest.mark.parametrize("strategy", ["frozen_weighted_sum", "lora"])
def test_a_head_on_a_loaded_encoder_learns_at_the_rates_of_its_strategy(
    train, tiny_overrides, tmp_path, strategy
):
    def last_loss(name, *rates):
        losses = train(
            tmp_path / name,
            *("~encoder.family", "~encoder.overrides", "+encoder.source=small-sfm"),
            *("encoder.dropout=0", "data.batch_seconds=24", f"adaptation={strategy}", *rates),
            *("trainer.max_updates=30", "trainer.validate_every=30"),
        ).logged("train_loss")
        return losses[-1]

    brought = compose_config([f"adaptation={strategy}"])["optim"]
    head_rate = brought["head_lr"] or "null"
    own = last_loss("own", f"optim.lr={brought['lr']}", f"optim.head_lr={head_rate}")
    shared = last_loss("shared", "optim.lr=5e-5", "optim.head_lr=5e-5")
    assert own < 0.6 * shared


def test_entities_that_are_not_known_teach_none(train, tmp_path, tiny_corpus):
    unknown = [
        dataclasses.replace(utterance, split="unlabelled", entities=())
        for utterance in read_manifest(tiny_corpus / "dev.jsonl")
    ]
    write_manifest(tmp_path / "unlabelled.jsonl", unknown)
    more = f"data.also_train=[{tmp_path}/unlabelled.jsonl]"
    with pytest.raises(ValueError, match=r"of 4 utterances of unlabelled\.jsonl, first dev_00, "):
        train(tmp_path / "run", more)
    train(tmp_path / "plain", more, "task=ctc_plain", "trainer.max_updates=1")
