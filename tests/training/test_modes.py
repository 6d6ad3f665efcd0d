"""Dropout in fine-tuning, from checkpoints on disk: random models hide faults of loading."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
from transformers import CONFIG_MAPPING, MODEL_MAPPING

from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.models.training_checks import check_modes
from slue_ner.tasks.ctc_task import CTCModule as CTCTask
from slue_ner.tasks.frame_task import FrameModule as FrameTask
from slue_ner.tasks.pretraining import PretrainModule as PretrainTask
from slue_ner.training.checkpoints import StopRequestedError
from slue_ner.training.module import TrainingModule as ResumableTask

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
WAVEFORM = {
    **SIZES,
    "conv_dim": [16, 16],
    "conv_kernel": [20, 20],
    "conv_stride": [20, 16],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
}
LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
FAMILIES = {
    "wav2vec2": WAVEFORM,
    "hubert": {**WAVEFORM, **LARGE},
    "wavlm": {**WAVEFORM, "num_buckets": 16},
    "data2vec-audio": {**WAVEFORM, "num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 5},
    "wav2vec2-bert": {**SIZES, "conv_depthwise_kernel_size": 5},
    "whisper": {
        **{"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 24},
        **{"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 24},
    },
}
TASKS = {
    "ctc_plain": ["task=ctc_plain"],
    "ctc_tagged": [],
    "frames": ["task=frames"],
    "joint": ["task=frames_joint"],
    "pretrain": [
        *("task=pretrain", "task.num_clusters=8", "task.fit_frames=300"),
        *("encoder.mask_time_prob=0.5", "+encoder.mask_time_length=4"),
    ],
}


@functools.cache
def checkpoint(family: str, parent: Path) -> Path:
    """A folder that transformers wrote, whose weights are those of seed 0."""
    folder = parent / family
    config = CONFIG_MAPPING[family](**FAMILIES[family])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        MODEL_MAPPING[type(config)](config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """``checkpoints("wavlm")``: its folder."""
    parent = tmp_path_factory.mktemp("checkpoints")
    return lambda family: checkpoint(family, parent)


@pytest.fixture
def loaded(train, checkpoints, timed_corpus, tmp_path):
    """``loaded("wavlm", "frames", 0.3)``: four updates from a checkpoint, validated after two."""

    def run(family: str, task: str, dropout: float, *overrides: str, stop_after: int | None = None):
        return train(
            tmp_path / f"{dropout}",
            f"data.root={timed_corpus}",
            *("~encoder.family", "~encoder.overrides", f"encoder.dropout={dropout}"),
            f"+encoder.source={checkpoints(family) if family in FAMILIES else family}",
            *TASKS[task],
            *("trainer.max_updates=4", "trainer.validate_every=2", "trainer.save_every=1"),
            *overrides,
            stop_after=stop_after,
        )

    return run


@pytest.fixture
def modes(monkeypatch):
    """By update, whether every module of the task was in training mode."""
    seen: list[dict[str, bool]] = []
    losses = {task: task.losses for task in (CTCTask, FrameTask, PretrainTask)}

    def watch(task, original):
        def noted(self, batch):
            seen.append({name: module.training for name, module in self.named_modules()})
            return original(self, batch)

        monkeypatch.setattr(task, "losses", noted)

    for task, original in losses.items():
        watch(task, original)
    return seen


def all_train_but_the_front_end(modes: dict[str, bool]) -> bool:
    front_end = "model.encoder.model.feature_extractor"  # which `adaptation=full` keeps as it is
    return all(on is not name.startswith(front_end) for name, on in modes.items())


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_changes_what_is_learned_from_a_checkpoint(loaded, modes, family, task):
    without, with_dropout = (loaded(family, task, dropout).weights() for dropout in (0.0, 0.3))
    assert len(modes) == 2 * 4
    assert all(map(all_train_but_the_front_end, modes))
    assert any(
        not torch.equal(without[name], with_dropout[name])
        for name in without
        if name.startswith("encoder.model.") and ".layers.1." in name
    )


@pytest.mark.parametrize("key", ["feat_proj_dropout", "hidden_dropout", "attention_dropout"])
def test_each_kind_of_dropout_is_among_those_of_the_encoder(key):
    from slue_ner.models.encoder.building import build_encoder
    from slue_ner.models.encoder.options import EncoderOptions

    options = EncoderOptions(family="wav2vec2", overrides=WAVEFORM, dropout=0.25)
    assert getattr(build_encoder(options).config, key) == 0.25


@pytest.mark.parametrize("strategy", ["frozen_weighted_sum", "frozen_layer"])
def test_a_frozen_encoder_stays_in_eval_mode_and_its_head_does_not(loaded, modes, strategy):
    layer = ["adaptation.layer=1"] if strategy == "frozen_layer" else []
    loaded("wav2vec2", "ctc_tagged", 0.3, f"adaptation={strategy}", *layer, "state_cache=none")
    for update in modes:
        assert not any(on for name, on in update.items() if name.startswith("model.encoder"))
        assert update["model.head"] and update["model.mixing"]


def test_blocks_below_the_trained_ones_stay_in_eval_mode(loaded, modes):
    loaded("hubert", "ctc_tagged", 0.3, "adaptation=top_layers")
    for update in modes:
        inside = "model.encoder.model.encoder.layers"
        assert not any(on for name, on in update.items() if name.startswith(f"{inside}.0"))
        assert not update["model.encoder.model.feature_projection.dropout"]
        assert all(on for name, on in update.items() if name.startswith(f"{inside}.1"))
        assert update["model.encoder.spec_augment"]


def test_adapters_are_trained_with_the_dropout_of_the_blocks_that_they_are_in(loaded, modes):
    loaded("wavlm", "ctc_tagged", 0.3, "adaptation=lora", "adaptation.dropout=0.5")
    assert len(modes) == 4 and all(all(update.values()) for update in modes)


def test_a_teacher_hears_without_dropout(loaded, modes, checkpoints):
    teacher = [f"task.teacher={checkpoints('wav2vec2')}", "task.teacher_layer=1"]
    loaded("wav2vec2", "pretrain", 0.3, "task.objective=masked", *teacher)
    for update in modes:
        teachers = [on for name, on in update.items() if name.startswith("clusters.features.enc")]
        assert teachers and not any(teachers)
        assert all(on for name, on in update.items() if name.startswith("model.encoder.model.enc"))


def test_modes_are_right_again_after_a_resume(loaded, modes):
    with pytest.raises(StopRequestedError):
        loaded("wav2vec2", "ctc_tagged", 0.3, stop_after=3)
    resumed = loaded("wav2vec2", "ctc_tagged", 0.3)
    assert "resuming at update 3" in resumed.printed
    assert len(modes) == 4 and all(map(all_train_but_the_front_end, modes))


def test_the_shipped_encoder_is_fine_tuned_with_dropout(loaded, modes):
    without, with_dropout = (
        loaded("small-sfm", "ctc_tagged", dropout, "trainer.max_updates=2").weights()
        for dropout in (0.0, 0.3)
    )
    name = "encoder.model.layers.3.fc1.weight"
    assert not torch.equal(without[name], with_dropout[name])


@pytest.mark.parametrize("kind", ["bert", "roberta", None])
def test_text_taggers_are_trained_with_dropout(
    tiny_values, text_overrides, text_sources, tmp_path, monkeypatch, kind
):
    import io

    from rich.console import Console

    from slue_ner.cli.compose import compose_config
    from slue_ner.tasks.registry import run_config
    from slue_ner.tasks.text_task import TextModule
    from slue_ner.training.fit import fit

    seen = []
    losses = TextModule.losses

    def noted(self, batch):
        seen.append(all(module.training for module in self.modules()))
        return losses(self, batch)

    monkeypatch.setattr(TextModule, "losses", noted)
    source = [] if kind is None else [f"task.source={text_sources[kind]}"]
    config = run_config(compose_config([*text_overrides, *source]))
    fit(config, tmp_path, console=Console(file=io.StringIO()))
    assert seen == [True] * 6  # validated after the third


def test_a_module_left_in_eval_mode_stops_the_run(loaded, monkeypatch):
    monkeypatch.setattr(ResumableTask, "on_fit_start", lambda self: None)
    with pytest.raises(RuntimeError, match=r"modules are in the wrong mode at update 0, first mod"):
        loaded("wav2vec2", "ctc_tagged", 0.3)


def test_a_frozen_encoder_in_training_mode_is_found(tiny_values):
    from slue_ner.models.encoder.building import build_encoder
    from slue_ner.models.encoder.options import EncoderOptions

    encoder: SpeechEncoder = build_encoder(EncoderOptions(family="wav2vec2", overrides=WAVEFORM))
    encoder.train()
    check_modes(encoder, when="now")
    encoder.frozen = True
    with pytest.raises(RuntimeError, match="frozen but in training mode"):
        check_modes(encoder, when="now")
