"""Runs on Whisper's encoder, whose positions end after a second here: long audio, resuming."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console
from safetensors.torch import load_file
from transformers.models.whisper.modeling_whisper import WhisperEncoder
from whisper_folders import generation

from slue_ner.core.records import read_manifest
from slue_ner.core.run_files import ENCODER_FOLDER
from slue_ner.inference.transcribing import decode
from slue_ner.models.encoder.building import build_encoder
from slue_ner.models.encoder.options import EncoderOptions
from slue_ner.systems.experiment import run_experiment
from slue_ner.tasks.registry import run_config
from slue_ner.tasks.run import Run
from slue_ner.training.checkpoints import StopRequestedError
from slue_ner.training.run_folder import RunFolder

SECOND = "data.max_seconds=1"
FROZEN = "adaptation=frozen_weighted_sum"
PRETRAIN = (
    *("task=pretrain", "task.objective=both", "task.num_clusters=8", "task.fit_frames=300"),
    *("encoder.mask_time_prob=0.5", "+encoder.mask_time_length=4"),
)
POSITIONS = "encoder.model.embed_positions.weight"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A whole Whisper that hears 50 frames, a second, as the hub has it."""
    folder = tmp_path_factory.mktemp("whisper")
    generation(max_source_positions=50).save_pretrained(folder)
    return folder


@pytest.fixture
def overrides(source, timed_corpus):
    """A run of four updates on 16 utterances of 0.9 to 1.37 s: number 4 is the first too long."""
    return [
        f"data.root={timed_corpus}",
        *("~encoder.family", "~encoder.overrides", f"+encoder.source={source}"),
        *("trainer.max_updates=4", "trainer.validate_every=2", "trainer.save_every=1"),
    ]


@pytest.fixture
def run(train, overrides, tmp_path):
    """``run("name", SECOND)``: that run, in a folder of its own."""
    return lambda name, *more, **options: train(tmp_path / name, *overrides, *more, **options)


@pytest.mark.parametrize(
    "task", [["task=ctc_plain"], ["task=frames"], ["task=frames_joint"], PRETRAIN]
)
def test_audio_beyond_the_positions_is_one_sentence_before_any_update(run, tmp_path, task):
    with pytest.raises(ValueError) as caught:
        run("run", *task)
    # 0.9 + 0.5 * 4 / 16 = 1.025 s are 51 frames, one more than there are positions
    assert str(caught.value) == (
        "whisper is trained on 1 s at once, but 12 of 16 training utterances are longer, first "
        "fine-tune_04; leave them out with data.max_seconds=1"
    )
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert not (tmp_path / "run" / "clusters.json").exists()


@pytest.mark.parametrize("adaptation", ["lora", "top_layers"])
def test_a_partly_trained_encoder_is_limited_too(run, adaptation):
    with pytest.raises(ValueError, match="12 of 16 training utterances are longer"):
        run("run", f"adaptation={adaptation}")


def test_filling_up_to_less_limits_more(run):
    with pytest.raises(ValueError, match=r"trained on 0.5 s at once, but 16 .*max_seconds=0.5$"):
        run("run", "+encoder.pad_to=0.5")


def test_batches_are_counted_as_they_are_filled_up(run):
    options = (SECOND, "data.batch_seconds=3.99", "trainer.max_updates=2")
    assert {len(ids) for ids in run("own", *options).batches} == {4}  # 4 * 0.994 s
    assert {len(ids) for ids in run("full", *options, "+encoder.pad_to=1").batches} == {3, 1}


def test_slower_speech_is_longer(run, tiny_corpus):
    # 0.6 + 0.9 / 16 * 5 = 0.881 s at a speed of 0.85 last 1.037 s, number 4 lasts 0.971 s
    slower = ("augment.speed=0.15", f"data.root={tiny_corpus}")
    with pytest.raises(ValueError) as caught:
        run("all", *slower)
    assert str(caught.value) == (
        "whisper is trained on 1 s at once and augment.speed=0.15 slows speech down, but 11 of 16 "
        "training utterances are longer, first fine-tune_05; leave them out with "
        "data.max_seconds=0.85"
    )
    done = run("some", *slower, "data.max_seconds=0.85", "trainer.max_updates=2")
    assert done.fit.figures["left_out"] == {"longer than 0.85 s": 11}


def test_what_tune_holds_may_be_longer(run):
    done = run("run", SECOND, "encoder.dropout=0.0")
    assert done.fit.figures["num_train_utterances"] == 4
    assert all(np.isfinite(done.logged("val_loss")))  # three of four are longer than a second


