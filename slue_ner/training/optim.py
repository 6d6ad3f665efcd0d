"""Optimizer and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from slue_ner.core.suggest import nearest

Schedule = Callable[[float], float]
"""Progress through training in [0, 1] to a factor of the learning rate."""


@dataclass(kw_only=True)
class OptimOptions:
    """AdamW and its schedule.

    Attributes:
        lr: peak learning rate of the encoder (adapters included).
        head_lr: peak learning rate of everything else; ``None`` means ``lr``.
        schedule: ``tri_stage`` (warm up, hold, decay exponentially to ``final_scale``; fairseq),
            ``linear``, ``cosine`` (both warm up, then fall to ``final_scale``) or ``constant``.
        warmup, hold: shares of the updates; the rest decays.
        init_scale, final_scale: factors of the peak where warm-up starts and decay ends.
        gradient_clip: largest norm of the gradient; 0 switches clipping off.
    """

    lr: float
    head_lr: float | None = None
    schedule: str
    warmup: float
    hold: float
    init_scale: float
    final_scale: float
    weight_decay: float
    betas: list[float] = field(default_factory=list)
    eps: float
    gradient_clip: float

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(
                f"optim.schedule={self.schedule!r} is unknown; {nearest(self.schedule, SCHEDULES)}"
            )
        if not (self.warmup >= 0 and self.hold >= 0 and self.warmup + self.hold <= 1):
            raise ValueError(
                f"optim.warmup={self.warmup} and optim.hold={self.hold} are shares of the "
                "updates and must not add up to more than 1"
            )
        if len(self.betas) != 2:
            raise ValueError(f"optim.betas needs two numbers, got {self.betas}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"optim.betas must lie in [0, 1), got {self.betas}")
        if self.eps <= 0:
            raise ValueError(f"optim.eps must be positive, got {self.eps}")
        for name in ("weight_decay", "gradient_clip"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"optim.{name} must not be negative, got {getattr(self, name)}; 0 switches it "
                    "off"
                )
        if self.lr <= 0 or (self.head_lr is not None and self.head_lr <= 0):
            raise ValueError(
                f"optim.lr={self.lr} and optim.head_lr={self.head_lr} must be positive"
            )
        if not (0 < self.init_scale <= 1 and 0 < self.final_scale <= 1):
            raise ValueError(
                f"optim.init_scale={self.init_scale} and optim.final_scale={self.final_scale} "
                "must lie in (0, 1]"
            )

    @property
    def head_rate(self) -> float:
        """Peak learning rate of everything but the encoder."""
        return self.lr if self.head_lr is None else self.head_lr


def build_optimizer(
    options: OptimOptions, *, encoder: Iterable[nn.Parameter], head: Iterable[nn.Parameter]
) -> AdamW:
    """AdamW with two groups, ``encoder`` and ``head``; vectors are not decayed."""
    groups: list[dict[str, Any]] = []
    rates = (("encoder", encoder, options.lr), ("head", head, options.head_rate))
    for name, parameters, lr in rates:
        parameters = list(parameters)
        for decayed in (True, False):
            chosen = [p for p in parameters if (p.ndim > 1) == decayed]
            if chosen:
                decay = options.weight_decay if decayed else 0.0
                groups.append({"params": chosen, "lr": lr, "weight_decay": decay, "name": name})
    first, second = options.betas
    # one kernel for all tensors: a third of the time on a CPU; on a GPU it would clash with the
    # gradient scaler of 16-mixed precision
    on_cpu = all(p.device.type == "cpu" for group in groups for p in group["params"])
    optimizer = AdamW(
        groups,
        lr=options.lr,
        betas=(first, second),
        eps=options.eps,
        fused=True if on_cpu else None,
    )
    if on_cpu:
        # Lightning refuses to clip for any fused optimizer, but a CPU never has a scaler
        optimizer._step_supports_amp_scaling = False
    return optimizer


def build_scheduler(options: OptimOptions, optimizer: AdamW, *, max_updates: int) -> LambdaLR:
    """The schedule as a factor per update, update 0 first."""
    factor = SCHEDULES[options.schedule](options)
    return LambdaLR(optimizer, lambda update: factor(min(1.0, (update + 1) / max_updates)))


def _warmed_up(options: OptimOptions, decay: Schedule) -> Schedule:
    start, end = options.warmup, options.warmup + options.hold

    def factor(progress: float) -> float:
        if progress < start:
            return options.init_scale + (1 - options.init_scale) * progress / start
        if progress <= end or end >= 1:
            return 1.0
        return decay((progress - end) / (1 - end))

    return factor


def _tri_stage(options: OptimOptions) -> Schedule:
    return _warmed_up(options, lambda x: math.exp(math.log(options.final_scale) * x))


def _linear(options: OptimOptions) -> Schedule:
    return _warmed_up(options, lambda x: 1 - (1 - options.final_scale) * x)


def _cosine(options: OptimOptions) -> Schedule:
    low = options.final_scale
    return _warmed_up(options, lambda x: low + (1 - low) * (1 + math.cos(math.pi * x)) / 2)


def _constant(options: OptimOptions) -> Schedule:
    return _warmed_up(options, lambda _: 1.0)


SCHEDULES: dict[str, Callable[[OptimOptions], Schedule]] = {
    "tri_stage": _tri_stage,
    "linear": _linear,
    "cosine": _cosine,
    "constant": _constant,
}
