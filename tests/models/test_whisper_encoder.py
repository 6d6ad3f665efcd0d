"""Whisper's encoder from checkpoints: every form of them, equal to the stock model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder
from whisper_folders import FORMS, HOP, SECONDS, edit, generation, save

from slue_ner.models.adaptation.strategies import Lora
from slue_ner.models.encoder.building import build_encoder, encoder_from_blueprint
from slue_ner.models.encoder.options import EncoderOptions
from slue_ner.models.encoder.saving import save_encoder
from slue_ner.models.training_checks import check_gradients

REAL = Path(__file__).parents[2].parent / "shared" / "models" / "whisper-tiny.en-encoder"
real = pytest.mark.skipif(
    not REAL.is_dir(), reason=f"{REAL.name} does not lie beside this checkout, in ../shared/models"
)
NO_NETWORK = "there is no network in this test"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """``saved("generation")``: the folder of that form."""
    parent, folders = tmp_path_factory.mktemp("whisper"), {}

    def folder(form: str) -> Path:
        if form not in folders:
            folders[form] = save(form, parent / form)
        return folders[form]

    return folder


@pytest.fixture
def own(saved, tmp_path):
    """``own("model")``: a copy of a form that the test may change."""
    return lambda form: Path(shutil.copytree(saved(form), tmp_path / form))


def load(folder: Path, **options):
    return build_encoder(EncoderOptions(source=str(folder), **options)).eval()


def gliding_tone(num_samples: int) -> torch.Tensor:
    """A tone with pauses in a little noise, ``(1, S)``."""
    time = torch.arange(num_samples) / 16_000
    glide = 0.3 * torch.sin(2 * torch.pi * (200 * time + 400 * time**2)) * (time % 0.3 < 0.2)
    noise = torch.randn(num_samples, generator=torch.Generator().manual_seed(0))
    return (glide + 0.003 * noise)[None]


def weights(model) -> dict[str, torch.Tensor]:
    return dict(model.state_dict())


def assert_equals_stock(folder: Path, waveform: torch.Tensor, *, atol: float) -> None:
    """Every hidden state and the last, of the stock input, against transformers' encoder."""
    stock = WhisperEncoder.from_pretrained(
        folder, dtype=torch.float32, key_mapping={r"^(model\.)?encoder\.": ""}
    ).eval()
    extractor = WhisperFeatureExtractor.from_pretrained(folder)
    heard = extractor(waveform[0].numpy(), sampling_rate=16_000, return_tensors="pt")
    expected = stock(heard["input_features"], output_hidden_states=True)
    encoder = load(folder, pad_to=extractor.chunk_length)
    batch = waveform, torch.tensor([waveform.shape[1]])
    states = encoder(*batch, layers=list(range(encoder.num_layers + 1))).layers
    count = states.shape[2]
    assert count == waveform.shape[1] // HOP
    # stock Whisper hands out its last hidden state in place of the last block's output
    below = torch.stack(expected.hidden_states[:-1])[:, :, :count]
    torch.testing.assert_close(states[:-1], below, atol=atol, rtol=0)
    last = expected.last_hidden_state[:, :count]
    torch.testing.assert_close(encoder(*batch).values, last, atol=atol, rtol=0)
    torch.testing.assert_close(encoder.final_norm(states[-1]), last, atol=atol, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("form", ["generation", "encoder"])
@pytest.mark.parametrize("num_samples", [HOP, 10_007, 32_000])
def test_filled_up_to_its_length_it_is_the_stock_model(saved, noise, form, num_samples):
    assert_equals_stock(saved(form), noise(num_samples)[0], atol=1e-4)


@real
@torch.no_grad()
def test_the_real_tiny_en_filled_up_to_30_seconds_is_the_stock_model():
    assert_equals_stock(REAL, gliding_tone(40_000), atol=1e-4)


@real
def test_the_real_tiny_en_hears_own_lengths_whatever_the_batch_mates_and_takes_adapters():
    encoder = load(REAL)
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    assert sum(p.numel() for p in encoder.parameters()) == 8_208_384
    waveforms, num_samples = gliding_tone(16_000).repeat(2, 1), torch.tensor([16_000, 7_007])
    waveforms[1, 7_007:] = 0.0
    report = Lora(targets=["query", "key", "value", "output", "ffn"]).apply(encoder)
    together = encoder(waveforms, num_samples)
    assert together.num_frames.tolist() == [50, 21]
    alone = encoder(waveforms[1:, :7_007], num_samples[1:]).values
    torch.testing.assert_close(together.values[1:, :21], alone, atol=1e-4, rtol=0)
    together.values.square().mean().backward()
    check_gradients(encoder, trainable=report.trainable)


@torch.no_grad()
def test_its_own_length_is_not_the_stock_input_but_filling_up_may_stop_anywhere(saved, noise):
    batch = noise(10_000)
    full, half, own_length = (
        load(saved("model"), pad_to=pad_to)(*batch).values for pad_to in (SECONDS, 1.0, None)
    )
    assert full.shape == half.shape == own_length.shape == (1, 31, 32)
    assert not torch.allclose(full, half, atol=1e-3)
    assert not torch.allclose(half, own_length, atol=1e-3)


@torch.no_grad()
def test_batch_mates_do_not_change_what_is_filled_up(saved, noise):
    encoder = load(saved("model"), pad_to=SECONDS)
    waveforms, num_samples = noise(31_000, 700, 16_161)
    together = encoder(waveforms, num_samples).values
    for row, length in enumerate(num_samples.tolist()):
        alone = encoder(waveforms[row : row + 1, :length], num_samples[row : row + 1]).values
        torch.testing.assert_close(
            together[row : row + 1, : alone.shape[1]], alone, atol=2e-5, rtol=0
        )


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_checkpoint_holds_the_same_encoder(saved, form):
    encoder = load(saved(form))
    expected = weights(generation().model.encoder)
    found = weights(encoder.model)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert all(value.dtype == torch.float32 for value in found.values())


@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_encoder_is_left_out_and_named(saved, form):
    left_out = load(saved(form)).left_out
    starts = {name.removeprefix("model.").split(".")[0] for name in left_out}
    assert starts == {
        "encoder": set(),
        "classifier": {"classifier", "projector"},
        "bin": {"decoder", "proj_out"},
        "sharded bin": {"decoder", "proj_out"},
    }.get(form, {"decoder"})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("part", ["whole", "encoder"])
def test_half_precision_files_are_read_as_float32(tmp_path, part, dtype):
    whole = generation().to(dtype)
    (whole if part == "whole" else whole.model.encoder).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == str(dtype)[6:]
    found = weights(load(tmp_path).model)
    for name, value in whole.model.encoder.state_dict().items():
        assert found[name].dtype == torch.float32 and torch.equal(found[name], value.float())


def test_a_whole_model_without_a_part_of_its_encoder_is_an_error(saved, own):
    folder = own("bin")
    cut = torch.load(folder / "pytorch_model.bin", weights_only=True)
    del cut["model.encoder.embed_positions.weight"], cut["model.encoder.layers.1.fc1.bias"]
    torch.save(cut, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"lacks 2 of the encoder's weights, first embed_pos"):
        load(folder)


@pytest.mark.parametrize("key", ["num_hidden_layers", "encoder_layers"])
@pytest.mark.parametrize("form", ["generation", "model", "encoder"])
def test_fewer_blocks_are_taken_when_asked_for_by_either_name(saved, form, key):
    encoder = load(saved(form), overrides={key: 2})
    assert encoder.num_layers == encoder.config.num_hidden_layers == 2
    assert any(name.startswith("layers.2.") for name in encoder.left_out)


@pytest.mark.parametrize("form", ["generation", "model", "encoder", "classifier"])
def test_blocks_beyond_the_config_are_an_error_and_those_of_the_decoder_are_not(own, form):
    folder = own(form)
    edit(folder / "config.json", encoder_layers=2)
    with pytest.raises(ValueError, match=r"blocks beyond the 2 of its config, first layers\.2\."):
        load(folder)
    edit(folder / "config.json", encoder_layers=3, decoder_layers=0)
    assert load(folder).num_layers == 3


@pytest.mark.parametrize(
    ("names", "values"),
    [
        (("d_model", "encoder_attention_heads"), (32, 4)),
        (("hidden_size", "num_attention_heads"), (32, 4)),
    ],
)
def test_sizes_go_by_transformers_names_and_by_whispers_own(saved, names, values):
    config = load(saved("model"), overrides=dict(zip(names, values, strict=True))).config
    assert (config.d_model, config.encoder_attention_heads) == values


@pytest.mark.parametrize("pad_to", [0.0, -1.0, 0.009, 2.02, 30.0, float("nan"), float("inf")])
def test_a_length_that_cannot_be_filled_up_to_is_refused_with_the_range(saved, pad_to):
    with pytest.raises(ValueError, match=rf"pad_to must be in \(0, 2\] seconds, got {pad_to}"):
        load(saved("encoder"), pad_to=pad_to)


@pytest.mark.parametrize("style", ["wav2vec2", "wav2vec2-bert"])
def test_other_families_are_never_filled_up(tiny_encoder, style):
    with pytest.raises(ValueError, match="filled up to no length; leave pad_to out"):
        tiny_encoder(style, pad_to=30.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feature_size": 128}, "feature_size is 128, but this Whisper reads 80; take preproc"),
        ({"hop_length": 320}, "hop_length is 320, but this Whisper reads 160"),
        ({"n_fft": 512}, "n_fft is 512, but this Whisper reads 400"),
        ({"sampling_rate": 8_000}, "reads audio at 8000 Hz but only 16000 Hz is supported"),
    ],
)
def test_a_feature_extractor_of_another_model_is_refused(own, changes, message):
    folder = own("generation")
    edit(folder / "preprocessor_config.json", **changes)
    with pytest.raises(ValueError, match=message):
        load(folder)


