from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console

from slue_ner.core.records import read_manifest
from slue_ner.data.loading.audio import read_audio
from slue_ner.data.loading.loaders import evaluation_loader
from slue_ner.data.loading.states import DTYPES, StateCacheOptions
from slue_ner.models.encoder.building import build_encoder
from slue_ner.models.encoder.options import EncoderOptions
from slue_ner.models.mixing import Layers
from slue_ner.training import state_cache as features
from slue_ner.training.state_cache import _MEMORY, _memory, frozen_states

LAYERS = [0, 2]
CPU = torch.device("cpu")


@pytest.fixture
def utterances(tiny_corpus: Path) -> Any:
    return read_manifest(tiny_corpus / "tune.jsonl")


def tiny() -> Any:
    """Always the same encoder; it counts the batches that it encodes, in ``count``."""
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    encoder: Any = build_encoder(EncoderOptions(family="wav2vec2-bert", overrides=size))
    encoder.count = 0

    def note(module: Any, *_: Any) -> None:
        module.count += 1

    encoder.register_forward_pre_hook(note)
    return encoder.eval()


@pytest.fixture
def encoder() -> Any:
    return tiny()


@pytest.fixture
def cache(tmp_path: Path) -> Any:
    """``with cache(encoder, utterances, dtype="float16") as states``: in a folder on disk."""

    def states_of(
        encoder: Any,
        utterances: Any,
        *,
        layers: Layers = LAYERS,
        run: str = "run",
        precision: str = "32-true",
        **options: Any,
    ) -> Iterator[Any]:
        values = {"cache": "disk", "folder": str(tmp_path / "cache"), "dtype": "float32", **options}
        output = io.StringIO()
        with frozen_states(
            encoder,
            utterances,
            run_dir=tmp_path / run,
            layers=layers,
            options=StateCacheOptions(**values),
            device=CPU,
            precision=precision,
            console=Console(file=output, width=400),
        ) as states:
            opened.printed = output.getvalue()
            yield states

    opened: Any = contextmanager(states_of)
    return opened


@torch.no_grad()
def alone(encoder: Any, utterance: Any, layers: Layers) -> Any:
    """States of one utterance without a batch, ``(L, T, D)``."""
    waveform = torch.from_numpy(read_audio(utterance.audio))
    frames = encoder(waveform[None], torch.tensor([len(waveform)]), layers=layers)
    return (frames.values[None] if frames.layers is None else frames.layers)[:, 0]


