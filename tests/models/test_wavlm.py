from __future__ import annotations

import pytest
import torch

from slue_ner.models.adaptation.strategies import Lora

# the stock attention gives torch a boolean padding mask beside its floating-point bias
pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")


@pytest.mark.parametrize("style", ["wavlm", "wavlm-large"])
@pytest.mark.parametrize("lengths", [(9000,), (9000, 4000, 700)], ids=["alone", "padded"])
@torch.no_grad()
def test_our_attention_equals_the_stock_one(style, lengths, tiny_encoder, noise):
    ours = tiny_encoder(style)
    stock = tiny_encoder(style, stock_attention=True)
    assert type(stock.blocks[0].attention).__name__ == "WavLMAttention"
    stock.load_state_dict(ours.state_dict())
    hidden = torch.randn(len(lengths), 40, ours.hidden_size)
    valid = torch.arange(40) < torch.tensor([[40], [23], [1]])[: len(lengths)]
    mask = None if len(lengths) == 1 else valid
    bias = stock_bias = None
    for block, stock_block in zip(ours.blocks, stock.blocks, strict=True):
        found, _, bias = block.attention(hidden, attention_mask=mask, position_bias=bias)
        expected, _, stock_bias = stock_block.attention(
            hidden, attention_mask=mask, position_bias=stock_bias
        )
        torch.testing.assert_close(found[valid], expected[valid], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("style", ["wavlm", "wavlm-large"])
@torch.no_grad()
def test_a_whole_model_with_our_attention_equals_the_stock_one(style, tiny_encoder, noise):
    ours = tiny_encoder(style)
    stock = tiny_encoder(style, stock_attention=True)
    stock.load_state_dict(ours.state_dict())
    batch = noise(9000, 4000, 700)
    found, expected = ours(*batch), stock(*batch)
    torch.testing.assert_close(
        found.values[found.valid], expected.values[found.valid], atol=5e-6, rtol=1e-5
    )


@torch.no_grad()
def test_position_buckets_agree_with_stock_far_beyond_the_largest_distance(tiny_encoder):
    ours = tiny_encoder("wavlm", overrides={"num_buckets": 320})
    stock = tiny_encoder("wavlm", overrides={"num_buckets": 320}, stock_attention=True)
    stock.load_state_dict(ours.state_dict())
    expected = stock.blocks[0].attention.compute_bias(1200, 1200)
    assert torch.equal(ours.blocks[0].attention._position_bias(1200), expected)


@pytest.mark.parametrize("stock_attention", [False, True])
def test_adapters_get_gradients_through_our_attention_and_none_through_the_stock_one(
    stock_attention, tiny_encoder, noise
):
    encoder = tiny_encoder("wavlm", stock_attention=stock_attention)
    report = Lora().apply(encoder)
    head = torch.nn.Linear(encoder.hidden_size, 1)  # trainable, as in a real run
    head(encoder.train()(*noise(6000, 3000)).values).square().sum().backward()
    reached = [name for name, p in encoder.named_parameters() if p.grad is not None]
    assert reached == ([] if stock_attention else list(report.injected))
