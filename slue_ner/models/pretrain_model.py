"""What pre-training needs and fine-tuning throws away: heads, and the clusters that they guess.

Pseudo-labels are the nearest centroid of every frame. Source: HuBERT (arXiv:2106.07447), whose
first iteration clusters MFCCs and whose second clusters a layer of the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from slue_ner.core.time import FrameGrid
from slue_ner.models.ctc_model import Emissions
from slue_ner.models.encoder.kaldi_mel import HOP, WINDOW
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.models.heads import CTCHead


@dataclass(frozen=True)
class Guesses:
    """What the heads say.

    Attributes:
        clusters: logits, ``(B, T, C)``; ``None`` without a masked objective.
        emissions: of the units; ``None`` without a supervised objective.
        num_frames: real frames, ``(B,)``.
    """

    clusters: Tensor | None
    emissions: Emissions | None
    num_frames: Tensor


class PretrainModel(nn.Module):
    """Encoder, cluster head and CTC head, the heads as the objective needs them.

    Args:
        encoder: what is pre-trained.
        num_clusters: classes of masked prediction; ``None`` without it.
        num_units: CTC symbols, the blank included; ``None`` without supervision.
    """

    def __init__(
        self, encoder: SpeechEncoder, *, num_clusters: int | None, num_units: int | None
    ) -> None:
        super().__init__()
        size = encoder.hidden_size
        self.encoder = encoder
        self.cluster_head = None if num_clusters is None else nn.Linear(size, num_clusters)
        self.head = None if num_units is None else CTCHead(size, vocabulary_size=num_units)

    @property
    def grid(self) -> FrameGrid:
        """Frames to seconds."""
        return self.encoder.grid

    def forward(
        self, waveforms: Tensor, num_samples: Tensor, masked: Tensor | None = None
    ) -> Guesses:
        """Guess the clusters and units of a zero-padded batch.

        Args:
            waveforms: mono 16 kHz audio, ``(B, S)``.
            num_samples: real length of each waveform, ``(B,)``.
            masked: frames whose input is hidden, ``(B, T)`` bool; as ``SpeechEncoder.forward``.
        """
        frames = self.encoder(waveforms, num_samples, masked=masked)
        emissions = None
        if self.head is not None:
            emissions = Emissions(self.head(frames.values, frames.num_frames), frames.num_frames)
        clusters = None if self.cluster_head is None else self.cluster_head(frames.values)
        return Guesses(clusters, emissions, frames.num_frames)


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
        try:  # all that needs torchaudio, which does not import beside every torch
            import torchaudio.compliance.kaldi
            import torchaudio.functional
        except (ImportError, OSError) as error:
            raise ValueError(
                f"MFCC targets need torchaudio, which cannot be imported here ({error}); install "
                "the one that belongs to this torch, or give a task.teacher"
            ) from error
        self.grid = grid
        self._mfcc = torchaudio.compliance.kaldi.mfcc
        self._deltas = torchaudio.functional.compute_deltas

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
        scaled = waveform.float() * 2.0**15
        cepstra = self._mfcc(scaled, dither=0.0, use_energy=False).T  # (13, N)
        first = self._deltas(cepstra)
        second = self._deltas(first)
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
