"""Pseudo-labels for masked prediction: the nearest centroid of every frame (HuBERT).

Source: HuBERT (arXiv:2106.07447), whose first iteration clusters MFCCs and whose second clusters
a layer of the first.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.compliance import kaldi

from slue_ner.core.time import FrameGrid
from slue_ner.models.encoder import SpeechEncoder
from slue_ner.models.filterbank import HOP, WINDOW


class MFCC(nn.Module):
    """13 Kaldi MFCCs with first and second differences, 39 values a frame, on an encoder's grid.

    A frame has the MFCC window that starts where the encoder's frame starts; the last may reach
    into silence behind the audio.

    Args:
        grid: the encoder's; its hop must be a whole number of 10 ms.
    """

    def __init__(self, grid: FrameGrid) -> None:
        super().__init__()
        if grid.hop % HOP:
            raise ValueError(
                f"MFCC targets need an encoder with a hop of a multiple of {HOP} samples, got "
                f"{grid.hop}; give a task.teacher instead"
            )
        self.grid = grid

    def forward(self, waveforms: Tensor, num_samples: Tensor) -> list[Tensor]:
        """One set of features, ``(B, T, 39)``, zero beyond an utterance's end."""
        rows = []
        for waveform, length in zip(waveforms, num_samples.tolist(), strict=True):
            count = self.grid.num_frames(length)
            beyond = max(0, WINDOW + (count - 1) * self.grid.hop - length)
            row = functional.pad(waveform[None, :length], (0, beyond))
            rows.append(self._features(row)[:count])
        return [nn.utils.rnn.pad_sequence(rows, batch_first=True)]

    def _features(self, waveform: Tensor) -> Tensor:
        cepstra = kaldi.mfcc(waveform.float() * 2.0**15, dither=0.0, use_energy=False).T  # (13, N)
        first = torchaudio.functional.compute_deltas(cepstra)
        second = torchaudio.functional.compute_deltas(first)
        return torch.cat([cepstra, first, second]).T[:: self.grid.hop // HOP]  # (T, 39)


class TeacherStates(nn.Module):
    """Hidden states of an encoder that was pre-trained before.

    Args:
        encoder: the teacher; it is frozen.
        grid: of the encoder in training.
        layers: which states, in [0, ``encoder.num_layers``].
    """

    def __init__(self, encoder: SpeechEncoder, *, grid: FrameGrid, layers: Sequence[int]) -> None:
        super().__init__()
        if encoder.grid.hop != grid.hop or encoder.grid.window > grid.window:
            raise ValueError(
                f"task.teacher has frames of {encoder.grid.hop} samples in windows of "
                f"{encoder.grid.window}, the encoder {grid.hop} in {grid.window}; both need the "
                "same hop, and the teacher no longer a window"
            )
        encoder.frozen = True
        encoder.requires_grad_(False).eval()
        self.encoder = encoder
        self.grid = grid
        self.layers = list(layers)

    def forward(self, waveforms: Tensor, num_samples: Tensor) -> list[Tensor]:
        """The states of each layer, ``(B, T, D)``."""
        frames = self.encoder(waveforms, num_samples, layers=self.layers)
        assert frames.layers is not None
        num_frames = self.grid.num_frames(waveforms.shape[1])
        return list(frames.layers[:, :, :num_frames])


class Clusters(nn.Module):
    """Numbers every frame by the nearest of ``C`` centroids.

    Args:
        features: waveforms to one set of features.
        centroids: ``(C, F)``.
    """

    centroids: Tensor

    def __init__(self, features: MFCC | TeacherStates, centroids: Tensor) -> None:
        super().__init__()
        self.features = features
        self.register_buffer("centroids", centroids)

    @torch.no_grad()
    def forward(self, waveforms: Tensor, num_samples: Tensor) -> Tensor:
        """Cluster of each frame, ``(B, T)`` long; meaningless beyond an utterance's end."""
        (features,) = self.features(waveforms, num_samples)
        return nearest_centroid(features, self.centroids)


def nearest_centroid(features: Tensor, centroids: Tensor) -> Tensor:
    """Index of the centroid at the least Euclidean distance.

    Args:
        features: ``(..., F)``.
        centroids: ``(C, F)``.
    """
    products = features.float() @ centroids.T  # (..., C)
    return (centroids.square().sum(-1) - 2.0 * products).argmin(-1)
