"""The registry of adaptation strategies."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from slue_ner.core.suggest import nearest
from slue_ner.models.adaptation.frozen import FrozenLayer, FrozenWeightedSum
from slue_ner.models.adaptation.full import Full, Reinit, Truncate
from slue_ner.models.adaptation.partial import Lora, TopLayers
from slue_ner.models.adaptation.strategy import Strategy

STRATEGIES: Mapping[str, type[Strategy]] = MappingProxyType(
    {
        strategy.name: strategy
        for strategy in (
            *(Full, Reinit, Lora, FrozenWeightedSum),
            *(FrozenLayer, TopLayers, Truncate),
        )
    }
)
"""Every strategy by name."""


def strategy(name: str) -> type[Strategy]:
    """The strategy called ``name``.

    Raises:
        ValueError: naming the known strategies.
    """
    if name not in STRATEGIES:
        raise ValueError(f"unknown adaptation {name!r}; {nearest(name, STRATEGIES)}")
    return STRATEGIES[name]