def test_no_feature_extractor_is_needed_and_nothing_is_guessed(own):
    folder = own("generation")
    (folder / "preprocessor_config.json").unlink()
    assert load(folder).guess is None


@torch.no_grad()
@pytest.mark.parametrize("form", ["generation", "model", "encoder"])
def test_what_we_save_is_the_stock_model_for_other_tools(saved, noise, tmp_path, form):
    encoder = load(saved(form))
    save_encoder(encoder, tmp_path)
    assert_equals_stock(tmp_path, noise(20_000)[0], atol=1e-4)
    assert not any(
        name.startswith("encoder.") for name in load_file(tmp_path / "model.safetensors")
    )
    batch = noise(20_000, 7_000)
    assert torch.equal(load(tmp_path)(*batch).values, encoder(*batch).values)


@torch.no_grad()
def test_a_blueprint_remembers_how_far_the_input_is_filled_up(saved, noise):
    encoder = load(saved("sharded"), pad_to=1.5)
    again = encoder_from_blueprint(json.loads(json.dumps(encoder.blueprint))).eval()
    again.load_state_dict(encoder.state_dict())
    assert again.pad_frames == 75
    batch = noise(16_000, 5_000)
    assert torch.equal(again(*batch).values, encoder(*batch).values)


@pytest.fixture
def hub_cache(saved, tmp_path, monkeypatch):
    """A hub cache that holds a download of openai/whisper-tiny.en, and no network."""
    repository = tmp_path / "hub" / "models--openai--whisper-tiny.en"
    shutil.copytree(saved("generation"), repository / "snapshots" / "a1b2c3")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a1b2c3")

    def refuse(*_args, **_kwargs):
        raise OSError(NO_NETWORK)

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def test_a_hub_id_that_was_downloaded_before_needs_no_network(hub_cache):
    encoder = build_encoder(EncoderOptions(source="openai/whisper-tiny.en"))
    assert encoder.num_layers == 3 and encoder.guess is None
    assert encoder.blueprint["preprocessor"]["feature_size"] == 80


def test_a_hub_id_that_was_not_says_how_to_get_it(hub_cache):
    with pytest.raises(ValueError) as caught:
        build_encoder(EncoderOptions(source="openai/whisper-large-v3"))
    assert str(caught.value) == (
        "cannot get config.json of openai/whisper-large-v3; download it where there is a network "
        "with `hf download openai/whisper-large-v3`, or give a local folder"
    )
