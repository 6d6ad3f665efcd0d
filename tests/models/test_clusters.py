from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchaudio.compliance import kaldi

from slue_ner.core.time import FrameGrid
from slue_ner.models.pretrain_model import MFCC, Clusters, TeacherStates, nearest_centroid

CONVOLUTIONS = FrameGrid(hop=320, window=400)  # wav2vec 2.0, HuBERT, WavLM
LOG_MEL = FrameGrid(hop=320, window=560)  # w2v-BERT
SLOW = FrameGrid(hop=640, window=880)  # four frames of 10 ms stacked
FAST = FrameGrid(hop=160, window=400)
GRIDS = (CONVOLUTIONS, LOG_MEL, SLOW, FAST)


def speech(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A padded batch of something that changes with time, ``(B, S)``, and its lengths."""
    random = np.random.default_rng(sum(lengths))
    waveforms = torch.zeros(len(lengths), max(lengths))
    for row, length in enumerate(lengths):
        time = np.arange(length) / 16_000
        wave = np.sin(2 * np.pi * (200 + 800 * time) * time) * (0.2 + 0.1 * np.sin(40 * time))
        wave += 0.01 * random.standard_normal(length)
        waveforms[row, :length] = torch.from_numpy(wave)
    return waveforms, torch.tensor(lengths)


def differences(rows: np.ndarray) -> np.ndarray:
    """Slope over two rows on either side, ``(N, F)``; the first and last row are repeated."""
    padded = np.pad(rows, ((2, 2), (0, 0)), mode="edge")
    near = padded[3:-1] - padded[1:-3]
    far = padded[4:] - padded[:-4]
    return (near + 2 * far) / 10  # 2 * (1 ** 2 + 2 ** 2)


@given(st.sampled_from(GRIDS), st.integers(0, 20_000))
@settings(max_examples=40)
def test_there_is_one_mfcc_frame_for_every_encoder_frame(grid, more):
    num_samples = grid.window + more
    (features,) = MFCC(grid)(*speech(num_samples))
    assert features.shape == (1, grid.num_frames(num_samples), 39)
    assert features.isfinite().all()


@pytest.mark.parametrize("grid", GRIDS)
def test_mfccs_are_kaldis_with_first_and_second_differences(grid):
    waveforms, num_samples = speech(12_345)
    (features,) = MFCC(grid)(waveforms, num_samples)
    cepstra = kaldi.mfcc(waveforms * 32_768, dither=0.0, use_energy=False).double().numpy()
    first = differences(cepstra)
    expected = np.concatenate([cepstra, first, differences(first)], axis=1)
    for frame, row in enumerate(features[0].numpy()):
        start = frame * grid.hop // 160  # the window that starts where the frame starts
        np.testing.assert_allclose(row, expected[start], rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("grid", [CONVOLUTIONS, SLOW])
def test_an_utterance_has_the_same_mfccs_in_any_batch(grid):
    waveforms, num_samples = speech(9_000, 4_321, 16_000)
    (together,) = MFCC(grid)(waveforms, num_samples)
    assert together.shape[1] == grid.num_frames(16_000)
    for row, length in enumerate(num_samples.tolist()):
        (alone,) = MFCC(grid)(waveforms[row : row + 1, :length], num_samples[row : row + 1])
        num_frames = grid.num_frames(length)
        assert torch.equal(together[row, :num_frames], alone[0])
        assert not together[row, num_frames:].any()


def test_silence_has_finite_mfccs():
    (features,) = MFCC(LOG_MEL)(torch.zeros(1, 4_000), torch.tensor([4_000]))
    assert features.isfinite().all()


def test_mfccs_have_no_frame_for_other_hops():
    with pytest.raises(ValueError, match="a hop of a multiple of 160 samples, got 250; give a ta"):
        MFCC(FrameGrid(hop=250, window=400))


@pytest.mark.parametrize("length", [320, 640, 700, 719, 720, 4_000])
def test_an_encoder_of_narrow_windows_has_an_mfcc_for_its_last_frame_too(length):
    grid = FrameGrid(hop=320, window=320)
    waveforms, num_samples = speech(length)
    (features,) = MFCC(grid)(waveforms, num_samples)
    assert features.shape == (1, length // 320, 39)
    assert features.isfinite().all()


@pytest.mark.parametrize("shape", [(50, 39), (3, 20, 8)])
def test_the_nearest_centroid_is_what_a_loop_over_all_distances_finds(shape):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(*shape, generator=generator)
    centroids = torch.randn(12, shape[-1], generator=generator)
    expected = []
    for frame in features.reshape(-1, shape[-1]).numpy():
        distances = [float(np.linalg.norm(frame - centroid)) for centroid in centroids.numpy()]
        expected.append(distances.index(min(distances)))
    found = nearest_centroid(features, centroids)
    assert found.shape == shape[:-1]
    assert found.flatten().tolist() == expected


def test_a_frame_on_a_centroid_belongs_to_it():
    centroids = torch.tensor([[0.0, 3.0], [4.0, 0.0], [-1.0, -1.0]])
    assert nearest_centroid(centroids.flip(0), centroids).tolist() == [2, 1, 0]
    assert nearest_centroid(torch.tensor([3.0, 0.0]).half(), centroids).tolist() == 1


def test_clusters_number_the_frames_of_a_batch_and_have_nothing_to_train():
    waveforms, num_samples = speech(8_000, 5_000)
    (features,) = MFCC(LOG_MEL)(waveforms, num_samples)
    clusters = Clusters(MFCC(LOG_MEL), features[0, [2, 9, 17]])
    found = clusters(waveforms, num_samples)
    assert found.shape == (2, LOG_MEL.num_frames(8_000))
    assert found.dtype == torch.long
    assert found[0, [2, 9, 17]].tolist() == [0, 1, 2]
    assert not list(clusters.parameters())


def test_a_teacher_gives_the_states_of_each_layer_asked_for(tiny_encoder, noise):
    teacher = tiny_encoder("log-mel-40ms")
    states = TeacherStates(teacher, grid=teacher.grid, layers=[3, 0, 1])
    batch = noise(9_000, 5_000)
    expected = teacher(*batch, layers=[3, 0, 1]).layers
    found = states(*batch)
    assert len(found) == 3
    for part, layer in zip(found, expected, strict=True):
        assert torch.equal(part, layer)


def test_a_teacher_is_never_trained(tiny_encoder, noise):
    clusters = Clusters(
        TeacherStates(
            tiny_encoder("wav2vec2-bert"), grid=tiny_encoder("wav2vec2-bert").grid, layers=[2]
        ),
        torch.randn(4, 32),
    )
    clusters.train()
    assert not any(parameter.requires_grad for parameter in clusters.parameters())
    assert not any(module.training for module in clusters.features.encoder.modules())
    batch = noise(6_000)
    assert torch.equal(clusters(*batch), clusters(*batch))  # no dropout, nothing hidden


def test_a_teacher_with_another_hop_is_refused(tiny_encoder):
    message = r"task.teacher has frames of 640 samples in windows of 880, the encoder 320 in 560"
    with pytest.raises(ValueError, match=message):
        TeacherStates(tiny_encoder("log-mel-40ms"), grid=LOG_MEL, layers=[1])


def test_a_teacher_with_a_longer_window_is_refused(tiny_encoder):
    # it has no frame where the encoder has its last one
    with pytest.raises(ValueError, match="the same hop, and the teacher no longer a window"):
        TeacherStates(tiny_encoder("wav2vec2-bert"), grid=CONVOLUTIONS, layers=[1])


@pytest.mark.parametrize("num_samples", [720, 1_040, 9_000, 9_999])
def test_a_teacher_with_a_shorter_window_loses_its_last_frame(tiny_encoder, noise, num_samples):
    teacher = tiny_encoder("wav2vec2-bert")
    grid = FrameGrid(hop=320, window=720)
    waveforms, lengths = noise(num_samples)
    (found,) = TeacherStates(teacher, grid=grid, layers=[2])(waveforms, lengths)
    assert found.shape[1] == grid.num_frames(num_samples)
    expected = teacher(waveforms, lengths, layers=[2]).layers[0]
    assert torch.equal(found, expected[:, : found.shape[1]])
