"""Damaged weights are one sentence that names the file, whatever loads them."""

from __future__ import annotations

import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

from slue_ner.inference.whisper import recognise_with_whisper
from slue_ner.models.encoder.building import build_encoder, encoder_from_blueprint
from slue_ner.models.encoder.options import EncoderOptions
from slue_ner.models.encoder.saving import save_encoder
from slue_ner.models.hub_ctc import hub_ctc
from slue_ner.models.taggers.transformer_tagger import pretrained_tagger
from slue_ner.training.checkpoints import load_weights, read_state

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 377567\n"


def tag(source: str) -> object:
    return pretrained_tagger(source, revision=None, tags=("O", "B-PERSON"), max_tokens=64)


LOADERS = {
    "encoder": lambda source: build_encoder(EncoderOptions(source=source)),
    "ctc": hub_ctc,
    "tagger": tag,
    "whisper": lambda source: recognise_with_whisper(source, []),
}


@pytest.fixture
def folder(tmp_path, tiny_encoder):
    """A saved tiny wav2vec 2.0."""
    save_encoder(tiny_encoder("wav2vec2"), tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def ctc_folder(tmp_path, tiny_encoder):
    """``ctc_folder(6, "a", "b")``: a CTC checkpoint with 6 symbols and letters from id 5 on."""

    def save(vocab_size: int, *letters: str):
        config = tiny_encoder("wav2vec2").config
        config.vocab_size = vocab_size
        Wav2Vec2ForCTC(config).save_pretrained(tmp_path / "ctc")
        symbols = ["<pad>", "<s>", "</s>", "<unk>", "|", *letters]
        (tmp_path / "v.json").write_text(json.dumps({s: i for i, s in enumerate(symbols)}))
        names = {"unk_token": "<unk>", "pad_token": "<pad>", "word_delimiter_token": "|"}
        Wav2Vec2CTCTokenizer(str(tmp_path / "v.json"), **names).save_pretrained(tmp_path / "ctc")
        Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "ctc")
        return tmp_path / "ctc"

    return save


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (POINTER, "is a Git LFS pointer and no weights; download it again, or run `git lfs pull`"),
        (b"", "is empty; download it again"),
        (bytes(4096), "holds zeros and no weights"),
        (b"<!DOCTYPE html><html>Sign in</html>", "is a web page and no weights"),
    ],
)
def test_a_file_that_is_no_weights_is_named_with_what_it_is(folder, loader, name, content, message):
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError) as caught:
        LOADERS[loader](str(folder))
    assert f"{folder / name} {message}" in str(caught.value)


@pytest.mark.parametrize("loader", LOADERS)
def test_weights_that_are_cut_short_are_named_with_their_size(folder, loader):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1000])
    with pytest.raises(ValueError) as caught:
        LOADERS[loader](str(folder))
    sizes = f"{len(whole) - 1000:,} of {len(whole):,} bytes"
    assert f"{path} is cut short: {sizes}; download it again" in str(caught.value)


@pytest.mark.parametrize("content", ["cut", "garbage", "code"])
@pytest.mark.parametrize("loader", LOADERS)
def test_pickled_weights_never_lead_to_advice_to_read_them_unsafely(
    folder, loader, content, tmp_path
):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    path = folder / "pytorch_model.bin"
    torch.save(weights, path)
    if content == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
    elif content == "garbage":
        path.write_bytes(b"\x80\x02garbage that is no pickle")
    else:

        class Payload:
            def __reduce__(self):
                return (open, (str(tmp_path / "ran"), "w"))

        torch.save({"x": Payload()}, path)
    with pytest.raises(ValueError) as caught:
        LOADERS[loader](str(folder))
    assert str(folder) in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_a_missing_shard_is_named(folder):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = [dict(list(weights.items())[::2]), dict(list(weights.items())[1::2])]
    places = {}
    for number, part in enumerate(parts):
        save_file(part, folder / f"{number}.safetensors", metadata={"format": "pt"})
        places |= {name: f"{number}.safetensors" for name in part}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    assert build_encoder(EncoderOptions(source=str(folder))).num_layers == 3
    (folder / "1.safetensors").write_bytes(POINTER)
    with pytest.raises(ValueError, match=r"1\.safetensors is a Git LFS pointer"):
        build_encoder(EncoderOptions(source=str(folder)))
    (folder / "1.safetensors").unlink()
    with pytest.raises(ValueError, match=r"1\.safetensors is not there; download it again"):
        build_encoder(EncoderOptions(source=str(folder)))
    index.write_bytes(POINTER)
    with pytest.raises(ValueError, match=r"index\.json is a Git LFS pointer"):
        build_encoder(EncoderOptions(source=str(folder)))


def test_a_tokenizer_with_letters_beyond_the_head_is_refused(ctc_folder):
    assert hub_ctc(str(ctc_folder(6, "a")))[1].symbols[-1] == "a"
    folder = ctc_folder(6, "a", "b", "c")
    with pytest.raises(ValueError, match="has the symbol 7 but the CTC head has 6 symbols; use a"):
        hub_ctc(str(folder))


