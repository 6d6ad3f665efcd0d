from __future__ import annotations

import pytest
import torch

from slue_ner.models.frame_model import FrameModel
from slue_ner.models.heads import BLOCKS, BlockOptions, CTCHead, FrameHead
from slue_ner.models.mixing import LastLayer, WeightedSum


def options(kind: str, **changes) -> BlockOptions:
    return BlockOptions(**{"kind": kind, "size": 8, "num_layers": 2, "kernel": 5, **changes})


def head(kind: str, **changes) -> FrameHead:
    torch.manual_seed(0)
    return FrameHead(12, num_classes=3, options=options(kind), **changes).eval()


@pytest.mark.parametrize("kind", BLOCKS)
def test_every_head_gives_a_logit_a_class_at_every_frame(kind):
    logits = head(kind)(torch.randn(2, 7, 12), torch.tensor([7, 4]))
    assert logits.shape == (2, 7, 3) and logits.dtype == torch.float32


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("mode", [True, False])
def test_padding_has_no_influence(kind, mode):
    classify = head(kind).train(mode)
    values = torch.randn(2, 9, 12)
    values[1, 4:] = float("inf") if kind == "linear" else 1e6
    together = classify(values, torch.tensor([9, 4]))
    alone = classify(values[1:, :4], torch.tensor([4]))
    torch.testing.assert_close(together[1:, :4], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", BLOCKS)
def test_every_parameter_of_a_head_learns(kind):
    classify = head(kind).train()
    classify(torch.randn(2, 7, 12), torch.tensor([7, 4])).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in classify.parameters())


def test_logits_are_float32_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert head("linear")(torch.randn(1, 2, 12), torch.tensor([2])).dtype == torch.float32


def test_a_convolution_sees_as_far_as_its_kernels_reach():
    classify, values = head("conv"), torch.randn(1, 20, 12)
    changed = values.clone()
    changed[0, 10] += 1.0
    lengths = torch.tensor([20])
    differs = (classify(values, lengths) != classify(changed, lengths)).any(-1)[0]
    assert torch.nonzero(differs).flatten().tolist() == list(range(6, 15))  # 2 blocks of 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "lstm"}, r"head.kind='lstm' should be linear, conv or transformer"),
        ({"kernel": 4}, "an odd kernel, got 8, 2 and 4"),
        ({"num_layers": 0}, "at least 1"),
        ({"size": 6}, "head.size=6 of a transformer must be a multiple of 4"),
    ],
)
def test_options_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        options(**{"kind": "transformer", **changes})
    with pytest.raises(ValueError, match=r"dropout in \[0, 1\), got 1.0"):
        head("linear", dropout=1.0)


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("mixed", [True, False])
def test_states_computed_before_give_the_same_logits(tiny_encoder, noise, kind, mixed):
    encoder = tiny_encoder("wav2vec2-bert")
    mixing = WeightedSum([0, 1, 2, 3]) if mixed else LastLayer()
    torch.manual_seed(0)
    frame_head = FrameHead(encoder.hidden_size, num_classes=2, options=options(kind))
    model = FrameModel(
        encoder,
        mixing,
        frame_head,
        symbols=("PERSON", "PLACE"),
        exclusive=False,
        head=CTCHead(encoder.hidden_size, vocabulary_size=5),
    ).eval()
    waveforms, num_samples = noise(8000, 3000)
    frames = encoder(waveforms, num_samples, layers=mixing.layers_needed)
    states = frames.values[None] if frames.layers is None else frames.layers
    heard, read = model(waveforms, num_samples), model.read_states(states, num_samples)
    torch.testing.assert_close(heard.values, read.values)
    torch.testing.assert_close(heard.emissions.log_probs, read.emissions.log_probs)
    assert heard.num_frames.tolist() == read.num_frames.tolist()


def test_log_probabilities_of_exclusive_classes_sum_to_one_and_others_need_not(tiny_encoder):
    encoder = tiny_encoder("wav2vec2")
    logits = torch.tensor([[[0.0, 2.0]]])
    made = {
        exclusive: FrameModel(
            encoder,
            LastLayer(),
            head("linear"),
            symbols=("O", "X"),
            exclusive=exclusive,
        ).log_probs(logits)
        for exclusive in (True, False)
    }
    assert made[True].exp().sum().item() == pytest.approx(1.0)
    torch.testing.assert_close(made[False].exp(), logits.sigmoid())
