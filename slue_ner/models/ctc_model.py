"""Encoder, mixing and CTC head as one model: waveforms in, emissions out."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from slue_ner.core.time import FrameGrid
from slue_ner.models.encoder.frames import Frames, frames_of
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.models.heads import CTCHead
from slue_ner.models.mixing import Mixing


@dataclass(frozen=True)
class Emissions:
    """Log-probabilities of every symbol at every frame.

    Attributes:
        log_probs: ``(B, T, V)`` float32; rows past an utterance's end are meaningless.
        num_frames: real frames of each utterance, ``(B,)``.
    """

    log_probs: Tensor
    num_frames: Tensor


class CTCModel(nn.Module):
    """The whole model of CTC recognition and end-to-end NER.

    Args:
        encoder: speech encoder, adapted by a strategy.
        mixing: turns the encoder's layers into one representation.
        head: frames to log-probabilities.
    """

    def __init__(self, encoder: SpeechEncoder, mixing: Mixing, head: CTCHead) -> None:
        super().__init__()
        self.encoder = encoder
        self.mixing = mixing
        self.head = head

    @property
    def grid(self) -> FrameGrid:
        """Rows of the emissions to seconds."""
        return self.encoder.grid

    def forward(self, waveforms: Tensor, num_samples: Tensor) -> Emissions:
        """Emissions of a zero-padded batch.

        Args:
            waveforms: mono 16 kHz audio, ``(B, S)``.
            num_samples: real length of each waveform, ``(B,)``.
        """
        frames = self.encoder(waveforms, num_samples, layers=self.mixing.layers_needed)
        return self.read(frames)

    def read_states(self, states: Tensor, num_samples: Tensor) -> Emissions:
        """Emissions from states that the encoder computed before.

        Args:
            states: what the mixing reads, ``(L, B, T, D)``, in any floating-point type.
            num_samples: real length of each waveform, ``(B,)``.
        """
        return self.read(Frames(states[0].float(), frames_of(num_samples, self.grid), states))

    def read(self, frames: Frames) -> Emissions:
        """Emissions from the encoder's output."""
        mixed = self.mixing(frames)  # (B, T, D)
        return Emissions(self.head(mixed, frames.num_frames), frames.num_frames)  # (B, T, V)
