from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from slue_ner.training.optim import OptimOptions, build_optimizer, build_scheduler


def options(**changes) -> OptimOptions:
    values = {
        "lr": 1.0,
        "schedule": "tri_stage",
        "warmup": 0.2,
        "hold": 0.3,
        "init_scale": 0.1,
        "final_scale": 0.05,
        "weight_decay": 0.0,
        "betas": [0.9, 0.98],
        "eps": 1e-8,
        "gradient_clip": 1.0,
    }
    return OptimOptions(**{**values, **changes})


def rates(chosen: OptimOptions, *, max_updates: int) -> list[float]:
    """The learning rate of every update."""
    weight = nn.Parameter(torch.zeros(1))
    optimizer = build_optimizer(chosen, encoder=[weight], head=[])
    scheduler = build_scheduler(chosen, optimizer, max_updates=max_updates)
    found = []
    for _ in range(max_updates):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_tri_stage_warms_up_holds_and_decays_exponentially():
    # 10 updates: two of warm-up from 0.1, at the peak up to the fifth, then 0.05 ** (k / 5)
    decay = [0.05 ** (k / 5) for k in range(1, 6)]
    expected = [0.1 + 0.9 * 0.5, 1.0, 1.0, 1.0, 1.0, *decay]
    assert rates(options(), max_updates=10) == pytest.approx(expected)


def test_linear_falls_in_equal_steps():
    # (1 - 0.05) / 8 = 0.11875 an update after two of warm-up
    expected = [0.55, 1.0, *(1 - 0.11875 * k for k in range(1, 9))]
    assert rates(options(schedule="linear", hold=0.0), max_updates=10) == pytest.approx(expected)


def test_cosine_falls_along_half_a_wave():
    found = rates(options(schedule="cosine", hold=0.0, warmup=0.2), max_updates=10)
    assert found[5] == pytest.approx(0.05 + 0.95 / 2)  # half-way between the second and the tenth
    assert found[9] == pytest.approx(0.05)
    assert found[3] == pytest.approx(0.05 + 0.95 * (1 + math.cos(math.pi / 4)) / 2)


def test_constant_stays_at_the_peak_after_warming_up():
    found = rates(options(schedule="constant", hold=0.0), max_updates=10)
    assert found == pytest.approx([0.55] + [1.0] * 9)


def test_without_warm_up_the_first_update_has_the_peak_rate():
    assert rates(options(warmup=0.0, hold=1.0), max_updates=3) == [1.0, 1.0, 1.0]


def test_head_and_encoder_have_rates_of_their_own_and_vectors_are_not_decayed():
    encoder, head = nn.Linear(2, 2), nn.Linear(2, 3)
    optimizer = build_optimizer(
        options(lr=1e-4, head_lr=1e-2, weight_decay=0.1),
        encoder=encoder.parameters(),
        head=head.parameters(),
    )
    groups = {
        (group["name"], group["params"][0].ndim): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
    }
    assert groups == {
        ("encoder", 2): (1e-4, 0.1),
        ("encoder", 1): (1e-4, 0.0),
        ("head", 2): (1e-2, 0.1),
        ("head", 1): (1e-2, 0.0),
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "cosin"}, "optim.schedule='cosin' is unknown; did you mean 'cosine'"),
        ({"warmup": 0.7, "hold": 0.4}, "must not add up to more than 1"),
        ({"betas": [0.9]}, r"optim.betas needs two numbers, got \[0.9\]"),
        ({"lr": 0.0}, "optim.lr=0.0 .* must be positive"),
        ({"head_lr": -1.0}, "optim.head_lr=-1.0 must be positive"),
        ({"final_scale": 0.0}, r"optim.final_scale=0.0 must lie in \(0, 1\]"),
    ],
)
def test_optimizer_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        options(**changes)
