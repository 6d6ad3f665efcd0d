from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from slue_ner.core.time import FrameGrid

ALL = [0, 1, 2, 3]


def stock_input(encoder, waveforms: Tensor, num_samples: Tensor) -> Tensor:
    """What the stock feature extractor would hand the model for one unpadded utterance."""
    if encoder.filter_bank is not None:
        return encoder.filter_bank(waveforms, num_samples)
    if encoder.normalize_waveform:
        deviation = (waveforms.var(unbiased=False) + 1e-7).sqrt()
        return (waveforms - waveforms.mean()) / deviation
    return waveforms


@torch.no_grad()
def test_hidden_states_are_those_of_the_stock_model(style, tiny_encoder, noise):
    if style == "whisper":
        pytest.skip("its stock model hears 30 s only: test_whisper_encoder.py fills it up to them")
    encoder = tiny_encoder(style)
    stock = tiny_encoder(style, stock_attention=True, stock_group_norm=True)
    stock.load_state_dict(encoder.state_dict())
    batch = noise(9001)
    expected = stock.model(stock_input(encoder, *batch), output_hidden_states=True)
    torch.testing.assert_close(
        encoder(*batch, layers=ALL).layers,
        torch.stack(expected.hidden_states),
        atol=5e-6,
        rtol=1e-5,
    )
    torch.testing.assert_close(
        encoder(*batch).values, expected.last_hidden_state, atol=5e-6, rtol=1e-5
    )


@torch.no_grad()
def test_an_utterance_has_the_same_frames_whatever_its_batch_mates(style, tiny_encoder, noise):
    encoder = tiny_encoder(style)
    window = encoder.grid.window

    @settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.integers(window, 9000), min_size=2, max_size=3))
    def check(lengths: list[int]) -> None:
        waveforms, num_samples = noise(*lengths)
        together = encoder(waveforms, num_samples, layers=ALL)
        last = encoder(waveforms, num_samples).values
        for row, length in enumerate(lengths):
            one = waveforms[row : row + 1, :length], num_samples[row : row + 1]
            alone = encoder(*one, layers=ALL)
            count = encoder.grid.num_frames(length)
            assert alone.values.shape[1] == count == together.num_frames[row]
            inside = together.layers[:, row : row + 1, :count]
            torch.testing.assert_close(inside, alone.layers, atol=2e-5, rtol=1e-4)
            inside = last[row : row + 1, :count]
            torch.testing.assert_close(inside, encoder(*one).values, atol=2e-5, rtol=1e-4)

    check()


@torch.no_grad()
def test_padding_beyond_the_longest_utterance_changes_nothing(style, tiny_encoder, noise):
    encoder = tiny_encoder(style)
    waveforms, num_samples = noise(6000, 4321)
    wider = torch.nn.functional.pad(waveforms, (0, 2500))
    expected = encoder(waveforms, num_samples)
    found = encoder(wider, num_samples)
    assert found.values.shape[1] == encoder.grid.num_frames(8500)
    for row, count in enumerate(expected.num_frames.tolist()):
        torch.testing.assert_close(
            found.values[row, :count], expected.values[row, :count], atol=2e-5, rtol=1e-4
        )


@torch.no_grad()
def test_stock_group_norm_lets_padding_in(tiny_encoder, noise):
    encoder = tiny_encoder("wav2vec2", stock_group_norm=True)
    waveforms, num_samples = noise(9000, 3000)
    together = encoder(waveforms, num_samples)
    alone = encoder(waveforms[1:, :3000], num_samples[1:])
    count = int(together.num_frames[1])
    assert (together.values[1, :count] - alone.values[0]).abs().max() > 0.05


