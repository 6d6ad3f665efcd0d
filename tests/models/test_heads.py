from __future__ import annotations

import pytest
import torch

from slue_ner.models.heads import CTCHead


def test_probabilities_sum_to_one_at_every_frame():
    log_probs = CTCHead(8, vocabulary_size=5)(torch.randn(2, 7, 8))
    assert log_probs.shape == (2, 7, 5)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(2, 7))


def test_log_probabilities_are_float32_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert CTCHead(8, vocabulary_size=5)(torch.randn(2, 7, 8)).dtype == torch.float32


def test_dropout_acts_in_training_only():
    head, values = CTCHead(8, vocabulary_size=5, dropout=0.9), torch.randn(2, 7, 8)
    assert not torch.equal(head(values), head(values))
    head.eval()
    assert torch.equal(head(values), head(values))


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
