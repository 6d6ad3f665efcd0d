"""Strategies that train the whole encoder, or what is left of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from slue_ner.models.adaptation.report import AdaptationReport, parameter_names, settle
from slue_ner.models.adaptation.strategy import HeadFirst, check_count
from slue_ner.models.building import fresh_blocks
from slue_ner.models.encoder import SpeechEncoder
from slue_ner.models.mixing import MixingOptions


@dataclass(kw_only=True)
class Full(HeadFirst):
    """Train everything, by default all but the convolutional front end.

    Attributes:
        freeze_front_end: keep the waveform convolutions; log-mel encoders have none.
    """

    name: ClassVar[str] = "full"
    freeze_front_end: bool = True

    def apply(
        self, encoder: SpeechEncoder, *, mixing: MixingOptions | None = None
    ) -> AdaptationReport:
        """As ``Strategy.apply``."""
        return self._train(encoder, mixing)

    def _train(
        self,
        encoder: SpeechEncoder,
        mixing: MixingOptions | None,
        *,
        reinitialized: list[str] | None = None,
        dropped: list[str] | None = None,
    ) -> AdaptationReport:
        kept: set[str] = set()
        if self.freeze_front_end and encoder.filter_bank is None:
            front_end = encoder.model.feature_extractor
            kept.update(parameter_names(encoder, front_end))
            encoder.kept = (front_end,)
        return settle(
            encoder,
            strategy=self.name,
            trainable=[name for name, _ in encoder.named_parameters() if name not in kept],
            layers=self.layers(encoder, mixing=mixing),
            reinitialized=reinitialized or (),
            dropped=dropped or (),
            encoder_frozen_until=self.freeze_updates,
        )


@dataclass(kw_only=True)
class Reinit(Full):
    """Re-initialise the last blocks, then train as ``Full`` (arXiv:2107.04734, section 5).

    Attributes:
        num_layers: blocks to re-initialise, counted from the top.
    """

    name: ClassVar[str] = "reinit"
    num_layers: int = 1

    def apply(
        self, encoder: SpeechEncoder, *, mixing: MixingOptions | None = None
    ) -> AdaptationReport:
        """As ``Strategy.apply``."""
        check_count(self.name, self.num_layers, lowest=1, highest=encoder.num_layers)
        names: list[str] = []
        fresh = fresh_blocks(encoder, num_layers=self.num_layers)
        for block, new in zip(encoder.blocks[-self.num_layers :], fresh, strict=True):
            with torch.no_grad():
                block.load_state_dict(new.state_dict())
            names += parameter_names(encoder, block)
        return self._train(encoder, mixing, reinitialized=names)


@dataclass(kw_only=True)
class Truncate(Full):
    """Drop the last blocks, keep the final LayerNorm, then train as ``Full``.

    Attributes:
        num_layers: blocks to drop, counted from the top.
    """

    name: ClassVar[str] = "truncate"
    num_layers: int = 1

    def apply(
        self, encoder: SpeechEncoder, *, mixing: MixingOptions | None = None
    ) -> AdaptationReport:
        """As ``Strategy.apply``; the mixing's layers count the blocks that are left."""
        check_count(self.name, self.num_layers, lowest=1, highest=encoder.num_layers - 1)
        dropped = encoder.drop_blocks(encoder.num_layers - self.num_layers)
        return self._train(encoder, mixing, dropped=dropped)
