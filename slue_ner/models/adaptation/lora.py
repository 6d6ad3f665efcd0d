"""Low-rank adapters on logical targets that mean the same in every family."""

from __future__ import annotations

import re
from collections.abc import Collection

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import nn

from slue_ner.core.suggest import nearest
from slue_ner.models.encoder.speech_encoder import SpeechEncoder


def inject_adapters(
    encoder: SpeechEncoder, *, rank: int, alpha: float, dropout: float, targets: Collection[str]
) -> list[str]:
    """Wrap the target projections of every block with LoRA adapters (arXiv:2106.09685).

    The up-projection starts at zero, so the encoder computes what it computed before.

    Args:
        encoder: changed in place.
        rank: width of the bottleneck.
        alpha: scale; the update is multiplied by ``alpha / rank``.
        dropout: on the adapters' input, in [0, 1).
        targets: out of query, key, value, output and ffn.

    Returns:
        Names of the new parameters.

    Raises:
        ValueError: for an unknown target or a second injection.
    """
    projections = encoder.family.projections
    if not targets:
        raise ValueError(f"adaptation=lora needs targets, known: {', '.join(projections)}")
    for target in targets:
        if target not in projections:
            raise ValueError(
                f"adaptation=lora: unknown target {target!r}; {nearest(target, projections)}"
            )
    if any(isinstance(module, LoraLayer) for module in encoder.modules()):
        raise ValueError("adaptation=lora: the encoder already has adapters; build a new one")
    paths = [re.escape(path) for target in targets for path in projections[target]]
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # peft takes any number
        lora_dropout=dropout,
        target_modules=rf"{re.escape(encoder.family.blocks)}\.\d+\.({'|'.join(paths)})",
    )
    inject_adapter_in_model(config, encoder.model)
    return [name for name, _ in encoder.named_parameters() if ".lora_" in name]


def merge_adapters(model: nn.Module) -> None:
    """Add every adapter to the weights it adapts and take the adapter away, in place."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoraLayer):
                child.merge()
                setattr(parent, name, child.get_base_layer())
