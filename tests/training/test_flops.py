from __future__ import annotations

from types import SimpleNamespace

import torch

from slue_ner.data.loading.batch import Batch
from slue_ner.training.progress import count_flops


def test_a_training_step_costs_three_forward_passes_and_no_randomness():
    linear = torch.nn.Linear(8, 4)
    task = SimpleNamespace(
        model=lambda waveforms, _: torch.nn.functional.dropout(linear(waveforms), 0.5)
    )
    lengths = torch.tensor([8, 8])
    batch = Batch(("a", "b"), torch.zeros(2, 8), lengths, torch.zeros(2, 1), lengths)
    before = torch.get_rng_state()
    assert count_flops(task, batch) == 3 * 2 * (2 * 8 * 4)  # 2 per multiply-add
    assert torch.equal(torch.get_rng_state(), before)