def test_a_row_of_the_head_without_a_letter_is_never_written(ctc_folder):
    folder = ctc_folder(9, "a", "b", "c")
    letters = json.loads((folder / "vocab.json").read_text())
    del letters["b"]
    (folder / "vocab.json").write_text(json.dumps(letters))
    assert hub_ctc(str(folder))[1].symbols == ("<blank>", "<unk>", "|", "a", "c")


@pytest.mark.parametrize("content", [POINTER, b"", bytes(500), b"garbage", b"\x80\x02}q\x00."])
def test_a_damaged_state_is_one_sentence_with_the_way_out(tmp_path, content):
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read_state(path)
    assert str(caught.value) == (
        f"{path} is not a checkpoint of this program or is damaged; remove it to train this run "
        "from the start"
    )


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9, 0.999])
def test_a_state_that_is_cut_short_is_named(tmp_path, kept):
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {"weight": torch.zeros(300, 300)}}, path)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"last\.ckpt is not a checkpoint of this program or is"):
        read_state(path)


def test_a_state_that_would_run_code_is_refused_unrun(tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / "last.ckpt").write_bytes(pickle.dumps({"x": Payload()}))
    with pytest.raises(ValueError, match="is not a checkpoint of this program"):
        read_state(tmp_path / "last.ckpt")
    assert not (tmp_path / "ran").exists()


def test_the_weights_of_a_run_that_are_cut_short_are_named(tmp_path):
    save_file({"weight": torch.zeros(2, 2), "bias": torch.zeros(2)}, tmp_path / "best.safetensors")
    whole = (tmp_path / "best.safetensors").read_bytes()
    (tmp_path / "best.safetensors").write_bytes(whole[:-8])
    with pytest.raises(ValueError, match=r"best\.safetensors is damaged .*: it is cut short: "):
        load_weights(torch.nn.Linear(2, 2), tmp_path / "best.safetensors")


def only_processor(folder, **extractor) -> None:
    """What transformers 5 writes: the feature extractor in processor_config.json alone."""
    (folder / "preprocessor_config.json").unlink(missing_ok=True)
    values = {"processor_class": "Wav2Vec2Processor", "feature_extractor": extractor}
    (folder / "processor_config.json").write_text(json.dumps(values))


@pytest.mark.parametrize("normalizes", [True, False])
def test_the_feature_extractor_of_transformers_5_is_found(folder, normalizes):
    only_processor(folder, do_normalize=normalizes, sampling_rate=16_000)
    encoder = build_encoder(EncoderOptions(source=str(folder)))
    assert (encoder.normalize_waveform, encoder.guess) == (normalizes, None)


def test_a_feature_extractor_that_leaves_normalisation_out_normalises_as_in_transformers(folder):
    only_processor(folder, feature_extractor_type="Wav2Vec2FeatureExtractor")
    assert build_encoder(EncoderOptions(source=str(folder))).normalize_waveform
    assert Wav2Vec2FeatureExtractor.from_pretrained(folder).do_normalize


def test_a_processor_config_of_before_does_not_hide_the_feature_extractor(folder):
    (folder / "processor_config.json").write_text('{"processor_class": "Wav2Vec2Processor"}')
    (folder / "preprocessor_config.json").write_text('{"do_normalize": true}')
    assert build_encoder(EncoderOptions(source=str(folder))).normalize_waveform


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", r"processor_config\.json should hold a JSON object, got '\[1\]'"),
        ('{"feature_extractor": [1]}', r"processor_config\.json: feature_extractor should hold a"),
    ],
)
def test_a_processor_config_of_another_form_is_named(folder, content, message):
    (folder / "processor_config.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        build_encoder(EncoderOptions(source=str(folder)))


def test_another_sampling_rate_is_refused_wherever_it_stands(folder):
    only_processor(folder, do_normalize=True, sampling_rate=8_000)
    with pytest.raises(ValueError, match="reads audio at 8000 Hz but only 16000 Hz is supported"):
        build_encoder(EncoderOptions(source=str(folder)))


def test_a_guess_about_normalisation_is_said_and_kept(folder):
    (folder / "preprocessor_config.json").unlink()
    encoder = build_encoder(EncoderOptions(source=str(folder)))
    assert not encoder.normalize_waveform
    assert encoder.guess == (
        f"{folder} does not say whether it wants normalised waveforms (there is no feature "
        "extractor in processor_config.json or preprocessor_config.json); its style of model does "
        "not, and encoder.normalize_waveform=true changes that"
    )
    assert encoder.blueprint["guess"] == encoder.guess
    told = build_encoder(EncoderOptions(source=str(folder), normalize_waveform=True))
    assert (told.normalize_waveform, told.guess) == (True, None)
    shutil.rmtree(folder)
    assert encoder_from_blueprint(told.blueprint).normalize_waveform
    assert not encoder_from_blueprint(encoder.blueprint).normalize_waveform
