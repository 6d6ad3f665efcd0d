"""What follows from emissions: the loss in training, transcripts with entities otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slue_ner.core.types import Prediction
from slue_ner.data.loading.batch import Batch
from slue_ner.decoding.ctc import BLANK_ID, greedy
from slue_ner.decoding.transcript import to_prediction
from slue_ner.models.ctc_model import CTCModel, Emissions
from slue_ner.models.frame_model import FrameModel
from slue_ner.text.vocabulary import Vocabulary


def ctc_losses(emissions: Emissions, batch: Batch) -> Tensor:
    """Negative log-likelihood of each target, ``(B,)`` float32; inf where it cannot fit."""
    with torch.autocast(emissions.log_probs.device.type, enabled=False):
        return torch.nn.functional.ctc_loss(
            emissions.log_probs.float().transpose(0, 1),  # (T, B, V)
            batch.targets,
            emissions.num_frames,
            batch.num_targets,
            blank=BLANK_ID,
            reduction="none",
        )


def decode(
    emissions: Emissions,
    ids: Sequence[str],
    model: CTCModel | FrameModel,
    vocabulary: Vocabulary,
) -> list[Prediction]:
    """Greedy transcripts with entities of one batch."""
    tokens = greedy(emissions.log_probs, emissions.num_frames, vocabulary.symbols)
    return [
        to_prediction(
            id,
            spans,
            labels=vocabulary.label_set,
            grid=model.grid,
            num_frames=num_frames,
        )
        for id, spans, num_frames in zip(ids, tokens, emissions.num_frames.tolist(), strict=True)
    ]
