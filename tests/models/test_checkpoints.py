from __future__ import annotations

import json
import socket

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoFeatureExtractor,
    AutoModel,
    Wav2Vec2Config,
    Wav2Vec2ForCTC,
    Wav2Vec2ForPreTraining,
)
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from slue_ner.models.encoder.building import build_encoder, encoder_from_blueprint
from slue_ner.models.encoder.families import FAMILIES
from slue_ner.models.encoder.options import EncoderOptions
from slue_ner.models.encoder.saving import save_encoder


@pytest.fixture
def folder(tmp_path, tiny_encoder):
    """A saved tiny wav2vec 2.0."""
    save_encoder(tiny_encoder("wav2vec2"), tmp_path / "saved")
    return tmp_path / "saved"


def edit(path, **values) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_saved_encoder_computes_the_same_when_loaded(style, tiny_encoder, noise, tmp_path):
    encoder = tiny_encoder(style)
    save_encoder(encoder, tmp_path)
    loaded = build_encoder(EncoderOptions(source=str(tmp_path))).eval()
    assert loaded.normalize_waveform == encoder.normalize_waveform
    assert loaded.grid == encoder.grid
    assert loaded.left_out == ()
    batch = noise(7000, 4000)
    assert torch.equal(loaded(*batch).values, encoder(*batch).values)


def test_other_tools_load_what_we_save(style, tiny_encoder, tmp_path):
    encoder = tiny_encoder(style)
    save_encoder(encoder, tmp_path)
    reader = WhisperEncoder if style == "whisper" else AutoModel
    model, info = reader.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    saved = dict(encoder.model.named_parameters())
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, saved[name])
    extractor = AutoFeatureExtractor.from_pretrained(tmp_path)
    assert extractor.sampling_rate == 16_000


def test_a_blueprint_rebuilds_the_structure_without_the_checkpoint(
    style, tiny_encoder, noise, tmp_path
):
    save_encoder(tiny_encoder(style), tmp_path)
    options = EncoderOptions(source=str(tmp_path), normalize_waveform=None, dropout=0.3)
    encoder = build_encoder(options).eval()
    blueprint = json.loads(json.dumps(encoder.blueprint))
    for file in tmp_path.iterdir():
        file.unlink()
    again = encoder_from_blueprint(blueprint).eval()
    again.load_state_dict(encoder.state_dict())
    assert getattr(again.config, "dropout" if style == "whisper" else "hidden_dropout") == 0.3
    batch = noise(7000, 4000)
    assert torch.equal(again(*batch).values, encoder(*batch).values)


@pytest.mark.parametrize("with_head", [Wav2Vec2ForCTC, Wav2Vec2ForPreTraining])
def test_the_encoder_of_a_checkpoint_with_a_head_is_loaded(with_head, tmp_path, tiny_encoder):
    config = Wav2Vec2Config.from_dict(tiny_encoder("wav2vec2").config.to_dict())
    model = with_head(config)
    model.save_pretrained(tmp_path)
    encoder = build_encoder(EncoderOptions(source=str(tmp_path)))
    assert encoder.left_out
    expected = model.wav2vec2.state_dict()
    for name, value in expected.items():
        if "layer_norm" not in name or "feature_extractor" not in name:
            assert torch.equal(encoder.model.state_dict()[name], value), name


def test_unpickled_weights_may_not_run_code(folder, tmp_path):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    assert build_encoder(EncoderOptions(source=str(folder))).num_layers == 3

    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"x": Payload()}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="no weights that can be read"):
        build_encoder(EncoderOptions(source=str(folder)))
    assert not (tmp_path / "ran").exists()


def test_missing_weights_are_an_error_that_names_the_first(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layers.1.attention.q_proj.weight"]
    del weights["encoder.layers.2.attention.q_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 2 .* first encoder\.layers\.1\.attention\.q_proj"):
        build_encoder(EncoderOptions(source=str(folder)))


def test_a_mask_embedding_may_be_missing(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["masked_spec_embed"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert build_encoder(EncoderOptions(source=str(folder))).num_layers == 3


def test_more_blocks_than_the_config_says_are_an_error_unless_asked_for(folder):
    options = EncoderOptions(source=str(folder), overrides={"num_hidden_layers": 2})
    encoder = build_encoder(options)
    assert encoder.num_layers == 2
    assert any(name.startswith("encoder.layers.2.") for name in encoder.left_out)
    edit(folder / "config.json", num_hidden_layers=2)
    with pytest.raises(ValueError, match="blocks beyond the 2 of its config"):
        build_encoder(EncoderOptions(source=str(folder)))


def test_weights_of_another_width_are_an_error(folder):
    options = EncoderOptions(source=str(folder), overrides={"intermediate_size": 50})
    with pytest.raises(ValueError, match="do not fit its config"):
        build_encoder(options)


def test_weights_that_are_absent_are_an_error(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="has no weights that can be read"):
        build_encoder(EncoderOptions(source=str(folder)))


def test_an_unknown_family_lists_the_known_ones(folder):
    edit(folder / "config.json", model_type="bart")
    with pytest.raises(ValueError, match="unknown encoder family 'bart'") as caught:
        build_encoder(EncoderOptions(source=str(folder)))
    assert all(name in str(caught.value) for name in FAMILIES)


def test_remote_code_named_in_a_config_is_never_loaded(folder, tmp_path):
    edit(folder / "config.json", auto_map={"AutoModel": "modeling_evil.Evil"})
    (folder / "modeling_evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert build_encoder(EncoderOptions(source=str(folder))).num_layers == 3
    assert not (tmp_path / "ran").exists()


def test_a_family_that_contradicts_the_checkpoint_is_refused(folder):
    with pytest.raises(ValueError, match="is a 'wav2vec2' model but family='hubert'"):
        build_encoder(EncoderOptions(source=str(folder), family="hubert"))


def test_a_hub_id_without_a_network_says_how_to_get_it(monkeypatch, tmp_path):
    def no_network(*_args, **_kwargs):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError) as caught:
        build_encoder(EncoderOptions(source="nobody/no-such-model-anywhere"))
    assert str(caught.value) == (
        "cannot get config.json of nobody/no-such-model-anywhere; download it where there is a "
        "network with `hf download nobody/no-such-model-anywhere`, or give a local folder"
    )


def test_a_folder_that_does_not_exist_is_not_taken_for_a_hub_id(tmp_path):
    with pytest.raises(ValueError, match=r"is neither a folder nor a hub id"):
        build_encoder(EncoderOptions(source=str(tmp_path / "absent")))
    with pytest.raises(ValueError, match=r"has no config\.json"):
        build_encoder(EncoderOptions(source=str(tmp_path)))
