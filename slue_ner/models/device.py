"""Which device to run on."""

from __future__ import annotations

import torch


def pick_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` is the first GPU, else the CPU.

    Raises:
        ValueError: for a device this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device {name!r} is unknown; use auto, cpu or cuda") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device {name!r} is not here: torch sees {torch.cuda.device_count()} GPUs; use auto"
        )
    return device