def num_bytes(utterances: Any) -> int:
    """Of two layers, 16 wide; a frame is two windows of 400 samples 160 apart, the next 320 on."""
    return sum(2 * (1 + (u.num_samples - 560) // 320) * 16 * 4 for u in utterances)


@pytest.mark.parametrize("layers", ["last", [0], [0, 1, 2], [2, 1]])
def test_the_states_are_those_of_the_encoder(
    cache: Any, encoder: Any, utterances: Any, layers: Layers
) -> None:
    with cache(encoder, utterances, layers=layers) as states:
        for utterance in utterances:
            expected = alone(encoder, utterance, layers)
            torch.testing.assert_close(states.read(utterance.id), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_type_rounds_the_states_and_does_no_more(
    cache: Any, encoder: Any, utterances: Any, dtype: str
) -> None:
    with cache(encoder, utterances) as states, cache(encoder, utterances, dtype=dtype) as kept:
        for utterance in utterances:
            exact = states.read(utterance.id)
            assert torch.equal(kept.read(utterance.id), exact.to(getattr(torch, dtype)))


def test_an_encoder_in_training_mode_gives_the_states_of_eval_mode(
    cache: Any, encoder: Any, utterances: Any
) -> None:
    twin = tiny().train()
    twin.spec_augment.time_prob = 0.5
    with (
        cache(encoder, utterances, cache="memory") as expected,
        cache(twin, utterances, cache="memory", run="other") as states,
    ):
        for utterance in utterances:
            assert torch.equal(states.read(utterance.id), expected.read(utterance.id))


def test_states_on_disk_are_computed_once(cache: Any, encoder: Any, utterances: Any) -> None:
    with cache(encoder, utterances) as first:
        assert "encoder states: 4 of 4 utterances" in cache.printed
    assert encoder.count == 1
    again = tiny()
    with cache(again, utterances, run="other") as second:
        assert cache.printed == "the encoder's states are in the cache\n"
    assert (second, again.count) == (first, 0)


@pytest.mark.parametrize("change", ["weight", "layers", "dtype", "precision", "fewer", "id"])
def test_whatever_changes_the_states_changes_their_key(
    cache: Any, encoder: Any, utterances: Any, change: str
) -> None:
    with cache(encoder, utterances) as before:
        pass
    options: dict[str, Any] = {}
    if change == "weight":
        with torch.no_grad():
            list(encoder.parameters())[-1].view(-1)[-1] += 1e-4
    elif change == "fewer":
        utterances = utterances[:-1]
    elif change == "id":
        utterances = [replace(utterances[0], id="other"), *utterances[1:]]
    else:
        others = {"layers": [2, 0], "dtype": "float16", "precision": "bf16-mixed"}
        options = {change: others[change]}
    with cache(encoder, utterances, **options) as after:
        assert after.folder != before.folder
        assert before.folder.is_dir()
    assert encoder.count == 2


def test_one_changed_sample_of_the_audio_changes_the_key(
    cache: Any, encoder: Any, utterances: Any, tmp_path: Path
) -> None:
    audio = tmp_path / "audio.wav"
    samples = np.random.default_rng(0).integers(-3000, 3000, 16_000).astype(np.int16)
    soundfile.write(audio, samples, 16_000)
    mine = [replace(utterances[0], audio=audio, num_samples=16_000), *utterances[1:]]
    with cache(encoder, mine) as before:
        pass
    samples[8_000] += 1
    soundfile.write(audio, samples, 16_000)
    with cache(encoder, mine) as after:
        assert after.folder != before.folder
        assert not torch.equal(after.read(mine[0].id), before.read(mine[0].id))


def test_a_moved_corpus_is_found_again(
    cache: Any, encoder: Any, utterances: Any, tmp_path: Path
) -> None:
    moved = []
    for utterance in utterances:
        audio = tmp_path / utterance.audio.name
        audio.write_bytes(utterance.audio.read_bytes())
        moved.append(replace(utterance, audio=audio))
    with cache(encoder, utterances) as here, cache(encoder, moved) as there:
        assert here.folder == there.folder


def test_who_comes_at_the_same_time_waits_for_the_first(cache: Any, utterances: Any) -> None:
    twins = [tiny() for _ in range(3)]
    start = Barrier(len(twins))

    def compute(twin: Any) -> Any:
        start.wait()
        with cache(twin, utterances) as states:
            return [states.read(u.id) for u in utterances]

    with ThreadPoolExecutor(len(twins)) as pool:
        read = list(pool.map(compute, twins))
    assert sum(twin.count for twin in twins) == 1
    for states in read[1:]:
        assert all(torch.equal(a, b) for a, b in zip(read[0], states, strict=True))


def test_states_that_are_too_large_are_not_kept(
    cache: Any, encoder: Any, utterances: Any, tmp_path: Path
) -> None:
    needed = num_bytes(utterances)
    with cache(encoder, utterances, max_gigabytes=(needed - 1) / 1e9) as states:
        assert states is None
        assert (
            "the encoder's states take 0.0 GB, more than state_cache.max_gigabytes" in cache.printed
        )
    assert encoder.count == 0
    assert not (tmp_path / "cache").exists()
    with cache(encoder, utterances, max_gigabytes=(needed + 1) / 1e9) as states:
        assert (states.folder / "states.bin").stat().st_size == needed
    with cache(encoder, utterances, dtype="float16", max_gigabytes=needed / 1.9e9) as states:
        assert (states.folder / "states.bin").stat().st_size == needed / 2


def test_the_states_used_longest_ago_make_room(cache: Any, encoder: Any, utterances: Any) -> None:
    limit = 2.5 * num_bytes(utterances) / 1e9

    def folder(layers: Layers) -> Any:
        with cache(encoder, utterances, layers=layers, max_gigabytes=limit) as states:
            return states.folder

    one, two = folder([0, 1]), folder([0, 2])
    for used, path in ((100, one), (200, two)):
        os.utime(path / "index.json", (used, used))
    assert folder([0, 1]) == one  # now the other is older
    assert encoder.count == 2
    three = folder([1, 2])
    assert (one.is_dir(), two.is_dir(), three.is_dir()) == (True, False, True)
    assert encoder.count == 3


def test_memory_is_given_back_when_the_run_ends(
    cache: Any, encoder: Any, utterances: Any, tmp_path: Path
) -> None:
    folder = _memory(tmp_path / "run")
    with cache(encoder, utterances, cache="memory") as states:
        assert states.folder.parent == folder
        assert torch.equal(states.read("tune_00"), states.read("tune_00"))
    assert not folder.exists()


def test_memory_is_given_back_when_the_run_fails(
    cache: Any, encoder: Any, utterances: Any, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt), cache(encoder, utterances, cache="memory"):
        raise KeyboardInterrupt
    assert not _memory(tmp_path / "run").exists()


def test_every_run_has_memory_of_its_own(cache: Any, encoder: Any, utterances: Any) -> None:
    with (
        cache(encoder, utterances, cache="memory", run="one") as one,
        cache(encoder, utterances, cache="memory", run="other") as other,
    ):
        assert one.folder.parent != other.folder.parent
    assert encoder.count == 2


def test_without_a_cache_nothing_is_computed(cache: Any, encoder: Any, utterances: Any) -> None:
    with cache(encoder, utterances, cache="none") as states:
        assert states is None
    assert (encoder.count, cache.printed) == (0, "")


def test_ids_that_are_not_unique_are_not_kept(cache: Any, encoder: Any, utterances: Any) -> None:
    with cache(encoder, [*utterances, utterances[0]]) as states:
        assert states is None
        assert cache.printed.startswith("train and tune share ids, so the encoder's states are")


def test_unreadable_audio_has_the_reason_that_reading_it_gives(
    cache: Any, encoder: Any, utterances: Any
) -> None:
    gone = replace(utterances[1], audio=Path("gone.wav"))
    mine = [utterances[0], gone, *utterances[2:]]
    (batch,) = evaluation_loader(mine, batch_seconds=60.0, min_samples=400)
    with cache(encoder, mine) as states:
        assert list(states.errors.items()) == list(batch.unreadable)
        assert set(states.places) == set(batch.ids) == {"tune_00", "tune_02", "tune_03"}


def test_a_folder_that_cannot_be_made_is_named(
    cache: Any, encoder: Any, utterances: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = str(tmp_path / "file/cache")
    with pytest.raises(OSError, match=folder), cache(encoder, utterances, folder=folder):
        pass


KILLED = """
import os, signal, sys, torch
from pathlib import Path
from slue_ner.data.loading.states import locked
from slue_ner.data.loading.states import write_states
root = Path(sys.argv[1])
def utterances():
    yield "a", torch.ones(1, 4, 3)
    if sys.argv[2] == "writing":
        os.kill(os.getpid(), signal.SIGKILL)
with locked(root / "users.lock", shared=True), locked(root / "key.lock"):
    write_states(root / "key", utterances(), dtype="float32", num_layers=1, size=3)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["writing", "training"])
def test_what_a_killed_run_kept_in_memory_goes_when_another_starts(
    cache: Any, encoder: Any, utterances: Any, tmp_path: Path, moment: str
) -> None:
    left = _memory(tmp_path / "killed")
    subprocess.run([sys.executable, "-c", KILLED, str(left), moment], check=False)
    assert list(left.glob("*key*/states.bin" if moment == "training" else ".key.unfinished"))
    with cache(encoder, utterances, cache="memory", run="one") as one:
        assert not left.exists()
        with cache(encoder, utterances, cache="memory", run="other"):
            assert one.folder.is_dir()  # its process lives


def test_what_a_killed_run_has_not_finished_on_disk_goes_when_another_needs_room(
    cache: Any, encoder: Any, utterances: Any, tmp_path: Path
) -> None:
    root = tmp_path / "cache"
    subprocess.run([sys.executable, "-c", KILLED, str(root), "writing"], check=False)
    assert (root / ".key.unfinished").is_dir()
    with cache(encoder, utterances):
        assert not (root / ".key.unfinished").exists()


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 MB of shared memory as in a container, of which 100 bytes are free."""
    real = features.free_bytes
    monkeypatch.setattr(
        features, "free_bytes", lambda folder: 100 if _MEMORY in folder.name else real(folder)
    )


@pytest.mark.usefixtures("small_memory")
def test_where_memory_is_too_small_the_run_folder_keeps_the_states_and_this_is_said(
    cache: Any, encoder: Any, utterances: Any, tmp_path: Path
) -> None:
    with cache(encoder, utterances, cache="memory") as states:
        assert states.folder.parent == tmp_path / "run/states"
        assert torch.equal(states.read("tune_00"), states.read("tune_00"))
        assert cache.printed.replace("\n", " ").startswith(
            "the encoder's states take 0.0 MB, more than the 0.0 MB that are free in "
            f"{_memory(tmp_path / 'run')}; they are kept in {tmp_path}/run/states until the run "
        )
        assert not _memory(tmp_path / "run").exists()
    assert not (tmp_path / "run/states").exists()
    assert encoder.count == 1


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_without_room_anywhere_the_states_are_computed_in_every_update(
    cache: Any, encoder: Any, utterances: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(features, "free_bytes", lambda folder: 100)
    with cache(encoder, utterances, cache=kind) as states:
        assert states is None
        assert "they are computed in every update" in cache.printed
    assert encoder.count == 0


def test_memory_that_fills_up_meanwhile_is_left_for_the_run_folder(
    cache: Any, encoder: Any, utterances: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: Any = features.write_states

    def full(folder: Path, *arguments: Any, **options: Any) -> None:
        written(folder, *arguments, **options)
        if _MEMORY in folder.parent.name:
            error = OSError(errno.ENOSPC, "No space left on device")
            raise OSError("cannot write encoder states") from error

    monkeypatch.setattr(features, "write_states", full)
    with cache(encoder, utterances, cache="memory") as states:
        assert states.folder.parent == tmp_path / "run/states"
        assert "was full before they were written" in cache.printed
        assert not _memory(tmp_path / "run").exists()


def test_making_room_spares_what_another_run_uses(
    cache: Any, encoder: Any, utterances: Any
) -> None:
    limit = 1.5 * num_bytes(utterances) / 1e9
    with cache(encoder, utterances, layers=[0, 1], max_gigabytes=limit) as first:
        with cache(encoder, utterances, layers=[0, 2], max_gigabytes=limit) as second:
            assert second is None
            assert "and what other runs use now in" in cache.printed
        assert first.folder.is_dir()
    with cache(encoder, utterances, layers=[0, 2], max_gigabytes=limit) as third:
        assert third.folder.is_dir()
        assert not first.folder.exists()
