from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import SeamlessM4TFeatureExtractor

from slue_ner.models.encoder.kaldi_mel import FilterBank


def speech_like(num_samples: int, seed: int = 0) -> torch.Tensor:
    """A gliding tone with silences, noise and an offset: mel bins of very different energy."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(num_samples) / 16_000
    tone = torch.sin(2 * torch.pi * (200 * time + 400 * time**2)) * (time % 0.3 < 0.2)
    return 0.3 * tone + 0.003 * torch.randn(num_samples, generator=generator) + 0.01


@pytest.mark.parametrize("num_samples", [560, 720, 5_000, 16_000, 33_333])
def test_features_equal_the_stock_extractor(num_samples):
    waveform = speech_like(num_samples)
    stock = SeamlessM4TFeatureExtractor()
    expected = stock(waveform.numpy().astype(np.float32), sampling_rate=16_000, return_tensors="pt")
    count = int(expected["attention_mask"].sum())
    found = FilterBank()(waveform[None], torch.tensor([num_samples]))
    assert found.shape == (1, count, 160)
    torch.testing.assert_close(
        found[0], expected["input_features"][0, :count], atol=1e-4, rtol=1e-4
    )


def test_digital_silence_is_finite():
    found = FilterBank()(torch.zeros(1, 8_000), torch.tensor([8_000]))
    assert found.abs().max() < 0.1


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_a_stack_needs_all_of_its_mel_frames(stride):
    bank = FilterBank(num_mel_bins=20, stride=stride)
    assert bank.grid.hop == 160 * stride
    assert bank.grid.window == 400 + 160 * (stride - 1)
    for num_samples in range(bank.grid.window, bank.grid.window + 2 * bank.grid.hop, 53):
        features = bank(torch.randn(1, num_samples), torch.tensor([num_samples]))
        assert features.shape == (1, bank.grid.num_frames(num_samples), 20 * stride)


def test_features_do_not_depend_on_batch_mates():
    bank = FilterBank(stride=4)
    lengths = [16_000, 7_777, 880]
    waveforms = torch.zeros(3, 16_000)
    for row, length in enumerate(lengths):
        waveforms[row, :length] = speech_like(length, seed=row)
    together = bank(waveforms, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone = bank(waveforms[row : row + 1, :length], torch.tensor([length]))
        count = alone.shape[1]
        torch.testing.assert_close(together[row, :count], alone[0], atol=1e-5, rtol=1e-5)
    assert together[1, bank.grid.num_frames(7_777) + 1 :].abs().max() == 0.0


def test_each_mel_bin_has_zero_mean_and_unit_variance_with_ddof_1():
    features = FilterBank(stride=1)(speech_like(16_000)[None], torch.tensor([16_000]))[0]
    torch.testing.assert_close(features.mean(0), torch.zeros(80), atol=1e-5, rtol=0)
    torch.testing.assert_close(features.var(0), torch.ones(80), atol=1e-4, rtol=0)


def test_a_stride_of_zero_is_refused():
    with pytest.raises(ValueError, match="stride >= 1, got 80 and 0"):
        FilterBank(stride=0)
