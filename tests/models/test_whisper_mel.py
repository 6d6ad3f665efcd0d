"""Whisper's log-mel frames, against transformers' extractor and its float64 spectrogram."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from slue_ner.models.encoder.whisper_mel import WhisperMel

FEWEST = 320  # samples: one encoder frame, two mel frames
lengths = st.integers(FEWEST, 8_000)


def sound(kind: str, num_samples: int, seed: int = 0) -> torch.Tensor:
    """Audio of many kinds, all in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(num_samples, generator=generator)
    time = torch.arange(num_samples) / 16_000
    position = torch.arange(num_samples)
    glide = torch.sin(2 * torch.pi * (200 * time + 400 * time**2))
    return {
        "speech": 0.3 * glide * (time % 0.3 < 0.2) + 0.003 * noise + 0.01,
        "loud": noise.sign(),
        "quiet": 1e-4 * noise,
        "at the floor": 1e-6 * noise,
        "silence": torch.zeros(num_samples),
        "offset": torch.full((num_samples,), -0.7),
        "clicks": 0.9 * (position % 1_111 == 7).float(),
        "pure tone": 0.9 * torch.sin(2 * torch.pi * 440 * time),
        "first sample": (position == 0).float(),
        "last sample": (position == num_samples - 1).float(),
        "loud end": 1e-3 * noise + (position >= num_samples - 100) * 0.9,
    }[kind]


KINDS = (
    *("speech", "loud", "quiet", "at the floor", "silence", "offset", "clicks", "pure tone"),
    *("first sample", "last sample", "loud end"),
)


def exact(waveform: torch.Tensor, num_mel_bins: int) -> torch.Tensor:
    """Whisper's recipe with transformers' float64 spectrogram, ``(n // 160, num_mel_bins)``."""
    filters = mel_filter_bank(201, num_mel_bins, 0.0, 8_000.0, 16_000, "slaney", "slaney")
    settings = {"frame_length": 400, "hop_length": 160, "power": 2.0, "log_mel": "log10"}
    window = window_function(400, "hann")
    found = spectrogram(waveform.double().numpy(), window, mel_filters=filters, **settings)[:, :-1]
    return torch.from_numpy((np.maximum(found, found.max() - 8.0) + 4.0) / 4.0).float().T


def mel_frames(waveform: torch.Tensor, num_mel_bins: int) -> torch.Tensor:
    """Ours of one utterance, ``(n // 320 * 2, num_mel_bins)``."""
    mel = WhisperMel(num_mel_bins=num_mel_bins)
    return mel(waveform[None], torch.tensor([len(waveform)])).reshape(-1, num_mel_bins)


@pytest.mark.parametrize("num_mel_bins", [80, 128])
@pytest.mark.parametrize("kind", KINDS)
def test_features_are_those_of_the_recipe_at_any_length(kind, num_mel_bins):
    @settings(max_examples=4)
    @given(lengths)
    def check(num_samples: int) -> None:
        waveform = sound(kind, num_samples)
        expected = exact(waveform, num_mel_bins)
        found = mel_frames(waveform, num_mel_bins)
        assert len(found) == num_samples // 320 * 2
        torch.testing.assert_close(found, expected[: len(found)], atol=2e-6, rtol=0)

    check()


@pytest.mark.parametrize("num_mel_bins", [80, 128])
@pytest.mark.parametrize("kind", KINDS)
def test_features_equal_the_stock_extractor(kind, num_mel_bins):
    stock = WhisperFeatureExtractor(feature_size=num_mel_bins)
    for num_samples in (480, 16_161):
        waveform = sound(kind, num_samples, seed=num_samples)
        expected = stock(
            waveform.numpy(), sampling_rate=16_000, padding="do_not_pad", return_tensors="pt"
        )["input_features"][0].T
        found = mel_frames(waveform, num_mel_bins)
        torch.testing.assert_close(found, expected[: len(found)], atol=1e-4, rtol=0)


def test_silence_up_to_thirty_seconds_gives_the_stock_input():
    waveform = sound("speech", 20_000)
    stock = WhisperFeatureExtractor()(waveform.numpy(), sampling_rate=16_000, return_tensors="pt")
    padded = torch.nn.functional.pad(waveform, (0, 480_000 - 20_000))
    found = mel_frames(padded, 80)
    torch.testing.assert_close(found, stock["input_features"][0].T, atol=1e-4, rtol=0)


@pytest.mark.parametrize("num_samples", [480, 4_960, 5_000])
def test_the_last_10_ms_set_the_range_although_no_frame_is_made_of_them(num_samples):
    # an odd number of mel frames, the loudest of them last: alone, it must count as in a batch
    waveform = sound("loud end", num_samples)
    assert num_samples // 160 % 2 == 1
    expected = exact(waveform, 80)
    assert expected[-1].max() > expected[:-1].max()
    alone = mel_frames(waveform, 80)
    torch.testing.assert_close(alone, expected[:-1], atol=2e-6, rtol=0)
    batch = torch.nn.functional.pad(waveform, (0, 3_000))[None]
    together = WhisperMel()(batch, torch.tensor([num_samples])).reshape(-1, 80)
    assert torch.equal(together[: len(alone)], alone)


@settings(max_examples=6)
@given(
    st.lists(st.tuples(lengths, st.sampled_from(KINDS)), min_size=2, max_size=4),
    st.integers(0, 700),
)
def test_features_do_not_depend_on_batch_mates_or_padding(utterances, padding):
    mel = WhisperMel()
    total = max(length for length, _ in utterances) + padding
    waveforms = torch.zeros(len(utterances), total)
    for row, (length, kind) in enumerate(utterances):
        waveforms[row, :length] = sound(kind, length, seed=row)
    num_samples = torch.tensor([length for length, _ in utterances])
    together = mel(waveforms, num_samples)
    assert together.shape == (len(utterances), total // 320, 160)
    for row, (length, _) in enumerate(utterances):
        alone = mel(waveforms[row : row + 1, :length], num_samples[row : row + 1])[0]
        torch.testing.assert_close(together[row, : len(alone)], alone, atol=1e-6, rtol=0)
        assert not together[row, len(alone) :].any()


def test_what_stands_behind_an_utterance_in_its_row_is_not_heard():
    mel, waveforms = WhisperMel(), torch.stack([sound("speech", 5_000)] * 2)
    waveforms[1, 3_333:] = 0.9
    clean = mel(waveforms[:1, :3_333], torch.tensor([3_333]))
    found = mel(waveforms, torch.tensor([5_000, 3_333]))[1:, : clean.shape[1]]
    torch.testing.assert_close(found, clean, atol=1e-6, rtol=0)


def test_an_encoder_frame_is_two_mel_frames_side_by_side():
    waveform = sound("speech", 6_400)
    found = WhisperMel()(waveform[None], torch.tensor([6_400]))[0]
    expected = exact(waveform, 80)
    torch.testing.assert_close(found[3], torch.cat([expected[6], expected[7]]), atol=2e-6, rtol=0)


def test_neither_autocast_nor_casting_nor_inference_mode_rounds_the_features():
    waveform, num_samples = sound("speech", 6_400)[None], torch.tensor([6_400])
    expected = WhisperMel()(waveform, num_samples)
    mel = WhisperMel().to(torch.bfloat16)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(mel(waveform, num_samples), expected)
    found = mel(waveform, num_samples)  # the tables were made under inference mode
    assert torch.equal(found, expected) and found.dtype == torch.float32
    assert not mel.state_dict()
