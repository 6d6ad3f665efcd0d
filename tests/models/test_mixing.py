from __future__ import annotations

import pytest
import torch

from slue_ner.models.encoder.frames import Frames
from slue_ner.models.mixing import MixingKind, MixingOptions, WeightedSum, build_mixing


def frames(num_layers: int = 4) -> Frames:
    torch.manual_seed(0)
    layers = torch.randn(num_layers, 2, 5, 6)
    return Frames(layers[-1], torch.tensor([5, 3]), layers)


def test_weighted_sum_starts_as_the_mean_over_layers():
    mix = build_mixing(MixingOptions(kind=MixingKind.weighted_sum), num_layers=3)
    assert mix.layers_needed == [0, 1, 2, 3]
    torch.testing.assert_close(mix(frames()), frames().layers.mean(0))


def test_weighted_sum_follows_its_weights():
    mix = WeightedSum([0, 2])
    with torch.no_grad():
        mix.logits.copy_(torch.tensor([1.0, 3.0]).log())  # softmax: 1/4 and 3/4
    layers = torch.stack([torch.zeros(1, 1, 2), torch.full((1, 1, 2), 4.0)])
    found = mix(Frames(layers[-1], torch.tensor([1]), layers))
    torch.testing.assert_close(found, torch.full((1, 1, 2), 3.0))


def test_normalised_layers_weigh_the_same_whatever_their_scale():
    mix = WeightedSum([0, 1], normalize=True)
    layers = frames(2).layers
    scaled = torch.stack([layers[0], 1000 * layers[1]])
    found = mix(Frames(scaled[-1], torch.tensor([5, 3]), scaled))
    expected = mix(Frames(layers[-1], torch.tensor([5, 3]), layers))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_states_of_a_frozen_encoder_are_mixed_as_those_of_a_trained_one(dtype, normalize):
    mix = WeightedSum([0, 1, 2, 3], normalize=normalize)
    with torch.no_grad():
        mix.logits.copy_(torch.tensor([0.3, -1.0, 0.5, 0.1]))
    layers = (10 * frames().layers + 1).to(dtype)
    torch.manual_seed(1)
    wanted = torch.randn(2, 5, 6)
    outputs, grads = [], []
    for states in (layers, layers.float().requires_grad_()):
        mixed = mix(Frames(states[-1], torch.tensor([5, 3]), states))
        outputs.append(mixed)
        grads.append(torch.autograd.grad((mixed * wanted).sum(), mix.logits)[0])
    torch.testing.assert_close(*outputs)
    torch.testing.assert_close(*grads)


def test_a_frozen_mix_stays_in_full_precision_under_autocast():
    mix = WeightedSum([0, 1, 2, 3])
    expected = mix(frames())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(mix(frames()), expected)


def test_last_and_single_layers_pass_through():
    last = build_mixing(MixingOptions(), num_layers=3)
    assert last.layers_needed == "last"
    assert torch.equal(last(frames()), frames().values)
    layer = build_mixing(MixingOptions(kind=MixingKind.layer, layer=2), num_layers=3)
    assert layer.layers_needed == [2]
    one = Frames(frames().layers[2], torch.tensor([5, 3]), frames().layers[2:3])
    assert torch.equal(layer(one), frames().layers[2])


def test_the_highest_layer_is_the_default_layer():
    assert MixingOptions(kind=MixingKind.layer).layers_needed(12) == [12]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": MixingKind.layer, "layer": 4}, r"mixing=layer needs layers in \[0, 3\]"),
        ({"kind": MixingKind.weighted_sum, "layers": []}, r"layers in \[0, 3\] .* got \[\]"),
        ({"kind": MixingKind.weighted_sum, "layers": [1, 1]}, "distinct layers, got"),
        ({"layer": 1}, "mixing=last takes no layer, got layer=1"),
        ({"normalize": True}, "mixing=last takes no layers and no normalize"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build_mixing(MixingOptions(**options), num_layers=3)


def test_frames_with_other_layers_are_refused():
    with pytest.raises(ValueError, match=r"needs layers .* but got 4 layers"):
        WeightedSum([0, 1])(frames())
    with pytest.raises(ValueError, match="got no layers; call the encoder with"):
        WeightedSum([0, 1])(Frames(torch.zeros(1, 1, 1), torch.tensor([1])))


def test_an_encoder_and_its_mixing_fit_together(style, tiny_encoder, noise):
    encoder = tiny_encoder(style)
    for kind in MixingKind:
        mix = build_mixing(MixingOptions(kind=kind), num_layers=encoder.num_layers)
        found = encoder(*noise(6000, 3000), layers=mix.layers_needed)
        assert mix(found).shape == (2, encoder.grid.num_frames(6000), encoder.hidden_size)
