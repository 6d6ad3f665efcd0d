"""Encoder, mixing and frame head as one model, with a CTC head beside it, and the losses.

Labels of frames come in two forms. Binary questions: ``(B, T, C)`` float, 1 where class ``C`` is
there. Exclusive (BIO): ``(B, T)`` long, 0 outside, ``1 + 2k`` where type ``k`` begins and
``2 + 2k`` where it goes on. A negative label is ignored in both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from slue_ner.core.time import FrameGrid
from slue_ner.models.ctc_model import Emissions
from slue_ner.models.encoder.frames import Frames, frames_of
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.models.heads import CTCHead, FrameHead
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


IGNORED = -1


def frame_losses(
    logits: Tensor, labels: Tensor, *, gamma: float = 0.0, positive_weight: float = 1.0
) -> Tensor:
    """Loss of every frame, ``(B, T)`` float32; 0 where it is ignored.

    Binary cross-entropy, the mean over the classes, or cross-entropy when the labels are
    exclusive. ``gamma`` above 0 makes either the focal loss, ``(1 - p) ** gamma`` times as large
    where ``p`` is the probability of what is true (arXiv:1708.02002, eq. 4).

    Args:
        logits: ``(B, T, C)``.
        labels: as above.
        gamma: 0 for plain cross-entropy.
        positive_weight: factor of the loss where the truth is an entity (all classes but 0).
    """
    logits = logits.float()
    if labels.is_floating_point():
        truth = labels.clamp(min=0.0)
        losses = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        losses = _weigh(losses, truth > 0, gamma, positive_weight)
        return (losses * (labels >= 0)).mean(-1)
    losses = functional.cross_entropy(
        logits.transpose(1, 2), labels.clamp(min=0), reduction="none"
    )  # (B, T)
    return _weigh(losses, labels > 0, gamma, positive_weight) * (labels >= 0)


def counted_frames(labels: Tensor) -> Tensor:
    """True where a frame has a label, ``(B, T)`` bool."""
    return labels[..., 0] >= 0 if labels.is_floating_point() else labels >= 0


def entity_probabilities(logits: Tensor, *, exclusive: bool) -> Tensor:
    """Probability of every type at every frame, ``(B, T, K)``; BIO's B and I are added."""
    if not exclusive:
        return logits.float().sigmoid()
    inside = logits.float().softmax(-1)[..., 1:]  # (B, T, 2K)
    return inside.reshape(*inside.shape[:2], -1, 2).sum(-1)  # (B, T, K)


def claimed_probabilities(logits: Tensor, *, exclusive: bool) -> Tensor:
    """Probability with which every type claims a frame as decoding does, ``(B, T, K)``.

    A binary question claims with its own. BIO first asks for any entity, so its most probable
    type claims with the probability of them all, and the others do not.
    """
    types = entity_probabilities(logits, exclusive=exclusive)
    if not exclusive:
        return types
    best = functional.one_hot(types.argmax(-1), types.shape[-1])
    return types.sum(-1, keepdim=True) * best


def entity_presence(labels: Tensor, *, num_types: int) -> Tensor:
    """1 where a type is there, ``(B, T, K)`` float; 0 elsewhere and where it is ignored."""
    if labels.is_floating_point():
        return labels.clamp(min=0.0)
    types = torch.arange(num_types, device=labels.device)
    return ((labels[..., None] - 1).div(2, rounding_mode="floor") == types).float()


def overlap_losses(probabilities: Tensor, presence: Tensor, counted: Tensor) -> Tensor:
    """One minus the soft IoU in time of what is said and what is true, ``(B, K)``.

    The IoU of an utterance and a type is ``sum(p y) / sum(p + y - p y)`` over its frames, ``p``
    the probability and ``y`` the truth: the share of shared time that hard labels would give.

    Args:
        probabilities: ``(B, T, K)``.
        presence: 0 or 1, ``(B, T, K)``.
        counted: frames that count, ``(B, T)`` bool.

    Returns:
        0 where a type does not occur in an utterance: there is nothing to overlap with.
    """
    probabilities = probabilities * counted[..., None]
    shared = (probabilities * presence).sum(1)  # (B, K)
    united = (probabilities + presence - probabilities * presence).sum(1)
    occurs = presence.any(1)
    return (1.0 - shared / united.clamp(min=1e-9)) * occurs


def _weigh(losses: Tensor, positive: Tensor, gamma: float, positive_weight: float) -> Tensor:
    if gamma:
        # exp(-loss) is the probability of the truth; the floor keeps gamma below 1 finite
        losses = losses * (-torch.expm1(-losses)).clamp(min=1e-7) ** gamma
    if positive_weight != 1.0:
        losses = torch.where(positive, positive_weight * losses, losses)
    return losses
