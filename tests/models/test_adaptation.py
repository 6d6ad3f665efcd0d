from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from slue_ner.models.adaptation.strategies import (
    STRATEGIES,
    FrozenLayer,
    FrozenWeightedSum,
    Full,
    Lora,
    Reinit,
    TopLayers,
    Truncate,
    strategy,
)
from slue_ner.models.adaptation.strategy import freeze, unfreeze
from slue_ner.models.encoder.building import build_encoder, encoder_from_blueprint
from slue_ner.models.encoder.options import EncoderOptions
from slue_ner.models.encoder.saving import save_encoder
from slue_ner.models.mixing import MixingKind, MixingOptions, build_mixing
from slue_ner.models.training_checks import check_gradients

CHOICES = {
    "full": Full(),
    "reinit": Reinit(num_layers=2),
    "lora": Lora(rank=2, dropout=0.1, targets=["query", "key", "value", "output", "ffn"]),
    "frozen_weighted_sum": FrozenWeightedSum(),
    "frozen_layer": FrozenLayer(layer=2),
    "top_layers": TopLayers(num_layers=2),
    "truncate": Truncate(num_layers=1),
}
WEIGHTED_SUM = MixingOptions(kind=MixingKind.weighted_sum)


@pytest.fixture(params=list(CHOICES))
def chosen(request):
    """Every strategy of the registry."""
    return CHOICES[request.param]


def blocks_of(names) -> set[str]:
    """Numbers of the blocks that parameters belong to."""
    return {re.search(r"\.layers\.(\d+)\.", name)[1] for name in names}