@pytest.mark.parametrize(("cache", "precision"), [("memory", "32-true"), ("disk", "bf16-mixed")])
def test_a_frozen_encoder_hears_everything_with_and_without_a_cache(
    run, tmp_path, cache, precision
):
    options = (FROZEN, "state_cache.dtype=float32", f"trainer.precision={precision}")
    plain = run("plain", *options, "state_cache=none")
    cached = run("cached", *options, f"state_cache={cache}", f"state_cache.folder={tmp_path}/cache")
    assert "encoder states: 20 of 20 utterances" in cached.printed
    for done in (plain, cached):
        assert done.fit.figures["num_train_utterances"] == 16
    assert cached.logged("train_loss") == pytest.approx(plain.logged("train_loss"), rel=0.02)


@pytest.mark.parametrize("more", [(), PRETRAIN], ids=["ctc", "pretrain"])
def test_a_stopped_run_goes_on_to_the_same_weights(run, more):
    options = [
        *(SECOND, "encoder.dropout=0.1", "encoder.mask_time_prob=0.3"),
        *("encoder.mask_feature_prob=0.2", "+encoder.gradient_checkpointing=true"),
        *more,
    ]
    whole = run("whole", *options)
    with pytest.raises(StopRequestedError):
        run("cut", *options, stop_after=3)
    rest = run("cut", *options)
    assert all(torch.equal(rest.weights()[name], value) for name, value in whole.weights().items())
    expected = generation(max_source_positions=50).model.encoder.embed_positions.weight
    assert torch.equal(whole.weights()[POSITIONS], expected)
    moved = "encoder.model.layers.0.fc1.weight"
    assert not torch.equal(whole.weights()[moved], generation().model.encoder.layers[0].fc1.weight)


@pytest.fixture
def long_audio(timed_corpus, tmp_path):
    """Utterances of 3.7 s, 1.0 s and 0.02 s, and one of the shortest that is no frame."""
    waves = [soundfile.read(u.audio)[0] for u in read_manifest(timed_corpus / "dev.jsonl")]
    wave = np.concatenate(waves)[:59_200]
    some = next(iter(read_manifest(timed_corpus / "dev.jsonl")))
    made = []
    for length in (59_200, 16_000, 320, 319):
        path = tmp_path / f"{length}.wav"
        soundfile.write(path, wave[:length], 16_000)
        plain = dataclasses.replace(some, id=str(length), audio=path, words=None, entities=())
        made.append(dataclasses.replace(plain, num_samples=length))
    return made


def test_prediction_hears_audio_of_any_length(run, overrides, tiny_values, long_audio, tmp_path):
    run("run", SECOND)
    config = run_config(tiny_values(*overrides, SECOND))
    predictor = Run(RunFolder(tmp_path / "run"), config).recogniser()
    emitted: list[dict[str, np.ndarray]] = []
    for batch_seconds in (0.1, 100.0):
        emitted.append({})
        live = predictor.emit(long_audio, batch_seconds=batch_seconds, keep=emitted[-1].__setitem__)
        found = decode(live, long_audio, vocabulary=predictor.vocabulary)
        assert [p.num_frames for p in found[:3]] == [185, 50, 1]
        assert [p.error for p in found[:3]] == [None] * 3
        assert "319 samples are too few for one frame" in (found[3].error or "")
    alone, together = emitted
    assert [len(alone[str(length)]) for length in (59_200, 16_000, 320)] == [185, 50, 1]
    for id, rows in alone.items():
        np.testing.assert_allclose(together[id], rows, atol=1e-4)


def test_pre_training_leaves_an_encoder_that_others_read(overrides, tiny_values, tmp_path, source):
    teacher = (f"task.teacher={source}", "task.teacher_layer=2", "trainer.max_updates=2")
    values = tiny_values(*overrides, SECOND, *PRETRAIN, *teacher, "trainer.validate_every=1")
    run_experiment(values, tmp_path, console=Console(file=io.StringIO()))
    folder = tmp_path / ENCODER_FOLDER
    encoder = build_encoder(EncoderOptions(source=str(folder)))
    trained = load_file(tmp_path / "checkpoints" / "last.safetensors")
    stock, info = WhisperEncoder.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    for name, value in stock.state_dict().items():
        assert torch.equal(value, encoder.model.state_dict()[name])
    assert trained.keys() >= {f"encoder.model.{name}" for name in stock.state_dict()}
