"""Freeze an encoder for its first updates, and let go of it afterwards."""

from __future__ import annotations

from slue_ner.models.adaptation.report import AdaptationReport
from slue_ner.models.encoder import SpeechEncoder


def freeze(encoder: SpeechEncoder) -> None:
    """Train nothing of the encoder for now.

    Dropout and masking stay on, as in fairseq's ``freeze_finetune_updates``; with no gradient
    asked for, no graph is built.
    """
    encoder.requires_grad_(False)


def unfreeze(encoder: SpeechEncoder, *, report: AdaptationReport) -> None:
    """Train what ``report`` promises; check the gradients of the next backward pass.

    Raises:
        ValueError: if the report is not this encoder's.
    """
    parameters = dict(encoder.named_parameters())
    for name in report.trainable:
        if name not in parameters:
            raise ValueError(
                f"the report of adaptation={report.strategy} names {name}, which this encoder "
                "does not have; unfreeze the encoder that the strategy was applied to"
            )
        parameters[name].requires_grad_(True)
