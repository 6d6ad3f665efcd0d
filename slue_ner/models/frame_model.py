"""Encoder, mixing and frame head as one model, with a CTC head beside it when asked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from slue_ner.core.time import FrameGrid
from slue_ner.models.ctc_model import Emissions
from slue_ner.models.encoder import SpeechEncoder
from slue_ner.models.frame_heads import FrameHead
from slue_ner.models.frames import Frames
from slue_ner.models.heads import CTCHead
from slue_ner.models.lengths import frames_of
from slue_ner.models.mixing import Mixing


@dataclass(frozen=True)
class FrameLogits:
    """What the heads say about a batch.

    Attributes:
        values: logits of every class at every frame, ``(B, T, C)`` float32; rows past an
            utterance's end are meaningless.
        num_frames: real frames of each utterance, ``(B,)``.
        emissions: of the CTC head; ``None`` without one.
    """

    values: Tensor
    num_frames: Tensor
    emissions: Emissions | None


class FrameModel(nn.Module):
    """The whole model of frame-level localization: one encoder pass, one or two heads.

    Args:
        encoder: speech encoder, adapted by a strategy.
        mixing: turns the encoder's layers into one representation, which both heads read.
        frame_head: frames to classes.
        symbols: names of the classes.
        exclusive: a frame is of one class only (BIO); otherwise every class is a binary question
            of its own, so that entities may overlap.
        head: the CTC head; ``None`` without joint training.
    """

    def __init__(
        self,
        encoder: SpeechEncoder,
        mixing: Mixing,
        frame_head: FrameHead,
        *,
        symbols: tuple[str, ...],
        exclusive: bool,
        head: CTCHead | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.mixing = mixing
        self.frame_head = frame_head
        self.symbols = symbols
        self.exclusive = exclusive
        self.head = head

    @property
    def grid(self) -> FrameGrid:
        """Rows of the logits to seconds."""
        return self.encoder.grid

    def forward(self, waveforms: Tensor, num_samples: Tensor) -> FrameLogits:
        """Classify the frames of a zero-padded batch.

        Args:
            waveforms: mono 16 kHz audio, ``(B, S)``.
            num_samples: real length of each waveform, ``(B,)``.
        """
        frames = self.encoder(waveforms, num_samples, layers=self.mixing.layers_needed)
        return self.read(frames)

    def read_states(self, states: Tensor, num_samples: Tensor) -> FrameLogits:
        """Classify frames from states that the encoder computed before.

        Args:
            states: what the mixing reads, ``(L, B, T, D)``, in any floating-point type.
            num_samples: real length of each waveform, ``(B,)``.
        """
        return self.read(Frames(states[0].float(), frames_of(num_samples, self.grid), states))

    def read(self, frames: Frames) -> FrameLogits:
        """Classify the frames of an encoder's output."""
        mixed = self.mixing(frames)  # (B, T, D)
        emissions = None
        if self.head is not None:
            emissions = Emissions(self.head(mixed, frames.num_frames), frames.num_frames)
        return FrameLogits(self.frame_head(mixed, frames.num_frames), frames.num_frames, emissions)

    def log_probs(self, logits: Tensor) -> Tensor:
        """Log-probabilities of the classes, ``(B, T, C)``; they sum to 1 only when exclusive."""
        if self.exclusive:
            return torch.log_softmax(logits, dim=-1)
        return functional.logsigmoid(logits)
