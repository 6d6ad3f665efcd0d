from __future__ import annotations

import pytest
import torch

from slue_ner.models.heads import BlockOptions, CTCHead

LENGTHS = torch.tensor([7, 7])


def test_probabilities_sum_to_one_at_every_frame():
    log_probs = CTCHead(8, vocabulary_size=5)(torch.randn(2, 7, 8), LENGTHS)
    assert log_probs.shape == (2, 7, 5)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(2, 7))


def test_log_probabilities_are_float32_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert CTCHead(8, vocabulary_size=5)(torch.randn(2, 7, 8), LENGTHS).dtype == torch.float32


def test_dropout_acts_in_training_only():
    head, values = CTCHead(8, vocabulary_size=5, dropout=0.9), torch.randn(2, 7, 8)
    assert not torch.equal(head(values, LENGTHS), head(values, LENGTHS))
    head.eval()
    assert torch.equal(head(values, LENGTHS), head(values, LENGTHS))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocabulary_size": 1}, "got vocabulary_size=1"),
        ({"vocabulary_size": 5, "dropout": 1.0}, r"dropout in \[0, 1\), got 1.0"),
    ],
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CTCHead(8, **options)


@pytest.mark.parametrize("kind", ["conv", "transformer"])
def test_blocks_stand_before_the_letters_and_see_no_padding(kind):
    torch.manual_seed(0)
    blocks = BlockOptions(kind=kind, size=12, num_layers=2, kernel=3)
    head = CTCHead(8, vocabulary_size=5, blocks=blocks).eval()
    values = torch.randn(2, 7, 8)
    together = head(values, torch.tensor([7, 4]))
    alone = head(values[1:, :4], torch.tensor([4]))
    torch.testing.assert_close(together[1:, :4], alone, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(together, head(values + 10.0 * torch.eye(8)[:7], LENGTHS))
    together.sum().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())
