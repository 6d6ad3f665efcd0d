from __future__ import annotations

import json

import pytest
import torch
from transformers import Wav2Vec2FeatureExtractor

from slue_ner.models.encoder.building import build_encoder, encoder_from_blueprint
from slue_ner.models.encoder.families import FAMILIES
from slue_ner.models.encoder.front_end import normalize_waveforms
from slue_ner.models.encoder.options import EncoderOptions
from slue_ner.models.encoder.saving import save_encoder

HEADS = "num_attention_heads=3 does not divide hidden_size=16 of {}; change one of them"


def test_normalised_waveforms_equal_the_stock_extractor(noise):
    waveforms, num_samples = noise(5000, 3000)
    rows = [row[:length].numpy() for row, length in zip(waveforms, num_samples, strict=True)]
    stock = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    expected = stock(rows, sampling_rate=16_000, padding=True, return_tensors="pt")["input_values"]
    found = normalize_waveforms(waveforms, num_samples)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("style", "normalizes"),
    [
        ("wav2vec2", False),
        ("wav2vec2-large", True),
        ("data2vec-audio", True),
        ("wav2vec2-bert", False),
    ],
)
def test_large_style_models_normalise_the_waveform(style, normalizes, tiny_encoder):
    assert tiny_encoder(style).normalize_waveform is normalizes


def test_the_preprocessor_config_decides_and_the_option_overrules_it(tiny_encoder, tmp_path):
    save_encoder(tiny_encoder("wav2vec2"), tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_normalize": True}))
    source = str(tmp_path)
    assert build_encoder(EncoderOptions(source=source)).normalize_waveform
    options = EncoderOptions(source=source, normalize_waveform=False)
    assert not build_encoder(options).normalize_waveform


def test_loudness_does_not_matter_to_a_normalising_encoder(tiny_encoder, noise):
    encoder = tiny_encoder("hubert-large")
    waveforms, num_samples = noise(6000, 4000)
    loud, quiet = encoder(waveforms, num_samples), encoder(0.5 * waveforms, num_samples)
    torch.testing.assert_close(loud.values, quiet.values, atol=1e-3, rtol=1e-3)


def test_forty_millisecond_frames_come_from_the_width_of_the_projection(tiny_encoder):
    assert tiny_encoder("log-mel-40ms").grid.frame_seconds == 0.04
    assert tiny_encoder("wav2vec2-bert").grid.frame_seconds == 0.02


def test_dropout_reaches_every_kind_of_dropout(tiny_encoder):
    config = tiny_encoder("wav2vec2-bert", dropout=0.25).config
    assert config.hidden_dropout == config.attention_dropout == 0.25
    assert config.activation_dropout == config.conformer_conv_dropout == 0.25


def test_masking_options_replace_the_checkpoints(tiny_encoder):
    encoder = tiny_encoder("wavlm", mask_time_prob=0.3, mask_time_length=7)
    assert encoder.spec_augment.time_prob == 0.3
    assert encoder.spec_augment.time_length == 7
    quiet = tiny_encoder("wavlm", overrides={"apply_spec_augment": False})
    assert quiet.spec_augment.time_prob == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs a source .* or a family"),
        ({"family": "wavlmm"}, "unknown encoder family 'wavlmm'; did you mean 'wavlm'"),
        ({"family": "wavlm", "overrides": {"hiden_size": 8}}, "did you mean 'hidden_size'"),
        ({"family": "wavlm", "dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"family": "wav2vec2", "overrides": {"add_adapter": True}}, "changes the frame rate"),
        ({"family": "wav2vec2-bert", "normalize_waveform": True}, "not the waveform"),
        (
            {"family": "wav2vec2-bert", "overrides": {"feature_projection_input_dim": 100}},
            r"feature_projection_input_dim=100 must be num_mel_bins \* stride",
        ),
        *(
            ({"family": family, "overrides": overrides}, message)
            for family, overrides, message in (
                *((name, {"num_attention_heads": 3}, HEADS.format(name)) for name in FAMILIES),
                ("wav2vec2-bert", {"num_attention_heads": 0}, "heads must be at least 1, got 0;"),
                ("wav2vec2-bert", {"num_attention_heads": 2.0}, "expected int, got float"),
                ("wav2vec2-bert", {"hidden_size": -16}, "hidden_size must be at least 1, got -16"),
                ("wav2vec2-bert", {"hidden_size": None}, "expected int, got NoneType"),
                ("wav2vec2-bert", {"intermediate_size": 0}, "intermediate_size must be at least 1"),
                ("wav2vec2-bert", {"num_hidden_layers": -1}, "must not be negative, got -1"),
                ("wav2vec2-bert", {"hidden_act": "gelo"}, r"this config \(unknown name 'gelo'\)"),
                ("wav2vec2-bert", {"hidden_dropout": 1.5}, r"hidden_dropout must be in \[0, 1\)"),
                ("hubert", {"conv_stride": [5, 2, 2, 2, 2, 2, 0]}, "conv_stride must be at least"),
                ("wavlm", {"conv_kernel": [10, 3]}, "conv_dim 7, conv_kernel 2, conv_stride 7"),
                ("wavlm", {"conv_stride": 5}, "expected a list, got int"),
                ("wavlm", {"num_conv_pos_embedding_groups": 5}, "5 does not divide hidden_size=16"),
                ("wavlm", {"num_buckets": 1}, "no wavlm can be made of this config"),
            )
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    if options:
        options = {**options, "overrides": {**tiny, **options.get("overrides", {})}}
    with pytest.raises(ValueError, match=message):
        build_encoder(EncoderOptions(**options))


def test_sizes_that_meet_in_no_frame_are_refused_before_any_audio_is_read(tiny_encoder):
    odd = {"position_embeddings_type": "rotary", "hidden_size": 6}  # 3 a head, turned in pairs
    with pytest.raises(ValueError, match=r"no wav2vec2-bert can be made of this config \(.*\(3\)"):
        tiny_encoder("wav2vec2-bert", overrides=odd)


@pytest.mark.parametrize("family", FAMILIES)
def test_looking_whether_an_encoder_hears_changes_neither_chance_nor_mode(family):
    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    encoder = build_encoder(EncoderOptions(family=family, overrides=tiny))
    drawn = torch.rand(3)
    torch.manual_seed(0)
    encoder_from_blueprint(encoder.blueprint)  # the same draws, and nobody looks
    assert torch.equal(torch.rand(3), drawn)
    assert all(module.training for module in encoder.modules())


def test_a_whole_number_is_a_dropout_too(tiny_encoder):
    assert tiny_encoder("wavlm", overrides={"hidden_dropout": 0}).config.hidden_dropout == 0.0


def test_a_layerdrop_of_one_is_refused(tiny_encoder):
    with pytest.raises(ValueError, match=r"layerdrop must be in \[0, 1\), got 1.0"):
        tiny_encoder("wav2vec2", layerdrop=1.0)


def test_audio_of_another_rate_is_refused(tiny_encoder, tmp_path):
    save_encoder(tiny_encoder("wav2vec2"), tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "sampling_rate": 8_000}))
    with pytest.raises(ValueError, match="8000 Hz but only 16000 Hz"):
        build_encoder(EncoderOptions(source=str(tmp_path)))
