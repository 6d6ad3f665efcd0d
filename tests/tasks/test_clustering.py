from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from slue_ner.core.records import read_manifest
from slue_ner.core.time import FrameGrid
from slue_ner.core.types import Utterance, Word
from slue_ner.data.loading.audio import read_audio
from slue_ner.models.encoder.building import build_encoder
from slue_ner.models.encoder.options import EncoderOptions
from slue_ner.models.encoder.saving import save_encoder
from slue_ner.models.pretrain_model import MFCC, nearest_centroid
from slue_ner.tasks import clustering
from slue_ner.tasks.clustering import fit_clusters, load_clusters, phone_numbers
from slue_ner.tasks.pretraining import Pretraining as PretrainOptions

GRID = FrameGrid(hop=320, window=560)


def options(**changes) -> PretrainOptions:
    values = {
        "objective": "masked",
        "units": "letters",
        "num_clusters": 6,
        "teacher": None,
        "teacher_layer": None,
        "fit_frames": 200,
    }
    return PretrainOptions(**{**values, **changes})


@pytest.fixture
def fit_into(phone_corpus):
    """``fit_into(folder, num_clusters=4)``: clusters of the tiny corpus, and what was printed."""
    train = read_manifest(phone_corpus / "fine-tune.jsonl")
    tune = read_manifest(phone_corpus / "tune.jsonl")

    def run(folder, *, train=train, tune=tune, seed=0, **changes) -> str:
        output = io.StringIO()
        fit_clusters(
            folder,
            options(**changes),
            train=train,
            tune=tune,
            grid=GRID,
            seed=seed,
            console=Console(file=output, width=200),
        )
        return output.getvalue()

    run.train, run.tune = train, tune
    return run


@pytest.fixture(scope="session")
def teacher(tmp_path_factory) -> str:
    """A folder with a random encoder of two blocks on the same grid."""
    torch.manual_seed(0)
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "conv_depthwise_kernel_size": 5,
    }
    folder = tmp_path_factory.mktemp("teacher")
    save_encoder(
        build_encoder(EncoderOptions(family="wav2vec2-bert", overrides=sizes)),
        folder,
    )
    return str(folder)


def record(folder) -> dict:
    return json.loads((folder / "clusters.json").read_text())


def test_the_phone_in_the_middle_of_a_frame_counts():
    # frames of 20 ms have their middles at 10, 30, 50, 70, 90, 110 ms
    phones = (Word("a", 0.02, 0.05), Word("b", 0.05, 0.075), Word("a", 0.1, 0.105))
    utterance = Utterance("u", "tune", None, None, 16_000, "", phones=phones)
    numbers = phone_numbers(utterance, {"": 0, "a": 7, "b": 9}, GRID, 6)
    # 50 ms is where "a" ends and "b" starts: a time belongs to what starts there
    assert numbers.tolist() == [0, 7, 9, 9, 0, 0]


def test_what_comes_before_between_and_after_phones_is_a_pause():
    phones = (Word("a", 0.1, 0.12), Word("b", 0.2, 0.22))
    utterance = Utterance("u", "tune", None, None, 16_000, "", phones=phones)
    numbers = phone_numbers(utterance, {"": 3, "a": 1, "b": 2}, GRID, 14)
    assert numbers.tolist() == [3] * 5 + [1] + [3] * 4 + [2] + [3] * 3


def test_silences_of_an_alignment_are_pauses_too():
    phones = (Word("", 0.0, 0.04), Word("a", 0.04, 0.08))
    utterance = Utterance("u", "tune", None, None, 16_000, "", phones=phones)
    assert phone_numbers(utterance, {"": 0, "a": 1}, GRID, 5).tolist() == [0, 0, 1, 1, 0]


def test_centroids_and_their_purity_are_written(fit_into, tmp_path):
    printed = fit_into(tmp_path)
    centroids = load_file(tmp_path / "clusters.safetensors")["centroids"]
    assert centroids.shape == (6, 39) and centroids.isfinite().all()
    written = record(tmp_path)
    assert (written["teacher"], written["layer"], written["num_clusters"]) == (None, None, 6)
    assert 200 <= written["fitted_frames"] < 200 + 75  # the last utterance is taken whole
    (found,) = written["purity"].values()
    assert found["num_frames"] == sum(GRID.num_frames(u.num_samples) for u in fit_into.tune)
    assert f"clusters of MFCC: phone purity {found['phone']:.3f}" in printed


def test_clusters_are_written_once(fit_into, tmp_path, monkeypatch):
    fit_into(tmp_path)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()}
    monkeypatch.setattr(clustering, "MiniBatchKMeans", None)  # calling it would raise
    assert fit_into(tmp_path, seed=1) == ""
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in tmp_path.iterdir()} == before


