from __future__ import annotations

import json

import pytest
import torch
from transformers import (
    HubertConfig,
    HubertForCTC,
    HubertModel,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
)

from slue_ner.core.records import read_manifest, write_predictions
from slue_ner.core.types import EntitySpan, Prediction, TokenSpan, Word
from slue_ner.data.loading.audio import read_audio
from slue_ner.models.hub_ctc import hub_ctc
from slue_ner.systems.experiment import run_experiment
from slue_ner.systems.recognisers import recognise
from slue_ner.text.recognised import in_ner_form

LETTERS = [*"ABEIMNORKY", "'"]
VOCABULARY = ["<s>", "<pad>", "</s>", "<unk>", "|", *LETTERS]
TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [16, 16],
    "conv_kernel": [40, 16],
    "conv_stride": [20, 16],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
}


@pytest.fixture(scope="module")
def hub_recogniser(tmp_path_factory):
    """A tiny HuBERT with a CTC head and a tokenizer, as the hub has them."""
    folder = tmp_path_factory.mktemp("hub_recogniser")
    (folder / "letters.json").write_text(json.dumps({c: i for i, c in enumerate(VOCABULARY)}))
    torch.manual_seed(0)
    model = HubertForCTC(HubertConfig(vocab_size=len(VOCABULARY), pad_token_id=1, **TINY))
    torch.nn.init.normal_(model.lm_head.weight, std=1.0)
    model.save_pretrained(folder)
    Wav2Vec2CTCTokenizer(str(folder / "letters.json")).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


@pytest.fixture
def utterances(tiny_corpus):
    return read_manifest(tiny_corpus / "dev.jsonl")


def test_a_hub_checkpoint_gives_the_posteriors_that_transformers_gives(hub_recogniser, utterances):
    model, vocabulary = hub_ctc(str(hub_recogniser))
    assert vocabulary.symbols == ("<blank>", "<unk>", "|", *LETTERS)
    waveform = torch.from_numpy(read_audio(utterances[0].audio))
    theirs = HubertForCTC.from_pretrained(hub_recogniser).eval()
    heard = (waveform - waveform.mean()) / torch.sqrt(waveform.var(unbiased=False) + 1e-7)
    with torch.no_grad():
        expected = theirs(heard[None]).logits[0]
        found = model(waveform[None], torch.tensor([len(waveform)])).log_probs[0]
    kept = [1, 4, *range(5, len(VOCABULARY))]
    torch.testing.assert_close(
        found[:, [0, *range(2, len(vocabulary))]],
        expected[:, kept].log_softmax(-1),
        rtol=1e-3,
        atol=1e-4,
    )
    assert found[:, 1].max() < -1e6  # the unknown symbol is never written


def test_a_hub_checkpoint_recognises_words_with_times(hub_recogniser, utterances):
    found = recognise(str(hub_recogniser), utterances)
    assert [prediction.id for prediction in found] == [u.id for u in utterances]
    for prediction, utterance in zip(found, utterances, strict=True):
        assert prediction.text == prediction.text.lower() and prediction.text
        assert prediction.text == " ".join(word.text for word in prediction.words)
        assert {token.symbol for token in prediction.tokens} <= {*"abeimnorky'|"}
        times = [time for word in prediction.words for time in (word.start, word.end)]
        assert times == sorted(times) and times[-1] <= utterance.duration
        assert prediction.entities is None and prediction.frame_seconds == 0.02


def test_a_checkpoint_without_ctc_head_or_delimiter_is_refused(
    hub_recogniser, tmp_path, utterances
):
    encoder = tmp_path / "encoder"
    HubertModel(HubertConfig(**TINY)).save_pretrained(encoder)
    for name in ("tokenizer_config.json", "vocab.json"):
        (encoder / name).write_bytes((hub_recogniser / name).read_bytes())
    with pytest.raises(ValueError, match=r"is an encoder without a CTC head and recognises"):
        recognise(encoder, utterances)
    letters = {c: i for i, c in enumerate(VOCABULARY) if c != "|"}
    (tmp_path / "letters.json").write_text(json.dumps(letters))
    bare = tmp_path / "bare"
    HubertForCTC.from_pretrained(hub_recogniser).save_pretrained(bare)
    tokenizer = Wav2Vec2CTCTokenizer(str(tmp_path / "letters.json"), word_delimiter_token=None)
    tokenizer.save_pretrained(bare)
    with pytest.raises(ValueError, match=r"has no symbol between words"):
        recognise(bare, utterances)


