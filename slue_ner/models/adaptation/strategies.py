"""All adaptation strategies and their table: what trains all, a part or nothing of an encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch

from slue_ner.core.suggest import nearest
from slue_ner.models.adaptation.lora import inject_adapters
from slue_ner.models.adaptation.strategy import (
    AdaptationReport,
    HeadWarmUp,
    Strategy,
    check_count,
    parameter_names,
    set_trainable,
)
from slue_ner.models.encoder.building import fresh_blocks
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.models.mixing import Layers, MixingKind, MixingOptions


@dataclass(kw_only=True)
class Full(HeadWarmUp):
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
        return set_trainable(
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


@dataclass(kw_only=True)
class TopLayers(HeadWarmUp):
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
        return set_trainable(
            encoder,
            strategy=self.name,
            trainable=trainable,
            layers=layers,
            encoder_frozen_until=self.freeze_updates,
        )


@dataclass(kw_only=True)
class Lora(HeadWarmUp):
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
        return set_trainable(
            encoder,
            strategy=self.name,
            trainable=injected,
            layers=layers,
            injected=injected,
            encoder_frozen_until=self.freeze_updates,
        )


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
    return set_trainable(encoder, strategy=name, trainable=(), layers=layers, dropped=dropped or ())


STRATEGIES: dict[str, type[Strategy]] = {
    strategy.name: strategy
    for strategy in (
        *(Full, Reinit, Lora, FrozenWeightedSum),
        *(FrozenLayer, TopLayers, Truncate),
    )
}
"""Every strategy by name."""


def strategy(name: str) -> type[Strategy]:
    """The strategy called ``name``.

    Raises:
        ValueError: naming the known strategies.
    """
    if name not in STRATEGIES:
        raise ValueError(f"unknown adaptation {name!r}; {nearest(name, STRATEGIES)}")
    return STRATEGIES[name]
