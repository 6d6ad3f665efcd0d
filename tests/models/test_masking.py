from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slue_ner.models.encoder.masking import SpecAugment, random_spans


def runs(row: torch.Tensor) -> list[int]:
    """Lengths of the stretches of True."""
    text = "".join("x" if value else " " for value in row.tolist())
    return [len(stretch) for stretch in text.split()]


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    prob=st.floats(0, 1),
    length=st.integers(1, 12),
    min_spans=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
def test_spans_lie_inside_real_frames_and_are_whole(lengths, prob, length, min_spans, seed):
    torch.manual_seed(seed)
    total = max(lengths) + 3
    hidden = random_spans(
        torch.tensor(lengths), total, prob=prob, length=length, min_spans=min_spans
    )
    for row, real in enumerate(lengths):
        assert not hidden[row, real:].any()
        assert all(run >= length for run in runs(hidden[row]))
        if real >= length and min_spans > 0:
            assert hidden[row].any()
        if real < length:
            assert not hidden[row].any()


def test_the_covered_share_approaches_the_probability_when_spans_are_rare():
    torch.manual_seed(0)
    num_valid = torch.full((400,), 500)
    hidden = random_spans(num_valid, 500, prob=0.05, length=5, min_spans=0)
    # 5 spans of 5 among 500 frames; two of them overlap in few rows
    assert hidden.float().mean().item() == pytest.approx(0.05, abs=0.003)


def test_every_start_is_equally_likely():
    torch.manual_seed(0)
    num_valid = torch.full((4000,), 6)
    starts = random_spans(num_valid, 6, prob=0.0, length=3, min_spans=1).long().argmax(-1)
    share = torch.bincount(starts, minlength=6).float() / 4000
    torch.testing.assert_close(share[:4], torch.full((4,), 0.25), atol=0.03, rtol=0)
    assert share[4:].sum() == 0


def augment(**options) -> SpecAugment:
    defaults = {
        "time_prob": 0.5,
        "time_length": 3,
        "feature_prob": 0.0,
        "feature_length": 2,
        "num_features": 8,
    }
    return SpecAugment(**{**defaults, **options})


def test_hidden_frames_take_the_learned_value_and_the_rest_stays():
    torch.manual_seed(0)
    hidden, embedding = torch.randn(2, 20, 8), torch.full((8,), 7.0)
    found = augment()(hidden, torch.tensor([20, 10]), embedding)
    masked = (found == 7.0).all(-1)
    assert masked.any()
    assert torch.equal(found[~masked], hidden[~masked])


def test_feature_channels_become_zero_over_the_whole_utterance():
    torch.manual_seed(0)
    hidden = torch.randn(2, 20, 8)
    found = augment(time_prob=0.0, feature_prob=0.5)(hidden, torch.tensor([20, 10]), None)
    silent = (found == 0.0).all(1)
    assert silent.any(-1).all() and not silent.all()


def test_nothing_is_masked_in_eval_mode_or_when_shorter_than_a_span():
    hidden, embedding = torch.randn(1, 2, 8), torch.zeros(8)
    assert augment().eval()(hidden, torch.tensor([2]), embedding) is hidden
    assert torch.equal(augment()(hidden, torch.tensor([2]), embedding), hidden)


def test_one_seed_fixes_the_mask():
    hidden, embedding = torch.randn(2, 50, 8), torch.zeros(8)
    masked = []
    for _ in range(2):
        torch.manual_seed(5)
        masked.append(augment()(hidden, torch.tensor([50, 40]), embedding))
    assert torch.equal(*masked)


def test_the_embedding_has_a_gradient_even_when_nothing_is_masked():
    embedding = torch.zeros(8, requires_grad=True)
    augment()(torch.randn(1, 2, 8), torch.tensor([2]), embedding).sum().backward()
    assert torch.equal(embedding.grad, torch.zeros(8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_prob": 1.5}, r"mask_time_prob must be in \[0, 1\], got 1.5"),
        ({"time_length": 0}, "mask_time_length must be at least 1 frame, got 0"),
        ({"feature_prob": 0.1, "feature_length": 9}, r"mask_feature_length must be in \[1, 8\]"),
    ],
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        augment(**options)


def test_encoders_mask_in_training_and_short_utterances_do_not_raise(style, tiny_encoder, noise):
    encoder = tiny_encoder(style, mask_time_prob=0.4, mask_time_length=4, dropout=0.0)
    long, short = noise(9000), noise(encoder.grid.window)
    expected, expected_short = encoder(*long).values, encoder(*short).values
    encoder.train()
    assert not torch.allclose(encoder(*long).values, expected, atol=1e-3)
    torch.testing.assert_close(encoder(*short).values, expected_short)
