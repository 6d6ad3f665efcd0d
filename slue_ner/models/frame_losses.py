"""Losses of frame heads: cross-entropy, focal, and a soft temporal IoU.

Labels come in two forms. Binary questions: ``(B, T, C)`` float, 1 where class ``C`` is there.
Exclusive (BIO): ``(B, T)`` long, 0 outside, ``1 + 2k`` where type ``k`` begins and ``2 + 2k``
where it goes on. A negative label is ignored in both.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

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
    return inside.reshape(*inside.shape[:2], -1, 2).sum(-1)


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
