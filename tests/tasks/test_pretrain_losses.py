from __future__ import annotations

import dataclasses
import io

import pytest
import torch
from rich.console import Console
from torch.nn import functional

from slue_ner.core.records import read_manifest
from slue_ner.data.loading.loaders import evaluation_loader
from slue_ner.models.ctc_model import Emissions
from slue_ner.models.encoder.frames import valid_positions
from slue_ner.models.pretrain_model import Guesses
from slue_ner.models.training_checks import check_gradients
from slue_ner.tasks.registry import run_config
from slue_ner.training.task import TrainingData


@pytest.fixture
def build(tiny_values, tiny_pretraining, phone_corpus, tmp_path):
    """``build("task.objective=both")``: a task ready to compute losses; what it logs is kept."""

    def made(*overrides):
        config = run_config(tiny_values(*tiny_pretraining, "encoder.dropout=0.0", *overrides))
        train = read_manifest(phone_corpus / "fine-tune.jsonl")
        tune = read_manifest(phone_corpus / "tune.jsonl")
        task = config.task.build(config, TrainingData(train, tune)).module
        task.folder, task.console = tmp_path, Console(file=io.StringIO())
        task.prepare_data()
        task.setup("fit")
        task.logged = {}
        task.log = lambda name, value, **_: task.logged.update({name: float(value)})
        task.log_dict = lambda values, **_: task.logged.update(values)
        return task.eval()

    return made


@pytest.fixture
def utterances(phone_corpus):
    return read_manifest(phone_corpus / "tune.jsonl")


def unlabelled(utterance):
    return dataclasses.replace(utterance, text="", phones=None, entities=())


def batch_of(task, utterances):
    (batch,) = evaluation_loader(
        utterances, batch_seconds=100.0, target=task.target, min_samples=task.model.grid.window
    )
    return batch


def hide(task, *, every: int | None):
    """From now on every so many-th frame of every utterance is hidden, or none."""

    def draw(num_frames, total, generator=None):
        places = torch.arange(total).expand(len(num_frames), -1)
        hidden = (
            torch.zeros_like(places, dtype=torch.bool) if every is None else places % every == 0
        )
        return hidden & valid_positions(num_frames, total)

    task.encoder.spec_augment.draw = draw


def test_the_masked_loss_is_the_mean_over_hidden_frames(build, utterances):
    task = build("task.objective=masked")
    hide(task, every=3)
    batch = batch_of(task, utterances)
    loss, of_utterances = task.losses(batch)
    total, count = 0.0, 0
    for i, length in enumerate(batch.num_samples.tolist()):
        waveform, num_samples = batch.waveforms[i : i + 1, :length], batch.num_samples[i : i + 1]
        num_frames = task.model.grid.num_frames(length)
        hidden = torch.arange(num_frames)[None] % 3 == 0
        guesses = task.model(waveform, num_samples, hidden).clusters[0, ::3]
        clusters = task.clusters(waveform, num_samples)[0, ::3]
        part = float(functional.cross_entropy(guesses, clusters, reduction="sum").detach())
        assert float(of_utterances[i]) == pytest.approx(part, rel=1e-4)
        total, count = total + part, count + len(clusters)
    assert float(loss.detach()) == pytest.approx(total / count, rel=1e-4)
    assert task.logged == {"train_masked_loss": float(loss.detach())}