def snapshot(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def train(encoder, mix, batch, *, updates: int) -> nn.Linear:
    """A few optimiser updates of encoder, mixing and a linear head on an arbitrary loss."""
    torch.manual_seed(1)
    head = nn.Linear(encoder.hidden_size, 5)
    parameters = [*encoder.parameters(), *mix.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW([p for p in parameters if p.requires_grad], lr=1e-2)
    encoder.train()
    for _ in range(updates):
        optimizer.zero_grad()
        head(mix(encoder(*batch, layers=mix.layers_needed))).square().mean().backward()
        optimizer.step()
    return head


def test_every_strategy_of_the_registry_is_under_contract():
    assert set(CHOICES) == set(STRATEGIES)
    with pytest.raises(ValueError, match="unknown adaptation 'lroa'; did you mean 'lora'"):
        strategy("lroa")


def test_contract_of_strategies(style, chosen, tiny_encoder, noise):
    encoder = tiny_encoder(style, mask_time_prob=0.3, mask_time_length=2)
    report = chosen.apply(encoder)
    mix = build_mixing(chosen.default_mixing(), num_layers=encoder.num_layers)

    trainable = [name for name, p in encoder.named_parameters() if p.requires_grad]
    assert list(report.trainable) == trainable
    sizes = {name: p.numel() for name, p in encoder.named_parameters()}
    assert report.num_total == sum(sizes.values())
    assert report.num_trainable == sum(sizes[name] for name in trainable)

    before = snapshot(encoder)
    batch = noise(6000, 3000)
    train(encoder, mix, batch, updates=1)
    check_gradients(encoder, trainable=report.trainable, what=f"adaptation={chosen.name}")
    train(encoder, mix, batch, updates=1)
    after = snapshot(encoder)
    unmoved = {name for name in before if torch.equal(before[name], after[name])}
    assert unmoved == set(before) - set(trainable)


def test_saved_weights_predict_the_same_after_the_strategy_is_applied_again(
    family_style, chosen, tiny_encoder, noise, tmp_path
):
    encoder = tiny_encoder(family_style)
    chosen.apply(encoder)
    mix = build_mixing(chosen.default_mixing(), num_layers=encoder.num_layers)
    batch = noise(6000, 3000)
    train(encoder, mix, batch, updates=1)
    save_file(encoder.state_dict(), tmp_path / "encoder.safetensors")

    again = encoder_from_blueprint(json.loads(json.dumps(encoder.blueprint)))
    report = chosen.apply(again)
    again.load_state_dict(load_file(tmp_path / "encoder.safetensors"))
    expected = encoder.eval()(*batch, layers=mix.layers_needed).values
    assert torch.equal(again.eval()(*batch, layers=mix.layers_needed).values, expected)
    assert report.num_total == sum(p.numel() for p in again.parameters())


def test_an_adapted_encoder_saves_as_a_plain_checkpoint(
    family_style, chosen, tiny_encoder, noise, tmp_path
):
    encoder = tiny_encoder(family_style)
    chosen.apply(encoder)
    mix = build_mixing(chosen.default_mixing(), num_layers=encoder.num_layers)
    batch = noise(6000, 3000)
    train(encoder, mix, batch, updates=1)
    before = snapshot(encoder)
    save_encoder(encoder, tmp_path)
    assert all(torch.equal(before[name], value) for name, value in snapshot(encoder).items())
    loaded = build_encoder(EncoderOptions(source=str(tmp_path))).eval()
    assert loaded.num_layers == encoder.num_layers
    torch.testing.assert_close(
        loaded(*batch).values, encoder.eval()(*batch).values, atol=1e-5, rtol=1e-4
    )


@torch.no_grad()
def test_lora_is_a_no_op_before_training(style, tiny_encoder, noise):
    encoder = tiny_encoder(style)
    batch = noise(6000, 3000)
    expected = encoder(*batch).values
    report = Lora(targets=["query", "key", "value", "output", "ffn"]).apply(encoder)
    assert report.injected == report.trainable != ()
    assert torch.equal(encoder.eval()(*batch).values, expected)


def test_lora_targets_mean_the_same_in_every_family(family_style, tiny_encoder):
    encoder = tiny_encoder(family_style)
    report = Lora(rank=2).apply(encoder)
    # A (2, 32) and B (32, 2), four projections in each of three blocks
    assert report.num_trainable == 3 * 4 * (2 * 32 + 32 * 2)
    assert len(report.injected) == 3 * 4 * 2


def test_reinitialised_blocks_differ_from_the_loaded_checkpoint_and_the_rest_does_not(
    style, tiny_encoder, tmp_path
):
    save_encoder(tiny_encoder(style), tmp_path)
    encoder = build_encoder(EncoderOptions(source=str(tmp_path)))
    loaded = snapshot(encoder)
    report = Reinit(num_layers=2).apply(encoder)
    changed = {name for name, value in snapshot(encoder).items() if (value != loaded[name]).any()}
    assert changed <= set(report.reinitialized)
    # whatever its loaded value was, a LayerNorm weight starts at one and a bias at zero
    assert changed == set(report.reinitialized)
    assert blocks_of(changed) <= {"1", "2"}
    query = next(n for n in changed if n.endswith(("q_proj.weight", "linear_q.weight")))
    assert 0.5 * 0.02 < encoder.get_parameter(query).std() < 2 * 0.02  # initializer_range


def test_all_blocks_can_be_reinitialised(style, tiny_encoder):
    encoder = tiny_encoder(style)
    before = snapshot(encoder)
    report = Reinit(num_layers=3).apply(encoder)
    assert len(report.reinitialized) == sum(
        name.startswith(f"model.{encoder.family.blocks}.") for name in before
    )


def test_the_front_end_is_trained_when_asked_for(tiny_encoder):
    encoder = tiny_encoder("wav2vec2")
    assert not any("feature_extractor" in name for name in Full().apply(encoder).trainable)
    encoder = tiny_encoder("wav2vec2")
    report = Full(freeze_front_end=False).apply(encoder)
    assert report.num_trainable == report.num_total


def test_frozen_encoders_stay_in_eval_mode_and_build_no_graph(style, tiny_encoder, noise):
    encoder = tiny_encoder(style, mask_time_prob=0.5, mask_time_length=2)
    batch = noise(6000, 3000)
    with torch.no_grad():  # attention kernels differ in the last bit when a graph is built
        expected = encoder(*batch).values
    FrozenWeightedSum().apply(encoder)
    encoder.train()
    found = encoder(*batch).values
    assert not any(module.training for module in encoder.modules())
    assert not found.requires_grad
    assert torch.equal(found, expected)


@torch.no_grad()
def test_a_frozen_layer_has_no_blocks_above_it(style, tiny_encoder, noise):
    encoder = tiny_encoder(style)
    batch = noise(6000, 3000)
    expected = encoder(*batch, layers=[1]).values
    report = FrozenLayer(layer=1).apply(encoder)
    assert encoder.num_layers == encoder.config.num_hidden_layers == 1
    assert blocks_of(report.dropped) == {"1", "2"}
    assert torch.equal(encoder(*batch, layers=[1]).values, expected)


@torch.no_grad()
def test_the_input_of_the_first_block_can_be_the_frozen_layer(style, tiny_encoder, noise):
    encoder = tiny_encoder(style)
    expected = encoder(*noise(6000), layers=[0]).values
    FrozenLayer(layer=0).apply(encoder)
    assert encoder.num_layers == 0
    assert torch.equal(encoder(*noise(6000), layers=[0]).values, expected)


@torch.no_grad()
def test_truncating_keeps_the_final_layer_norm(tiny_encoder, noise):
    encoder = tiny_encoder("hubert-large")
    batch = noise(6000, 3000)
    below = encoder(*batch, layers=[2]).values
    Truncate(num_layers=1).apply(encoder)
    assert torch.equal(encoder(*batch).values, encoder.final_norm(below))


def test_top_layers_trains_the_last_blocks_and_the_norm_above_them(tiny_encoder):
    report = TopLayers(num_layers=1).apply(tiny_encoder("wavlm-large"))
    prefixes = {".".join(name.split(".")[:4]) for name in report.trainable}
    assert prefixes == {
        "model.encoder.layers.2",
        "model.encoder.layer_norm.weight",
        "model.encoder.layer_norm.bias",
    }


def test_a_final_layer_norm_under_a_weighted_sum_is_unused_not_promised(tiny_encoder, noise):
    encoder = tiny_encoder("wav2vec2-large", mask_time_prob=0.3, mask_time_length=2)
    report = Full().apply(encoder, mixing=WEIGHTED_SUM)
    assert report.unused == ("model.encoder.layer_norm.weight", "model.encoder.layer_norm.bias")
    mix = build_mixing(WEIGHTED_SUM, num_layers=3)
    mix(encoder.train()(*noise(6000), layers=mix.layers_needed)).sum().backward()
    check_gradients(encoder, trainable=report.trainable)


def test_a_mask_embedding_without_masking_is_unused(tiny_encoder):
    encoder = tiny_encoder("hubert", mask_time_prob=0.0, mask_feature_prob=0.1)
    assert Full().apply(encoder).unused == ("model.masked_spec_embed",)


def test_blocks_above_the_layer_that_is_read_are_unused(tiny_encoder):
    encoder = tiny_encoder("wav2vec2-bert")
    report = Lora().apply(encoder, mixing=MixingOptions(kind=MixingKind.layer, layer=1))
    assert blocks_of(report.trainable) == {"0"}
    assert blocks_of(report.unused) == {"1", "2"}


@pytest.mark.parametrize("strategy", [Full, Lora, TopLayers])
def test_an_encoder_can_wait_frozen_for_its_first_updates(
    family_style, strategy, tiny_encoder, noise
):
    encoder = tiny_encoder(family_style)
    report = strategy(freeze_updates=2).apply(encoder)
    assert report.encoder_frozen_until == 2
    mix = build_mixing(MixingOptions(), num_layers=encoder.num_layers)
    freeze(encoder)
    before = snapshot(encoder)
    train(encoder, mix, noise(6000, 3000), updates=2)
    assert all(torch.equal(before[name], value) for name, value in snapshot(encoder).items())
    unfreeze(encoder, report=report)
    train(encoder, mix, noise(6000, 3000), updates=1)
    check_gradients(encoder, trainable=report.trainable)


def test_another_encoders_report_cannot_unfreeze(tiny_encoder):
    report = Full().apply(tiny_encoder("wav2vec2"))
    with pytest.raises(ValueError, match=r"adaptation=full names .* does not have"):
        unfreeze(tiny_encoder("wav2vec2-bert"), report=report)


def test_a_report_is_json(chosen, tiny_encoder):
    report = chosen.apply(tiny_encoder("wav2vec2"))
    record = json.loads(json.dumps(report.to_json()))
    assert record["strategy"] == chosen.name
    assert record["trainable_share"] == report.num_trainable / report.num_total
    assert record["dropped"] == list(report.dropped)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Reinit(num_layers=4), r"adaptation=reinit needs num_layers in \[1, 3\] .* got 4"),
        (lambda: Reinit(num_layers=0), r"adaptation=reinit needs num_layers in \[1, 3\] .* got 0"),
        (lambda: Truncate(num_layers=3), r"truncate needs num_layers in \[1, 2\] .* got 3"),
        (lambda: TopLayers(num_layers=-1), r"top_layers needs num_layers in \[1, 3\]"),
        (lambda: FrozenLayer(layer=4), r"frozen_layer needs layer in \[0, 3\] .* got 4"),
        (lambda: Lora(rank=0), "lora needs rank >= 1, got 0"),
        (lambda: Lora(alpha=0.0), "lora needs alpha > 0, got 0.0"),
        (lambda: Lora(dropout=1.0), r"lora needs dropout in \[0, 1\), got 1.0"),
        (lambda: Lora(targets=["kye"]), "unknown target 'kye'; did you mean 'key'"),
        (lambda: Lora(targets=[]), "lora needs targets, known: query, key"),
        (lambda: Full(freeze_updates=-1), "full needs freeze_updates >= 0, got -1"),
    ],
)
def test_values_out_of_range_are_refused_with_the_range(build, message, tiny_encoder):
    with pytest.raises(ValueError, match=message):
        build().apply(tiny_encoder("wavlm"))


def test_a_second_injection_is_refused(tiny_encoder):
    encoder = tiny_encoder("wavlm")
    Lora().apply(encoder)
    with pytest.raises(ValueError, match="already has adapters; build a new one"):
        Lora().apply(encoder)