@torch.no_grad()
def test_a_positional_batch_norm_does_not_let_padding_in(tiny_encoder, noise):
    encoder = tiny_encoder("hubert", overrides={"conv_pos_batch_norm": True})
    waveforms, num_samples = noise(9000, 3000)
    together = encoder(waveforms, num_samples)
    alone = encoder(waveforms[1:, :3000], num_samples[1:])
    count = int(together.num_frames[1])
    torch.testing.assert_close(together.values[1, :count], alone.values[0], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("positions", ["relative", "relative_key", "rotary", None])
@torch.no_grad()
def test_every_kind_of_conformer_position_ignores_padding(positions, tiny_encoder, noise):
    encoder = tiny_encoder("wav2vec2-bert", overrides={"position_embeddings_type": positions})
    waveforms, num_samples = noise(9000, 4000)
    together = encoder(waveforms, num_samples)
    alone = encoder(waveforms[1:, :4000], num_samples[1:])
    count = int(together.num_frames[1])
    torch.testing.assert_close(together.values[1, :count], alone.values[0], atol=2e-5, rtol=1e-4)


def test_rotary_positions_made_in_inference_mode_can_be_trained_with(tiny_encoder, noise):
    encoder = tiny_encoder("wav2vec2-bert", overrides={"position_embeddings_type": "rotary"})
    batch = noise(6000)
    with torch.inference_mode():
        encoder(*batch)
    encoder.train()(*batch).values.sum().backward()


def test_published_grids_come_out_of_the_published_configs():
    published = {"conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2]}
    grid = FrameGrid.from_convolutions(published["conv_kernel"], published["conv_stride"])
    assert grid == FrameGrid(hop=320, window=400)


@torch.no_grad()
def test_last_is_the_last_block_and_in_large_style_its_normalised_output(
    style, tiny_encoder, noise
):
    encoder = tiny_encoder(style)
    batch = noise(5000)
    raw, last = encoder(*batch, layers=[3]).values, encoder(*batch).values
    if style.endswith("large") or style == "whisper":
        assert not torch.allclose(raw, last, atol=1e-3)
        raw = encoder.final_norm(raw)
    else:
        assert encoder.final_norm is None
    torch.testing.assert_close(raw, last)


def test_blocks_above_the_highest_layer_asked_for_are_not_computed(tiny_encoder, noise):
    encoder = tiny_encoder("wavlm")
    ran = []
    for index, block in enumerate(encoder.blocks):
        block.register_forward_hook(lambda *_, index=index: ran.append(index))
    frames = encoder(*noise(5000), layers=[0, 2])
    assert ran == [0, 1]
    assert frames.layers.shape[0] == 2
    assert torch.equal(frames.values, frames.layers[1])


def test_layers_come_in_the_order_asked_for(tiny_encoder, noise):
    encoder = tiny_encoder("hubert")
    batch = noise(5000)
    upwards = encoder(*batch, layers=[1, 3]).layers
    assert torch.equal(encoder(*batch, layers=[3, 1]).layers, upwards.flip(0))


@pytest.mark.parametrize("layers", [[], [4], [-1], [1, 1], "first"])
def test_layers_that_do_not_exist_are_refused(layers, tiny_encoder, noise):
    with pytest.raises(ValueError, match="layers"):
        tiny_encoder("wav2vec2")(*noise(5000), layers=layers)


def test_an_utterance_shorter_than_a_window_is_named(style, tiny_encoder, noise):
    encoder = tiny_encoder(style)
    short = encoder.grid.window - 1
    with pytest.raises(ValueError, match=f"utterance 1 of the batch has {short} samples"):
        encoder(*noise(9000, short))
    assert encoder(*noise(9000, short + 1)).num_frames.tolist()[1] == 1


def test_lengths_beyond_the_batch_are_refused(tiny_encoder, noise):
    waveforms, num_samples = noise(5000, 4000)
    with pytest.raises(ValueError, match="utterance 0 of the batch has 5001 samples"):
        tiny_encoder("wav2vec2")(waveforms, num_samples + 1)
    with pytest.raises(ValueError, match=r"waveforms \(B, S\)"):
        tiny_encoder("wav2vec2")(waveforms, num_samples[:1])


def test_layerdrop_skips_blocks_in_training_only_and_keeps_every_gradient(
    style, tiny_encoder, noise
):
    encoder = tiny_encoder(style, layerdrop=0.99, dropout=0.0, mask_time_prob=0.0)
    batch = noise(5000)
    whole = encoder(*batch).values
    torch.manual_seed(1)
    encoder.train()
    dropped = encoder(*batch).values
    assert not torch.allclose(whole, dropped)
    dropped.square().sum().backward()
    unreached = [n for n, p in encoder.named_parameters() if p.requires_grad and p.grad is None]
    assert set(unreached) <= {"model.masked_spec_embed"}


def test_layerdrop_is_refused_together_with_single_layers(tiny_encoder, noise):
    encoder = tiny_encoder("wav2vec2", layerdrop=0.1)
    with pytest.raises(ValueError, match=r"layerdrop=0\.1 .* set layerdrop=0"):
        encoder(*noise(5000), layers=[0, 1, 2, 3])


def test_the_checkpoints_own_layerdrop_is_ignored(tiny_encoder, noise):
    encoder = tiny_encoder(
        "wav2vec2", overrides={"layerdrop": 0.9}, dropout=0.0, mask_time_prob=0.0
    )
    batch = noise(5000)
    expected = encoder(*batch).values
    assert torch.equal(encoder.train()(*batch).values, expected)


@pytest.mark.parametrize("frozen_front_end", [True, False])
def test_gradient_checkpointing_gives_the_same_gradients(
    family_style, frozen_front_end, tiny_encoder, noise
):
    gradients = []
    for checkpointing in (False, True):
        encoder = tiny_encoder(
            family_style, gradient_checkpointing=checkpointing, dropout=0.1, mask_time_prob=0.0
        )
        if frozen_front_end and encoder.filter_bank is None:
            encoder.model.feature_extractor.requires_grad_(False)
        torch.manual_seed(3)  # dropout must be replayed in the recomputation
        encoder.train()(*noise(6000, 3000)).values.square().sum().backward()
        gradients.append([p.grad for p in encoder.blocks.parameters()])
    assert all(gradient is not None for gradient in gradients[1])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_every_parameter_of_every_style_is_used_in_training(style, tiny_encoder, noise):
    encoder = tiny_encoder(style, mask_time_prob=0.3, mask_time_length=2).train()
    encoder(*noise(9000, 5000)).values.square().sum().backward()
    learning = {name: p.grad for name, p in encoder.named_parameters() if p.requires_grad}
    assert [name for name, gradient in learning.items() if gradient is None] == []
    fixed = {f"model.{name}" for name in encoder.family.fixed}
    assert learning.keys() | fixed == dict(encoder.named_parameters()).keys()


def test_encoders_run_in_bfloat16_autocast(style, tiny_encoder, noise):
    encoder = tiny_encoder(style)
    batch = noise(6000, 4000)
    exact = encoder(*batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = encoder(*batch).values.float()
    valid = exact.valid
    assert (rounded - exact.values)[valid].abs().mean() < 0.05
