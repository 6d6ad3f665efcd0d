"""Checks in training: gradients where they were announced, modes as they should be.

``from_pretrained`` returns models in eval mode and Lightning leaves modules in the mode that it
finds, so without a word of ours no dropout is ever drawn.
"""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from slue_ner.models.encoder.speech_encoder import SpeechEncoder


def check_gradients(module: nn.Module, *, trainable: Collection[str], what: str = "") -> None:
    """Check after the first backward pass that every trainable parameter got a gradient.

    A gradient of zero is fine (LoRA's A starts with one); no gradient at all is not.

    Args:
        module: the module whose ``named_parameters`` the names refer to.
        trainable: names of parameters that were announced as trainable.
        what: the choice to blame in the message, such as ``adaptation=lora``.

    Raises:
        ValueError: naming how many trainable parameters got no gradient and the first of them, or
            a trainable name that does not exist.
    """
    blame = what or type(module).__name__
    parameters = dict(module.named_parameters())
    unknown = [name for name in trainable if name not in parameters]
    if unknown:
        raise ValueError(
            f"{blame} trains {len(unknown)} parameters that do not exist, first {unknown[0]}; "
            "the module was changed after its adaptation"
        )
    missing = [name for name in trainable if parameters[name].grad is None]
    if not missing:
        return
    extent = "nothing" if len(missing) == len(trainable) else "only a part of what it should"
    raise ValueError(
        f"{blame} trains {extent}: {len(missing)} of {len(trainable)} tensors got no gradient, "
        f"first {missing[0]}; {_way_out(missing)}"
    )


def _way_out(missing: Collection[str]) -> str:
    if all("lora_" in name for name in missing):
        return "WavLM's stock attention bypasses adapters, set stock_attention=false"
    return "they do not reach the loss: freeze them, or choose a mixing that uses them"


def check_modes(model: nn.Module, *, when: str) -> None:
    """Every module must be in training mode, but those that are frozen, which must not be.

    Args:
        model: in training; its encoders know what of them is frozen.
        when: for the message, "at update 0".

    Raises:
        RuntimeError: naming the first module in the wrong mode; it is a fault of the program.
    """
    frozen: set[nn.Module] = set()
    for module in model.modules():
        if isinstance(module, SpeechEncoder):
            frozen |= module.frozen_modules()
    wrong = [name for name, part in model.named_modules() if part.training == (part in frozen)]
    if wrong:
        is_frozen = model.get_submodule(wrong[0]) in frozen
        raise RuntimeError(
            f"{len(wrong)} modules are in the wrong mode {when}, first {wrong[0] or 'the model'}, "
            f"which is {'frozen but in training' if is_frozen else 'trained but in eval'} mode"
        )
