from __future__ import annotations

import pytest
import torch
from torch import nn

from slue_ner.models.adaptation.strategies import Lora
from slue_ner.models.training_checks import check_gradients


def two_layers() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))


def test_a_gradient_of_zero_is_a_gradient():
    module = two_layers()
    (0 * module(torch.ones(1, 2))).sum().backward()
    check_gradients(module, trainable=["0.weight", "1.weight"])


def test_a_parameter_off_the_path_to_the_loss_is_named():
    module = two_layers()
    module[0](torch.ones(1, 2)).sum().backward()
    with pytest.raises(ValueError, match=r"^adaptation=full trains only a part .* 1 of 2 tensors"):
        check_gradients(module, trainable=["0.weight", "1.weight"], what="adaptation=full")


def test_a_promise_of_a_parameter_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match=r"do not exist, first 7\.weight"):
        check_gradients(two_layers(), trainable=["7.weight"])


def test_stock_wavlm_attention_under_lora_is_caught_with_the_way_out(tiny_encoder, noise):
    encoder = tiny_encoder("wavlm", stock_attention=True)
    report = Lora().apply(encoder)
    head = nn.Linear(encoder.hidden_size, 1)  # trainable, as in a real run
    head(encoder.train()(*noise(5000)).values).sum().backward()
    with pytest.raises(ValueError) as caught:
        check_gradients(encoder, trainable=report.trainable, what="adaptation=lora")
    message = str(caught.value)
    assert message.startswith("adaptation=lora trains nothing: 24 of 24 tensors got no gradient")
    assert "first model.encoder.layers.0.attention.k_proj.lora_A" in message
    assert message.endswith("set stock_attention=false")
