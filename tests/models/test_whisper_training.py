"""Whisper's encoder in training: what is hidden, what is trained, in which precision."""

from __future__ import annotations

import pytest
import torch
from whisper_folders import HOP, edit, save

from slue_ner.models.adaptation.strategies import (
    FrozenLayer,
    FrozenWeightedSum,
    Full,
    Lora,
    Reinit,
    TopLayers,
    Truncate,
)
from slue_ner.models.adaptation.strategy import freeze, unfreeze
from slue_ner.models.encoder.building import build_encoder
from slue_ner.models.encoder.options import EncoderOptions
from slue_ner.models.training_checks import check_gradients

POSITIONS = "model.embed_positions.weight"
STRATEGIES = {
    "full": Full(),
    "reinit": Reinit(num_layers=3),
    "truncate": Truncate(),
    "top_layers": TopLayers(num_layers=3),
    "lora": Lora(targets=["query", "key", "value", "output", "ffn"]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A saved whole Whisper of 3 blocks and 2 s."""
    return save("model", tmp_path_factory.mktemp("whisper") / "model")


@pytest.fixture
def load(folder):
    return lambda **options: build_encoder(EncoderOptions(source=str(folder), **options))


@pytest.fixture
def heard(monkeypatch):
    """What entered the convolutions, ``(B, T, 2, 80)`` each time."""
    from slue_ner.models.encoder import speech_encoder

    seen, convolve = [], speech_encoder.convolve_mel

    def noted(model, features, valid):
        seen.append(features.unflatten(-1, (2, 80)))
        return convolve(model, features, valid)

    monkeypatch.setattr(speech_encoder, "convolve_mel", noted)
    return seen


def stretches(hidden: torch.Tensor) -> list[int]:
    """Lengths of the stretches of True, ``(T,)``."""
    return [len(part) for part in "".join(" x"[int(v)] for v in hidden).split()]


def test_hidden_frames_are_zero_in_the_mel_frames_before_any_convolution(load, heard, noise):
    encoder, batch = load(mask_time_prob=0.5, mask_time_length=4), noise(100 * HOP, 60 * HOP)
    heard.clear()  # loading tries a frame
    encoder.eval()(*batch)
    torch.manual_seed(0)
    encoder.train()(*batch)
    plain, masked = heard
    for row, length in enumerate((100, 60)):
        changed = (plain != masked)[row, :length].flatten(1).any(-1)
        assert not masked[row, :length][changed].any()
        assert torch.equal(masked[row, :length][~changed], plain[row, :length][~changed])
        assert min(stretches(changed)) >= 4  # encoder frames, both mel frames of each
        assert 0.2 < changed.float().mean() < 0.7


def test_nothing_is_hidden_behind_the_end_although_its_silence_is_heard(load, heard, noise):
    encoder = load(mask_time_prob=0.9, mask_time_length=3, pad_to=2.0).train()
    heard.clear()
    for seed in range(5):
        torch.manual_seed(seed)
        encoder(*noise(30 * HOP, 12 * HOP))
    for features in heard:
        hidden = (features == 0).flatten(2).all(-1)  # (B, T)
        assert hidden.shape == (2, 100) and hidden[:, :30].any()
        assert not hidden[0, 30:].any() and not hidden[1, 12:].any()


def test_hidden_channels_are_mel_bins_the_same_in_both_mel_frames(load, heard, noise):
    encoder = load(mask_feature_prob=0.3, mask_feature_length=8).train()
    heard.clear()
    torch.manual_seed(1)
    encoder(*noise(50 * HOP, 40 * HOP))
    for row, length in enumerate((50, 40)):
        silent = (heard[0][row, :length] == 0).all(0)  # (2, 80)
        assert torch.equal(*silent) and silent.any() and not silent.all()
        assert min(stretches(silent[0])) >= 8
    assert not torch.equal(*(heard[0] == 0).all(1))  # drawn for each utterance


def test_the_config_counts_mel_frames_and_the_option_encoder_frames(folder, tmp_path):
    own = save("encoder", tmp_path / "own")
    edit(own / "config.json", apply_spec_augment=True, mask_time_prob=0.3, mask_time_length=10)

    def augment(**options):
        return build_encoder(EncoderOptions(source=str(own), **options)).spec_augment

    assert (augment().time_prob, augment().time_length) == (0.3, 5)
    assert augment(mask_time_length=7).time_length == 7
    edit(own / "config.json", mask_time_length=1)
    assert augment().time_length == 1


@pytest.mark.parametrize(
    ("options", "time_prob", "feature_prob"),
    [
        ({}, 0.0, 0.0),  # as published: off, with values that a switch alone would bring to life
        ({"mask_time_prob": 0.2}, 0.2, 0.0),
        ({"mask_feature_prob": 0.1}, 0.0, 0.1),
        ({"mask_time_prob": 0.0}, 0.0, 0.0),
        ({"mask_feature_prob": 0.1, "overrides": {"mask_time_prob": 0.4}}, 0.4, 0.1),
        ({"overrides": {"apply_spec_augment": True}}, 0.05, 0.3),
        ({"overrides": {"apply_spec_augment": True}, "mask_feature_prob": 0.1}, 0.05, 0.1),
    ],
)
def test_an_option_turns_on_no_more_masking_than_it_names(
    tmp_path, options, time_prob, feature_prob
):
    own = save("encoder", tmp_path / "own")
    edit(own / "config.json", mask_feature_prob=0.3)
    augment = build_encoder(EncoderOptions(source=str(own), **options)).spec_augment
    assert (augment.time_prob, augment.feature_prob) == (time_prob, feature_prob)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_time_length": 0}, "mask_time_length must be at least 1 frame, got 0"),
        ({"mask_time_length": -2}, "mask_time_length must be at least 1 frame, got -2"),
        (
            {"mask_feature_prob": 0.1, "mask_feature_length": 81},
            r"mask_feature_length must be in \[1, 80\], the channels that there are, got 81",
        ),
    ],
)
def test_spans_that_do_not_fit_are_refused(load, options, message):
    with pytest.raises(ValueError, match=message):
        load(**options)


@pytest.mark.parametrize("name", STRATEGIES)
def test_positions_of_a_loaded_checkpoint_are_never_trained(load, noise, name):
    strategy, encoder = STRATEGIES[name], load()
    before = encoder.get_parameter(POSITIONS).clone()
    report = strategy.apply(encoder)
    assert POSITIONS not in report.trainable
    freeze(encoder)
    unfreeze(encoder, report=report)
    assert not encoder.get_parameter(POSITIONS).requires_grad
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.1, weight_decay=1.0)
    encoder.train()(*noise(8_000, 5_000)).values.square().sum().backward()
    check_gradients(encoder, trainable=report.trainable)
    optimizer.step()
    assert torch.equal(encoder.get_parameter(POSITIONS), before)


@pytest.mark.parametrize("strategy", [FrozenWeightedSum(), FrozenLayer(layer=1)])
def test_frozen_strategies_train_nothing_of_it(load, strategy):
    encoder = load()
    assert strategy.apply(encoder).trainable == ()
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_a_stem_below_the_trained_blocks_draws_no_dropout(load, noise):
    encoder, batch = load(dropout=0.5), noise(8_000)
    expected = encoder.eval()(*batch, layers=[0]).values
    TopLayers(num_layers=1).apply(encoder)
    assert torch.equal(encoder.train()(*batch, layers=[0]).values, expected)
    assert not torch.equal(encoder(*batch).values, encoder(*batch).values)  # the block's own
    everything = load(dropout=0.5)
    Full().apply(everything)
    assert not torch.equal(everything.train()(*batch, layers=[0]).values, expected)


@torch.no_grad()
def test_truncating_keeps_the_final_norm(load, noise):
    encoder, batch = load().eval(), noise(8_000)
    below = encoder(*batch, layers=[1]).values
    Truncate(num_layers=2).apply(encoder)
    assert encoder.config.encoder_layers == 1 and encoder.config.decoder_layers == 1
    assert torch.equal(encoder(*batch).values, encoder.final_norm(below))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("pad_to", [None, 2.0])
def test_half_precision_training_stays_near_and_ignores_batch_mates(load, noise, dtype, pad_to):
    encoder = load(pad_to=pad_to)
    waveforms, num_samples = noise(20_000, 9_000)
    exact = encoder.eval()(waveforms, num_samples)
    with torch.autocast("cpu", dtype=dtype):
        rounded = encoder.train()(waveforms, num_samples).values
        alone = encoder(waveforms[1:, :9_000], num_samples[1:]).values
    assert (rounded - exact.values)[exact.valid].abs().mean() < 0.03
    torch.testing.assert_close(rounded[1:, : alone.shape[1]], alone, atol=0.1, rtol=0)
    rounded.float().square().mean().backward()
    for name, parameter in encoder.named_parameters():
        assert name == POSITIONS or parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("pad_to", [None, 2.0])
def test_checkpointed_and_dropped_blocks_of_a_loaded_model_learn_the_same(load, noise, pad_to):
    gradients = []
    for checkpointing in (False, True):
        encoder = load(gradient_checkpointing=checkpointing, layerdrop=0.5, pad_to=pad_to).train()
        torch.manual_seed(2)
        encoder(*noise(9_000, 5_000)).values.square().sum().backward()
        gradients.append([p.grad for p in encoder.parameters() if p.requires_grad])
    assert all(gradient is not None for gradient in gradients[0])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)
