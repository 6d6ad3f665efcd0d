"""Training mode where there is training, eval mode where nothing changes.

``from_pretrained`` returns models in eval mode and Lightning leaves modules in the mode that it
finds, so without a word of ours no dropout is ever drawn.
"""

from __future__ import annotations

from torch import nn

from slue_ner.models.encoder import SpeechEncoder


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