def test_a_ctc_head_smaller_than_its_tokenizer_is_refused(hub_recogniser, tmp_path, utterances):
    letters = [token for token in VOCABULARY if token != "<pad>"]
    ids = {token: i for i, token in enumerate([*letters, "<pad>"])}
    (tmp_path / "letters.json").write_text(json.dumps(ids))
    HubertForCTC(HubertConfig(vocab_size=15, pad_token_id=0, **TINY)).save_pretrained(tmp_path)
    Wav2Vec2CTCTokenizer(str(tmp_path / "letters.json")).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"is symbol 15 but the CTC head has 15 symbols"):
        recognise(tmp_path, utterances)


def test_a_run_is_a_recogniser_when_its_target_is_plain(tmp_path, tiny_values, utterances, quiet):
    plain = tiny_values("task=ctc_plain", "trainer.max_updates=1", "data.evaluate=[]")
    run_experiment(plain, tmp_path / "plain", console=quiet)
    found = recognise(tmp_path / "plain", utterances, batch_seconds=4)
    assert [prediction.id for prediction in found] == [u.id for u in utterances]
    assert all(prediction.words is not None for prediction in found)
    tagged = tiny_values("trainer.max_updates=1", "data.evaluate=[]")
    run_experiment(tagged, tmp_path / "tagged", console=quiet)
    with pytest.raises(ValueError, match=r"tagged writes entity marks and is no recogniser"):
        recognise(tmp_path / "tagged", utterances)


@pytest.fixture
def quiet():
    from rich.console import Console

    threads = torch.get_num_threads()
    yield Console(quiet=True)
    torch.set_num_threads(threads)


def test_words_made_elsewhere_are_read_from_a_ctm(tmp_path, utterances):
    path = tmp_path / "words.ctm"
    path.write_text(
        "dev_00 1 0.10 0.20 Bo's 0.9\n"
        "dev_00 1 0.30 0.10 ,\n"
        "dev_00 1 0.40 0.15 IN.\n"
        "elsewhere 1 0.00 0.10 x\n"
    )
    first, second, *_ = recognise(path, utterances)
    assert first.text == "bo 's in" and first.error is None
    assert [word.text for word in first.words] == ["bo", "'s", "in"]
    assert [(word.start, word.end) for word in first.words] == [
        pytest.approx(times) for times in ((0.1, 0.3), (0.3, 0.3), (0.4, 0.55))
    ]
    assert first.words[0].score == 0.9
    assert second.error == f"{path} has no words of dev_01" and second.text == ""


def test_words_of_a_ctm_are_put_in_the_order_they_were_spoken(tmp_path, utterances):
    path = tmp_path / "words.ctm"
    path.write_text("dev_00 1 0.40 0.15 york\ndev_00 1 0.10 0.20 new\n")
    assert recognise(path, utterances)[0].text == "new york"


def test_words_of_other_utterances_alone_are_refused(tmp_path, utterances):
    path = tmp_path / "words.ctm"
    path.write_text("elsewhere 1 0.00 0.10 x\n")
    with pytest.raises(ValueError, match=r"has no words of any of the 4 utterances, first dev_00"):
        recognise(path, utterances)


def test_a_predictions_file_is_taken_as_it_is_without_its_entities(tmp_path, utterances):
    made = Prediction("dev_00", "Don't go", entities=(EntitySpan("ORG", "go"),))
    write_predictions(tmp_path / "asr.jsonl", [made])
    first, second, *_ = recognise(tmp_path / "asr.jsonl", utterances)
    assert first == Prediction("dev_00", "Don't go", entities=None)
    assert second.error is not None


def test_the_ner_form_keeps_tokens_in_their_frames():
    tokens = (TokenSpan("E", 1, 2, 0.5), TokenSpan("U", 3, 4, 0.5), TokenSpan("|", 5, 6, 0.5))
    made = in_ner_form(Prediction("one", "EU", words=(Word("EU", 0.02, 0.08),), tokens=tokens))
    assert made.text == "eu"
    assert [(t.symbol, t.first, t.last) for t in made.tokens] == [
        ("e", 1, 2),
        ("u", 3, 4),
        ("|", 5, 6),
    ]


def test_a_source_of_no_known_kind_is_refused(tmp_path, utterances):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="bert"):
        recognise(tmp_path, utterances)
    with pytest.raises(ValueError, match="neither a folder nor a hub id"):
        recognise("/no/such/place", utterances)


def test_a_mistyped_run_is_not_looked_for_on_the_hub(tmp_path, utterances):
    (tmp_path / "runs").mkdir()
    with pytest.raises(ValueError, match=r"runs/asrr: no such run folder or checkpoint in .*runs$"):
        recognise(tmp_path / "runs" / "asrr", utterances)
