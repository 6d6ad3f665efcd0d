from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from text_models import save_bert_tagger
from tokenizers import pre_tokenizers
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

from slue_ner.cli.main import main
from slue_ner.core.records import read_manifest, read_predictions
from slue_ner.core.types import Word
from slue_ner.inference import whisper
from slue_ner.systems.recognisers import recognise

BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
SPECIAL = [
    *("<|endoftext|>", "<|startoftranscript|>", "<|translate|>", "<|transcribe|>"),
    *("<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"),
]
TIMES = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A tiny Whisper that writes small letters and spaces, as the hub has them."""
    folder = tmp_path_factory.mktemp("whisper")
    tokens = [*BYTES, *SPECIAL, *TIMES]
    ids = {token: i for i, token in enumerate(tokens)}
    tokenizer = WhisperTokenizer(vocab={byte: ids[byte] for byte in BYTES}, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL[1:]})
    tokenizer.add_tokens(TIMES)
    assert [tokenizer.convert_tokens_to_ids(t) for t in ("<|notimestamps|>", "<|0.00|>")] == [
        ids["<|notimestamps|>"],
        ids["<|0.00|>"],
    ]
    torch.manual_seed(0)
    end, start = ids["<|endoftext|>"], ids["<|startoftranscript|>"]
    named = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    config = WhisperConfig(
        vocab_size=len(tokens),
        num_mel_bins=80,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_source_positions=100,
        max_target_positions=40,
        decoder_start_token_id=start,
        **named,
    )
    model = WhisperForConditionalGeneration(config)
    letters = {*"abcdefghijklmnopqrstuvwxyz", "\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}"}
    model.generation_config = GenerationConfig(
        decoder_start_token_id=start,
        no_timestamps_token_id=ids["<|notimestamps|>"],
        prev_sot_token_id=ids["<|startofprev|>"],
        alignment_heads=[[0, 0], [0, 1]],
        is_multilingual=False,
        max_length=30,
        max_initial_timestamp_index=50,
        suppress_tokens=[ids[byte] for byte in BYTES if byte not in letters],
        begin_suppress_tokens=[end],
        **named,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80, chunk_length=2).save_pretrained(folder)
    return folder


def test_whisper_gives_words_with_times_within_the_audio(source, tiny_corpus):
    utterances = read_manifest(tiny_corpus / "dev.jsonl")[:2]
    gone = dataclasses.replace(utterances[0], id="gone", audio=tiny_corpus / "gone.wav")
    seen = []
    found = recognise(
        source, [*utterances, gone], progress=lambda done, total: seen.append((done, total))
    )
    assert [prediction.id for prediction in found] == ["dev_00", "dev_01", "gone"]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert "no such audio file" in found[2].error
    for prediction, utterance in zip(found, utterances, strict=False):
        assert prediction.error is None and prediction.text
        assert prediction.text == " ".join(word.text for word in prediction.words)
        times = [time for word in prediction.words for time in (word.start, word.end)]
        assert times == sorted(times) and times[0] >= 0 and times[-1] <= utterance.duration


def test_audio_shorter_than_a_frame_fails_alone(source, tiny_corpus, tmp_path):
    heard = read_manifest(tiny_corpus / "dev.jsonl")[0]
    soundfile.write(tmp_path / "short.wav", np.zeros(100, dtype=np.float32), 16_000)
    short = dataclasses.replace(heard, id="short", audio=tmp_path / "short.wav", num_samples=100)
    first, second = recognise(source, [short, heard])
    assert "short.wav: 100 samples are too few for one frame, which takes 320" in first.error
    assert second.error is None and second.text


def test_one_frame_of_audio_can_be_read(source, tiny_corpus, tmp_path):
    heard = read_manifest(tiny_corpus / "dev.jsonl")[0]
    soundfile.write(tmp_path / "short.wav", np.zeros(320, dtype=np.float32), 16_000)
    short = dataclasses.replace(heard, audio=tmp_path / "short.wav", num_samples=320)
    assert recognise(source, [short])[0].error is None


def test_damaged_weights_are_one_sentence(source, tmp_path, tiny_corpus):
    for path in source.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"half a file")
    with pytest.raises(
        ValueError, match=r"model\.safetensors is no safetensors file; download it again"
    ):
        recognise(tmp_path, read_manifest(tiny_corpus / "dev.jsonl"))


def test_word_times_are_put_in_order_and_cut_to_the_audio():
    chunks = [
        {"text": " The", "timestamp": (0.1, 0.5)},
        {"text": " ", "timestamp": (0.5, 0.5)},
        {"text": " EU", "timestamp": (0.4, 0.8)},  # reaches back
        {"text": " budget.", "timestamp": (0.9, None)},  # the end is not known
        {"text": " now", "timestamp": (1.9, 2.4)},  # beyond the audio
    ]
    assert whisper._words(chunks, 2.0) == (
        Word("The", 0.1, 0.5),
        Word("EU", 0.5, 0.8),
        Word("budget.", 0.9, 0.9),
        Word("now", 1.9, 2.0),
    )


def test_a_checkpoint_that_knows_no_word_times_is_refused(source, tmp_path, tiny_corpus):
    for path in source.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    lines = (source / "generation_config.json").read_text()
    (tmp_path / "generation_config.json").write_text(lines.replace("alignment_heads", "other"))
    with pytest.raises(ValueError, match=r"names no alignment_heads in generation_config.json"):
        recognise(tmp_path, read_manifest(tiny_corpus / "dev.jsonl"))


def test_words_are_written_once_and_read_by_any_tagger_afterwards(source, tiny_corpus, tmp_path):
    tagger = save_bert_tagger(tmp_path / "tagger", ["O", "B-PERSON", "I-PERSON", "B-GPE"])
    manifest = str(tiny_corpus / "dev.jsonl")
    words, found, at_once = (str(tmp_path / f"{name}.jsonl") for name in ("words", "found", "once"))
    given = ["--manifest", manifest, "--output"]
    assert main(["predict", str(source), *given, words]) == 0
    assert all(prediction.entities is None for prediction in read_predictions(Path(words)))
    assert main(["predict", words, "--text-ner", str(tagger), *given, found]) == 0
    assert main(["predict", str(source), "--text-ner", str(tagger), *given, at_once]) == 0
    assert Path(found).read_text(encoding="utf-8") == Path(at_once).read_text(encoding="utf-8")