def test_the_seed_alone_decides_the_centroids(fit_into, tmp_path):
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        (tmp_path / name).mkdir()
        fit_into(tmp_path / name, seed=seed)
    one, same, other = (
        load_file(tmp_path / name / "clusters.safetensors")["centroids"]
        for name in ("one", "same", "other")
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_centroids_are_close_to_the_frames_they_were_fitted_on(fit_into, tmp_path):
    fit_into(tmp_path, num_clusters=16, fit_frames=100_000)
    clusters = load_clusters(tmp_path, options(num_clusters=16), grid=GRID)
    assert isinstance(clusters.features, MFCC)
    generator = torch.Generator().manual_seed(0)
    waveforms = 0.1 * torch.randn(1, 16_000, generator=generator)
    waveforms += 0.3 * torch.sin(torch.arange(16_000) * 0.2)
    (features,) = clusters.features(waveforms, torch.tensor([16_000]))
    found = clusters(waveforms, torch.tensor([16_000]))
    assert torch.equal(found, nearest_centroid(features, clusters.centroids))
    assert len(clusters.centroids.unique(dim=0)) == 16


def test_without_phones_there_is_no_purity(fit_into, tmp_path):
    tune = [replace(u, phones=None) for u in fit_into.tune]
    assert fit_into(tmp_path, tune=tune) == ""
    assert record(tmp_path)["purity"] == {}


def test_the_layer_that_is_named_is_taken(fit_into, tmp_path, teacher):
    tune = [replace(u, phones=None) for u in fit_into.tune]
    fit_into(tmp_path, tune=tune, teacher=teacher, teacher_layer=1)
    assert (record(tmp_path)["layer"], record(tmp_path)["teacher"]) == (1, teacher)
    clusters = load_clusters(tmp_path, options(teacher=teacher, teacher_layer=1), grid=GRID)
    assert clusters.features.layers == [1]
    assert clusters.centroids.shape == (6, 16)


def test_every_layer_is_measured_and_the_one_with_the_best_phone_purity_taken(
    fit_into, tmp_path, teacher
):
    printed = fit_into(tmp_path, teacher=teacher, fit_frames=100_000)
    purities = {int(layer): found["phone"] for layer, found in record(tmp_path)["purity"].items()}
    assert sorted(purities) == [0, 1, 2]
    assert record(tmp_path)["layer"] == max(purities, key=purities.get)
    assert [line.split(":")[0] for line in printed.splitlines()] == [
        f"clusters of layer {layer}" for layer in range(3)
    ]


@pytest.mark.parametrize("best", [0, 1, 2])
def test_the_layer_that_hears_the_phones_is_found(fit_into, tmp_path, teacher, monkeypatch, best):
    class Hears(clustering.TeacherStates):
        """Layer ``best`` is the loudness of a frame, the others are noise."""

        def forward(self, waveforms, num_samples):
            frames = waveforms.unfold(1, 320, 320)[:, : self.grid.num_frames(waveforms.shape[1])]
            loudness = frames.abs().mean(-1, keepdim=True)  # (B, T, 1)
            return [
                loudness if layer == best else torch.rand(loudness.shape) for layer in self.layers
            ]

    def half_silent(path):
        waveform = read_audio(path)
        waveform[len(waveform) // 2 :] = 0.0
        return waveform

    monkeypatch.setattr("slue_ner.data.loading.batch.read_audio", half_silent)
    monkeypatch.setattr(clustering, "TeacherStates", Hears)
    tune = [replace(u, phones=(Word("hum", 0.0, u.duration / 2),)) for u in fit_into.tune]
    fit_into(tmp_path, teacher=teacher, num_clusters=2, tune=tune)
    found = record(tmp_path)
    assert found["layer"] == best
    assert found["purity"][str(best)]["phone"] > 0.95
    assert load_file(tmp_path / "clusters.safetensors")["centroids"].min() < 0.02


def test_a_layer_cannot_be_chosen_without_phones(fit_into, tmp_path, teacher):
    tune = [replace(u, phones=None) for u in fit_into.tune]
    with pytest.raises(ValueError, match=r"chosen by phone purity, .* no phones; name a layer"):
        fit_into(tmp_path, tune=tune, teacher=teacher)
    assert not (tmp_path / "clusters.json").exists()


def test_more_clusters_than_frames_are_refused(fit_into, tmp_path):
    # 0.6 s are 29 frames
    with pytest.raises(ValueError, match=r"task.num_clusters=30 is more than the 29 frames"):
        fit_into(tmp_path, train=fit_into.train[:1], num_clusters=30)


def test_audio_that_cannot_be_read_is_passed_over(fit_into, tmp_path):
    gone = [replace(u, audio=u.audio.parent / "gone.wav") for u in fit_into.train]
    fit_into(tmp_path, train=[*gone[:8], *fit_into.train[8:]], fit_frames=100_000)
    assert record(tmp_path)["fitted_frames"] == sum(
        GRID.num_frames(u.num_samples) for u in fit_into.train[8:]
    )


def test_no_readable_audio_at_all_is_one_sentence(fit_into, tmp_path):
    gone = [replace(u, audio=u.audio.parent / "gone.wav") for u in fit_into.train]
    with pytest.raises(ValueError, match="no training audio can be read to fit clusters on"):
        fit_into(tmp_path, train=gone)


def test_a_part_of_the_training_audio_is_enough(fit_into, tmp_path, monkeypatch):
    read = []

    def noted(dataset, utterance):
        read.append(utterance.id)
        return 0.01 * torch.randn(utterance.num_samples)

    monkeypatch.setattr("slue_ner.data.loading.batch.UtteranceDataset._read", noted)
    fit_into(tmp_path, fit_frames=60, tune=[replace(u, phones=None) for u in fit_into.tune])
    assert 1 <= len(read) <= 3  # of 29 to 74 frames each
    assert len(set(read)) == len(read)
