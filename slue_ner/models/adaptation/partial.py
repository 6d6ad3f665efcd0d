"""Strategies that train a small part of the encoder: its top blocks, or adapters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from slue_ner.models.adaptation.lora import inject_adapters
from slue_ner.models.adaptation.report import AdaptationReport, parameter_names, settle
from slue_ner.models.adaptation.strategy import HeadFirst, check_count
from slue_ner.models.encoder import SpeechEncoder
from slue_ner.models.mixing import MixingOptions


@dataclass(kw_only=True)
class TopLayers(HeadFirst):
    """Train the last blocks and the final LayerNorm above them; the rest stays as it is.

    Attributes:
        num_layers: blocks to train, counted from the top.
    """

    name: ClassVar[str] = "top_layers"
    num_layers: int = 1

    def apply(
        self, encoder: SpeechEncoder, *, mixing: MixingOptions | None = None
    ) -> AdaptationReport:
        """As ``Strategy.apply``."""
        check_count(self.name, self.num_layers, lowest=1, highest=encoder.num_layers)
        trainable: list[str] = []
        for block in encoder.blocks[-self.num_layers :]:
            trainable += parameter_names(encoder, block)
        if encoder.final_norm is not None:
            trainable += parameter_names(encoder, encoder.final_norm)
        layers = self.layers(encoder, mixing=mixing)
        encoder.kept = encoder.parts_below(self.num_layers)
        return settle(
            encoder,
            strategy=self.name,
            trainable=trainable,
            layers=layers,
            encoder_frozen_until=self.freeze_updates,
        )


@dataclass(kw_only=True)
class Lora(HeadFirst):
    """Train low-rank adapters in every block and nothing else (arXiv:2106.09685).

    Attributes:
        rank: width of an adapter.
        alpha: the update is scaled by ``alpha / rank``.
        dropout: on an adapter's input, in [0, 1).
        targets: out of query, key, value, output and ffn; the same for every family.
    """

    name: ClassVar[str] = "lora"
    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: list[str] = field(default_factory=lambda: ["query", "key", "value", "output"])

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank < 1:
            raise ValueError(f"adaptation=lora needs rank >= 1, got {self.rank}")
        if self.alpha <= 0:
            raise ValueError(f"adaptation=lora needs alpha > 0, got {self.alpha}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"adaptation=lora needs dropout in [0, 1), got {self.dropout}")

    def apply(
        self, encoder: SpeechEncoder, *, mixing: MixingOptions | None = None
    ) -> AdaptationReport:
        """As ``Strategy.apply``."""
        layers = self.layers(encoder, mixing=mixing)
        injected = inject_adapters(
            encoder,
            rank=self.rank,
            alpha=self.alpha,
            dropout=self.dropout,
            targets=self.targets,
        )
        return settle(
            encoder,
            strategy=self.name,
            trainable=injected,
            layers=layers,
            injected=injected,
            encoder_frozen_until=self.freeze_updates,
        )