def test_clusters_are_those_of_the_audio_before_noise_was_added(build, utterances):
    task = build("task.objective=masked")
    hide(task, every=1)
    clean = batch_of(task, utterances)
    noise = 0.3 * torch.randn(clean.waveforms.shape, generator=torch.Generator().manual_seed(0))
    valid = valid_positions(clean.num_samples, clean.waveforms.shape[1])
    noisy = dataclasses.replace(clean, waveforms=clean.waveforms + noise * valid)
    assert not torch.equal(
        task.clusters(clean.waveforms, clean.num_samples),
        task.clusters(noisy.waveforms, noisy.num_samples),
    )
    # with every frame hidden the guesses are the same for all audio: the clusters alone count
    both = dataclasses.replace(noisy, clean=clean.waveforms)
    losses = [float(task.losses(batch)[0].detach()) for batch in (clean, both, noisy)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert losses[2] != pytest.approx(losses[0], rel=1e-4)


def test_unlabelled_audio_does_not_change_the_unit_loss(build, utterances):
    task = build("task.objective=both")
    hide(task, every=None)
    labelled, others = utterances[:2], [unlabelled(u) for u in utterances[2:]]
    task.losses(batch_of(task, labelled))
    alone = task.logged["train_ctc_loss"]
    _, of_utterances = task.losses(mixed := batch_of(task, [*labelled, *others]))
    assert task.logged["train_ctc_loss"] == pytest.approx(alone, rel=1e-4)
    parts = dict(zip(mixed.ids, of_utterances.tolist(), strict=True))
    assert all(parts[u.id] > 0 for u in labelled)
    assert all(parts[u.id] == 0 for u in others)  # nothing is hidden here


def test_unlabelled_audio_takes_part_in_masked_prediction(build, utterances):
    task = build("task.objective=both")
    hide(task, every=1)
    losses, frames = [], []
    for part in (utterances[:2], [unlabelled(u) for u in utterances[2:]]):
        batch = batch_of(task, part)
        task.losses(batch)
        losses.append(task.logged["train_masked_loss"])
        frames.append(sum(task.model.grid.num_frames(n) for n in batch.num_samples.tolist()))
    task.losses(batch_of(task, [*utterances[:2], *map(unlabelled, utterances[2:])]))
    expected = (losses[0] * frames[0] + losses[1] * frames[1]) / sum(frames)
    assert task.logged["train_masked_loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("units", ["letters", "phones"])
def test_a_batch_without_units_has_no_unit_loss_and_a_gradient_everywhere(build, utterances, units):
    task = build("task.objective=both", f"task.units={units}").train()
    loss, _ = task.losses(batch_of(task, [unlabelled(u) for u in utterances]))
    assert task.logged["train_ctc_loss"] == 0.0
    assert float(loss.detach()) == pytest.approx(task.logged["train_masked_loss"])
    loss.backward()
    trainable = [name for name, p in task.model.named_parameters() if p.requires_grad]
    check_gradients(task.model, trainable=trainable, what="this batch")
    assert all(p.grad.isfinite().all() for p in task.model.parameters() if p.requires_grad)
    assert not task.model.head.projection.weight.grad.any()


def test_a_batch_too_short_to_hide_anything_has_a_gradient_everywhere(build, utterances):
    task = build("task.objective=masked", "encoder.mask_time_length=1000").train()
    loss, _ = task.losses(batch_of(task, utterances))
    assert float(loss.detach()) == 0.0
    loss.backward()
    assert all(p.grad is not None for p in task.model.parameters() if p.requires_grad)


def test_what_is_hidden_in_training_is_what_is_guessed(build, utterances, monkeypatch):
    task = build("task.objective=masked").train()
    batch = batch_of(task, utterances)
    drawn, entered = [], []
    draw = task.encoder.spec_augment.draw
    monkeypatch.setattr(
        task.encoder.spec_augment,
        "draw",
        lambda *args, **options: drawn.append(draw(*args, **options)) or drawn[-1],
    )
    task.encoder.spec_augment.register_forward_hook(
        lambda module, inputs, output: entered.append((inputs[0], output))
    )
    task.losses(batch)
    ((hidden,), ((before, after),)) = drawn, entered  # drawn once, not again by the encoder
    embedding = task.encoder.model.masked_spec_embed
    assert hidden.any() and not hidden.all()
    assert torch.equal(after[hidden], embedding.expand(int(hidden.sum()), -1))
    assert torch.equal(after[~hidden], before[~hidden])


def test_supervision_alone_hides_what_the_encoder_chooses(build, utterances):
    task = build("task.objective=supervised").train()
    batch = batch_of(task, utterances)
    torch.manual_seed(0)
    one, other = (float(task.losses(batch)[0].detach()) for _ in range(2))
    assert one != other
    assert set(task.logged) == {"train_ctc_loss"}
    assert not (task.folder / "clusters.json").exists()


def validate(task, batch) -> dict[str, float]:
    with torch.no_grad():
        task.validation_step(batch, 0)
        task.on_validation_epoch_end()
    return task.logged


def test_validation_hides_the_same_frames_every_time_and_disturbs_no_randomness(build, utterances):
    task = build("task.objective=both")
    batch = batch_of(task, utterances)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = dict(validate(task, batch))
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    assert validate(task, batch) == first
    assert first["val_loss"] == pytest.approx(first["val_masked_loss"] + first["val_ctc_loss"])
    assert first["val_monitor"] == first["val_loss"]


@pytest.fixture
def perfect(monkeypatch):
    """``perfect(task, batch)``: the model guesses every cluster and writes every unit."""

    def install(task, batch, *, wrong_clusters=(), lost_units=()):
        total = task.model.grid.num_frames(batch.waveforms.shape[1])
        num_frames = 1 + (batch.num_samples - task.model.grid.window) // task.model.grid.hop
        clusters = task.clusters(batch.waveforms, batch.num_samples)
        logits = 20.0 * functional.one_hot(clusters, task.options.num_clusters).float()
        for row, frame in wrong_clusters:
            logits[row, frame] = logits[row, frame].roll(1)
        written = torch.zeros(len(batch), total, dtype=torch.long)  # blanks
        for row, target in enumerate(batch.targets):
            length = int(batch.num_targets[row])
            written[row, : 2 * length : 2] = target[:length]
        for row, unit in lost_units:
            written[row, 2 * unit] = 0
        size = len(task.vocabulary)
        log_probs = (20.0 * functional.one_hot(written, size)).log_softmax(-1)
        guesses = Guesses(logits, Emissions(log_probs, num_frames), num_frames)
        monkeypatch.setattr(task.model, "forward", lambda *_, **__: guesses)

    return install


def test_guessing_everything_right_is_full_marks(build, utterances, perfect):
    task = build("task.objective=both")
    hide(task, every=2)
    batch = batch_of(task, utterances)
    perfect(task, batch)
    found = validate(task, batch)
    assert found["val_masked_accuracy"] == found["val_unmasked_accuracy"] == 1.0
    assert found["val_unit_error_rate"] == 0.0
    assert found["val_masked_loss"] < 1e-6


def test_accuracies_and_unit_errors_are_counted_over_the_whole_split(build, utterances, perfect):
    task = build("task.objective=both")
    hide(task, every=2)  # frames 0, 2, 4, ...
    batch = batch_of(task, utterances)
    # three hidden frames and one seen frame wrong, two units of different utterances not written
    perfect(
        task,
        batch,
        wrong_clusters=[(0, 0), (0, 2), (1, 4), (3, 1)],
        lost_units=[(0, 0), (2, 3)],
    )
    found = validate(task, batch)
    num_frames = [task.model.grid.num_frames(n) for n in batch.num_samples.tolist()]
    num_hidden = sum((n + 1) // 2 for n in num_frames)
    num_seen = sum(n // 2 for n in num_frames)
    assert found["val_masked_accuracy"] == pytest.approx(1 - 3 / num_hidden)
    assert found["val_unmasked_accuracy"] == pytest.approx(1 - 1 / num_seen)
    num_units = sum(len(u.text) + 1 for u in utterances)  # every word has an end
    assert found["val_unit_error_rate"] == pytest.approx(2 / num_units)


def test_unlabelled_tune_utterances_count_for_masked_prediction_only(build, utterances, perfect):
    task = build("task.objective=both")
    hide(task, every=2)
    batch = batch_of(task, [utterances[0], unlabelled(utterances[1])])
    row = batch.ids.index(utterances[0].id)
    perfect(task, batch, lost_units=[(row, 0)])
    found = validate(task, batch)
    assert found["val_unit_error_rate"] == pytest.approx(1 / (len(utterances[0].text) + 1))
