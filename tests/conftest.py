"""Settings shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, settings
from timed_corpus import write_timed_corpus

from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.core.types import EntitySpan, Utterance, Word

# two busy cores make time limits per example a coin toss; the number of examples is what counts
settings.register_profile(
    "repository", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.load_profile("repository")

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 24 utterances of tones in noise, 0.6 to 1.5 s: fine-tune, tune and dev."""
    folder = tmp_path_factory.mktemp("tiny_corpus")
    noise = np.random.default_rng(0)
    for split, count in (("fine-tune", 16), ("tune", 4), ("dev", 4)):
        utterances = []
        for number in range(count):
            name, place = ("ana", "rome") if number % 2 else ("bo", "york")
            seconds = 0.6 + 0.9 * number / count
            time = np.arange(int(16_000 * seconds)) / 16_000
            wave = 0.3 * np.sin(2 * np.pi * (200 + 40 * number) * time)
            wave += 0.01 * noise.standard_normal(len(wave))
            audio = folder / split / f"{number:02}.wav"
            audio.parent.mkdir(exist_ok=True)
            soundfile.write(audio, wave, 16_000)
            start = len(name) + 4
            utterances.append(
                Utterance(
                    id=f"{split}_{number:02}",
                    split=split,
                    audio=audio,
                    num_samples=len(wave),
                    sample_rate=16_000,
                    speaker=f"s{number % 4}",
                    text=f"{name} in {place}",
                    entities=(
                        EntitySpan("PERSON", name, start_char=0, end_char=len(name)),
                        EntitySpan("GPE", place, start_char=start, end_char=start + len(place)),
                    ),
                )
            )
        write_manifest(folder / f"{split}.jsonl", utterances)
    return folder


@pytest.fixture(scope="session")
def phone_corpus(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny corpus with made-up phones: its letters, equally long, after 50 ms of pause."""
    folder = tmp_path_factory.mktemp("phone_corpus")
    for split in ("fine-tune", "tune", "dev"):
        utterances = []
        for utterance in read_manifest(tiny_corpus / f"{split}.jsonl"):
            letters = utterance.text.replace(" ", "")
            times = np.linspace(0.05, utterance.duration, len(letters) + 1).tolist()
            phones = tuple(map(Word, letters, times[:-1], times[1:]))
            utterances.append(replace(utterance, phones=phones))
        write_manifest(folder / f"{split}.jsonl", utterances)
    return folder


@pytest.fixture(scope="session")
def timed_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 utterances with word times: noise, with a tone where a person or a place is named."""
    return write_timed_corpus(tmp_path_factory.mktemp("timed_corpus"))


@pytest.fixture(scope="session")
def tiny_pretraining(phone_corpus: Path) -> list[str]:
    """Overrides, after those of ``tiny_overrides``, that make a tiny run pre-train its encoder."""
    return [
        f"data.root={phone_corpus}",
        "task=pretrain",
        "task.num_clusters=8",
        "task.fit_frames=300",
        "encoder.mask_time_prob=0.5",
        "+encoder.mask_time_length=4",
    ]


@pytest.fixture(scope="session")
def tiny_overrides(tiny_corpus: Path) -> list[str]:
    """Command-line overrides for a run of six updates that takes a second."""
    return [
        f"data.root={tiny_corpus}",
        "data.batch_seconds=4",
        "encoder=small",
        "encoder.overrides.hidden_size=16",
        "encoder.overrides.num_hidden_layers=2",
        "encoder.overrides.num_attention_heads=2",
        "encoder.overrides.intermediate_size=24",
        "encoder.overrides.conv_depthwise_kernel_size=5",
        "encoder.overrides.feature_projection_input_dim=160",
        "encoder.dropout=0.1",
        "optim.lr=0.003",
        "trainer.max_updates=6",
        "trainer.validate_every=3",
        "trainer.log_every=1",
        "trainer.accelerator=cpu",
        "trainer.num_threads=1",
        "trainer.keep=all",  # tests look at what runs of people need not keep
    ]


@pytest.fixture(scope="session")
def text_overrides(tiny_overrides: list[str]) -> list[str]:
    """Overrides for six updates of the small text tagger."""
    return [
        *(o for o in tiny_overrides if not o.startswith(("encoder", "data.batch_seconds"))),
        "task=text_ner",
        "task.batch_size=4",
        "task.small.word_size=6",
        "task.small.character_size=4",
        "task.small.filters=8",
        "task.small.hidden_size=8",
    ]


@pytest.fixture(scope="session")
def text_sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny pre-trained text models in the hub's format, by family."""
    from text_models import save_bert, save_roberta

    folder = tmp_path_factory.mktemp("text_sources")
    return {"bert": save_bert(folder / "bert"), "roberta": save_roberta(folder / "roberta")}


@pytest.fixture
def tiny_values(tiny_overrides: list[str]) -> Callable[..., dict[str, Any]]:
    """``tiny_values("seed=1")``: the composed config of a tiny run with more overrides."""
    from slue_ner.cli.compose import compose_config

    return lambda *overrides: compose_config([*tiny_overrides, *overrides])
