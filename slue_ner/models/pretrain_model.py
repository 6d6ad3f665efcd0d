"""An encoder with the heads that pre-training needs and fine-tuning throws away."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from slue_ner.core.time import FrameGrid
from slue_ner.models.ctc_model import Emissions
from slue_ner.models.encoder import SpeechEncoder
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
