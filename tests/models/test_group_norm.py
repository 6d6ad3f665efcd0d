from __future__ import annotations

import pytest
import torch
from torch import nn

from slue_ner.models.encoder.front_end import MaskedGroupNorm


def random_norm(channels: int = 4) -> nn.GroupNorm:
    torch.manual_seed(0)
    norm = nn.GroupNorm(channels, channels)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


def test_without_padding_it_is_the_stock_group_norm():
    norm = random_norm()
    values = torch.randn(3, 4, 50) + 2
    torch.testing.assert_close(MaskedGroupNorm(norm)(values, None), norm(values))
    full = MaskedGroupNorm(norm)(values, torch.tensor([50, 50, 50]))
    torch.testing.assert_close(full, norm(values))


def test_statistics_use_valid_steps_only():
    norm = MaskedGroupNorm(nn.GroupNorm(1, 1, eps=0.0))
    values = torch.tensor([[[1.0, 3.0, 1000.0]]])
    # mean (1 + 3) / 2 = 2, standard deviation 1; what follows is padding
    found = norm(values, torch.tensor([2]))
    torch.testing.assert_close(found, torch.tensor([[[-1.0, 1.0, 0.0]]]))


def test_gradients_flow_and_ignore_padding():
    norm = MaskedGroupNorm(random_norm())
    values = torch.randn(2, 4, 20, requires_grad=True)
    norm(values, torch.tensor([20, 7]))[1, :, :7].square().sum().backward()
    assert values.grad[1, :, :7].abs().sum() > 0
    assert values.grad[1, :, 7:].abs().sum() == 0
    assert norm.weight.grad is not None


def test_groups_of_several_channels_are_refused():
    with pytest.raises(ValueError, match="got 2 groups for 4 channels; set stock_group_norm=true"):
        MaskedGroupNorm(nn.GroupNorm(2, 4))
