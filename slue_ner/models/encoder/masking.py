"""SpecAugment on encoder features: spans of frames and of feature channels are hidden."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from slue_ner.models.encoder.frames import valid_positions


class SpecAugment(nn.Module):
    """Hides random spans during training (arXiv:1904.08779, as wav2vec 2.0 applies it).

    The stock rule, drawn per utterance over its real frames: about ``prob * length / span``
    spans, at least ``min_time_spans``, starts without replacement. An utterance shorter than a
    span is not masked (the stock function raises). Randomness is torch's own generator, so one
    seed fixes it.
    """

    def __init__(
        self,
        *,
        time_prob: float,
        time_length: int,
        feature_prob: float,
        feature_length: int,
        num_features: int,
        min_time_spans: int = 2,
        min_feature_spans: int = 0,
    ) -> None:
        super().__init__()
        for name, prob in (("mask_time_prob", time_prob), ("mask_feature_prob", feature_prob)):
            if not 0.0 <= prob <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], got {prob}")
        if time_length < 1:
            raise ValueError(f"mask_time_length must be at least 1 frame, got {time_length}")
        if feature_length < 1 or (feature_prob > 0 and feature_length > num_features):
            raise ValueError(
                f"mask_feature_length must be in [1, {num_features}], the channels that there are, "
                f"got {feature_length}"
            )
        self.time_prob = time_prob
        self.time_length = time_length
        self.feature_prob = feature_prob
        self.feature_length = feature_length
        self.num_features = num_features
        self.min_time_spans = min_time_spans
        self.min_feature_spans = min_feature_spans

    def forward(
        self,
        hidden: Tensor,
        num_frames: Tensor,
        embedding: Tensor | None,
        spans: Tensor | None = None,
    ) -> Tensor:
        """Masked copy of ``hidden``; the same tensor in eval mode, unless ``spans`` are given.

        Args:
            hidden: ``(B, T, D)``; ``D`` may be several times ``num_features``.
            num_frames: real frames, ``(B,)``.
            embedding: value of a hidden frame, ``(D,)`` or one for all; needed when
                ``time_prob > 0``.
            spans: frames to hide, ``(B, T)`` bool, instead of random ones.
        """
        if spans is None and not self.training:
            return hidden
        if spans is None and self.time_prob > 0:
            spans = self.draw(num_frames, hidden.shape[1])
        if spans is not None and embedding is not None:
            # where() keeps the embedding in the graph even when nothing is masked
            hidden = torch.where(spans[..., None], embedding.to(hidden.dtype), hidden)
        if not self.training:
            return hidden
        if self.feature_prob > 0:
            channels = random_spans(
                torch.full_like(num_frames, self.num_features),
                self.num_features,
                prob=self.feature_prob,
                length=self.feature_length,
                min_spans=self.min_feature_spans,
            )
            repeats = hidden.shape[2] // self.num_features  # mel frames side by side
            hidden = hidden.masked_fill(channels.repeat(1, repeats)[:, None, :], 0.0)
        return hidden

    def draw(
        self, num_frames: Tensor, total: int, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Random frames to hide, ``(B, total)`` bool.

        Args:
            num_frames: real frames, ``(B,)``.
            total: width of the result.
            generator: where chance comes from, on the device of ``num_frames``; ``None`` is torch's
                own.
        """
        return random_spans(
            num_frames,
            total,
            prob=self.time_prob,
            length=self.time_length,
            min_spans=self.min_time_spans,
            generator=generator,
        )


def random_spans(
    num_valid: Tensor,
    total: int,
    *,
    prob: float,
    length: int,
    min_spans: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Random spans of ``length`` positions inside ``[0, num_valid)``, possibly overlapping.

    Args:
        num_valid: positions to draw from, ``(B,)`` long.
        total: width of the result.
        prob: expected share of covered positions if spans never overlapped, in [0, 1].
        length: positions per span.
        min_spans: fewest spans of an utterance that is long enough for them.
        generator: as in ``SpecAugment.draw``.

    Returns:
        True where hidden, ``(B, total)`` bool.
    """
    device = num_valid.device
    rounding = torch.rand(len(num_valid), device=device, generator=generator)
    num_spans = (prob * num_valid / length + rounding).floor().long().clamp(min=min_spans)
    num_spans = torch.minimum(num_spans, num_valid // length)
    can_start = valid_positions(num_valid - length + 1, total)
    order = torch.rand(len(num_valid), total, device=device, generator=generator)
    order = order.masked_fill(~can_start, 2.0)
    rank = order.argsort(dim=-1).argsort(dim=-1)
    starts = (rank < num_spans[:, None]) & can_start
    started = starts.long().cumsum(-1)
    ended = torch.nn.functional.pad(started, (length, 0))[:, :total]
    return started > ended
