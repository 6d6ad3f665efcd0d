"""Strategies that train nothing of the encoder: it is a feature extractor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from slue_ner.models.adaptation.report import AdaptationReport, settle
from slue_ner.models.adaptation.strategy import Strategy, check_count
from slue_ner.models.encoder import SpeechEncoder
from slue_ner.models.mixing import Layers, MixingKind, MixingOptions


@dataclass(kw_only=True)
class FrozenWeightedSum(Strategy):
    """Train only the head and the weights of a sum over all layers (SUPERB, arXiv:2105.01051)."""

    name: ClassVar[str] = "frozen_weighted_sum"

    def default_mixing(self) -> MixingOptions:
        """A weighted sum over all layers."""
        return MixingOptions(kind=MixingKind.weighted_sum)

    def apply(
        self, encoder: SpeechEncoder, *, mixing: MixingOptions | None = None
    ) -> AdaptationReport:
        """As ``Strategy.apply``."""
        return _freeze_for_good(encoder, self.name, self.layers(encoder, mixing=mixing))


@dataclass(kw_only=True)
class FrozenLayer(Strategy):
    """Train only the head, on one layer; the blocks above it are removed.

    Attributes:
        layer: index of the state to read; 0 is the input of the first block.
    """

    name: ClassVar[str] = "frozen_layer"
    layer: int

    def default_mixing(self) -> MixingOptions:
        """The layer itself."""
        return MixingOptions(kind=MixingKind.layer, layer=self.layer)

    def apply(
        self, encoder: SpeechEncoder, *, mixing: MixingOptions | None = None
    ) -> AdaptationReport:
        """As ``Strategy.apply``."""
        check_count(self.name, self.layer, lowest=0, highest=encoder.num_layers, what="layer")
        dropped = encoder.drop_blocks(self.layer)
        return _freeze_for_good(
            encoder, self.name, self.layers(encoder, mixing=mixing), dropped=dropped
        )


def _freeze_for_good(
    encoder: SpeechEncoder, name: str, layers: Layers, *, dropped: list[str] | None = None
) -> AdaptationReport:
    encoder.frozen = True
    encoder.eval()
    return settle(encoder, strategy=name, trainable=(), layers=layers, dropped=dropped or ())
