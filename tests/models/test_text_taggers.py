from __future__ import annotations

import dataclasses
import json
import shutil
import sys

import pytest
import torch
from torch.nn import functional

from slue_ner.core.labels import COMBINED, RAW
from slue_ner.data.loading.text_batch import Sentence, SentenceDataset, collate_text
from slue_ner.models.taggers.small_tagger import SmallTagger, SmallTaggerOptions
from slue_ner.models.taggers.text_tagger import bio_tags
from slue_ner.models.taggers.transformer_tagger import pretrained_tagger, tagger_from_structure

TAGS = bio_tags(COMBINED)
OPTIONS = SmallTaggerOptions(
    word_size=6,
    character_size=4,
    filters=5,
    hidden_size=7,
    dropout=0.3,
    unknown_word=0.5,
    min_count=1,
)
SENTENCES = ["ana met bo in rome", "eu", "the man from new york and ana"]


@pytest.fixture(params=["small", "bert", "roberta"])
def tagger(request, text_sources):
    torch.manual_seed(1)
    if request.param == "small":
        words = [text.split() for text in SENTENCES]
        return SmallTagger.build(words, tags=TAGS, options=OPTIONS).eval()
    return pretrained_tagger(
        str(text_sources[request.param]), revision=None, tags=TAGS, max_tokens=512
    ).eval()


@pytest.fixture
def batch_of():
    def build(tagger, *texts):
        sentences = [Sentence(str(i), tuple(text.split())) for i, text in enumerate(texts)]
        dataset = SentenceDataset(sentences, encode=tagger.encode, tags=tagger.tags)
        rows = [dataset[i] for i in range(len(sentences))]
        return collate_text(rows, padding=tagger.padding)

    return build


def test_the_raw_set_has_37_tags():
    tags = bio_tags(RAW)
    assert len(tags) == 37 and tags[:3] == ("O", "B-CARDINAL", "I-CARDINAL")


def test_a_sentence_has_the_same_logits_in_any_batch(tagger, batch_of):
    together = tagger(batch_of(tagger, *SENTENCES).inputs)
    assert together.shape == (3, 7, len(TAGS))
    for row, text in zip(together, SENTENCES, strict=True):
        alone = tagger(batch_of(tagger, text).inputs)[0]
        torch.testing.assert_close(row[: len(alone)], alone)


def test_every_parameter_gets_a_gradient(tagger, batch_of):
    tagger.train()
    tagger(batch_of(tagger, *SENTENCES).inputs).logsumexp(-1).sum().backward()
    assert [n for n, p in tagger.named_parameters() if p.grad is None] == []


def test_structure_and_weights_bring_the_same_tagger_back(tagger, batch_of, tmp_path):
    tagger.save_structure(tmp_path)
    again = (
        SmallTagger.from_structure(tmp_path)
        if isinstance(tagger, SmallTagger)
        else tagger_from_structure(tmp_path, name=tagger.name, max_tokens=512)
    )
    again.load_state_dict(tagger.state_dict())
    batch, same = (batch_of(t, *SENTENCES, "unseen's words") for t in (tagger, again))
    assert again.tags == TAGS and again.padding == tagger.padding
    for name, tensor in batch.inputs.items():
        assert torch.equal(tensor, same.inputs[name])
    assert torch.equal(tagger(batch.inputs), again.eval()(same.inputs))


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_label_is_asked_for_at_the_first_sub_token_alone(text_sources, batch_of, family):
    """Our loss against transformers' own, given labels laid out by hand over its sub-tokens."""
    source = str(text_sources[family])
    tagger = pretrained_tagger(source, revision=None, tags=TAGS, max_tokens=512).eval()
    words = ["ana", "met", "bo", "in", "rome"]
    tags = [TAGS.index(tag) for tag in ("B-PERSON", "O", "B-PERSON", "O", "B-PLACE")]
    spaced = [f" {word}" for word in words] if family == "roberta" else words
    encoding = tagger.tokenizer(spaced, is_split_into_words=True)
    labels, before = [], None
    for word in encoding.word_ids():
        labels.append(-100 if word is None or word == before else tags[word])
        before = word
    expected = tagger.model(
        input_ids=torch.tensor([encoding["input_ids"]]), labels=torch.tensor([labels])
    ).loss
    batch = batch_of(tagger, " ".join(words))
    assert batch.inputs["tokens"].tolist() == [encoding["input_ids"]]
    found = functional.cross_entropy(tagger(batch.inputs)[0], torch.tensor(tags))
    torch.testing.assert_close(found, expected)


def test_a_byte_level_tokenizer_sees_a_space_before_every_word(text_sources):
    tagger = pretrained_tagger(
        str(text_sources["roberta"]), revision=None, tags=TAGS, max_tokens=512
    )
    ((_, features),) = tagger.encode(["in", "rome"])
    pieces = tagger.tokenizer.convert_ids_to_tokens(features["tokens"])
    space = "\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}"
    assert pieces == ["<s>", space, "i", "n", space, "r", "o", "m", "e", "</s>"]
    assert features["firsts"] == [1, 4]


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_long_sentence_is_windowed_and_no_word_is_left_out(text_sources, family):
    tagger = pretrained_tagger(str(text_sources[family]), revision=None, tags=TAGS, max_tokens=512)
    # 64 positions less two special tokens; RoBERTa wastes two more
    assert tagger.limit == {"bert": 62, "roberta": 60}[family]
    words = ["abcdefgh"] * 40 + ["x" * 300]
    encoded = tagger.encode(words)
    assert len(encoded) > 4
    assert sorted(word for window, _ in encoded for word in window.owned) == list(range(41))
    for _, features in encoded:
        assert len(features["tokens"]) <= tagger.limit + 2
        tagger(
            {name: torch.tensor([values]) for name, values in features.items()}
        )  # fits the positions


def test_windows_change_nothing_for_a_model_that_looks_at_one_word_at_a_time(
    text_sources, monkeypatch
):
    """With the encoder replaced by its token embeddings a word's logits are a fixed function."""
    source, words = str(text_sources["bert"]), ("ana met bo in rome and " * 6).split()

    def tags_of(max_tokens):
        torch.manual_seed(0)
        tagger = pretrained_tagger(source, revision=None, tags=TAGS, max_tokens=max_tokens).eval()
        embeddings = tagger.model.bert.embeddings.word_embeddings

        def forward(input_ids, attention_mask):
            logits = tagger.model.classifier(embeddings(input_ids))
            return type("Output", (), {"logits": logits})

        monkeypatch.setattr(tagger.model, "forward", forward)
        logits = [None] * len(words)
        for window, features in tagger.encode(words):
            inputs = {name: torch.tensor([values]) for name, values in features.items()}
            for word in window.owned:
                logits[word] = tagger(inputs)[0, word - window.first]
        return torch.stack(logits)

    assert len(words) == 36
    torch.testing.assert_close(tags_of(12), tags_of(512))


def test_a_word_the_tokenizer_does_not_see_is_the_unknown_one(text_sources):
    tagger = pretrained_tagger(str(text_sources["bert"]), revision=None, tags=TAGS, max_tokens=512)
    ((window, features),) = tagger.encode(["ana", "\N{SOFT HYPHEN}", "bo"])
    assert window.owned == (0, 1, 2)
    assert features["tokens"][features["firsts"][1]] == tagger.tokenizer.unk_token_id


def test_only_the_new_layer_is_not_pretrained(text_sources):
    tagger = pretrained_tagger(str(text_sources["bert"]), revision=None, tags=TAGS, max_tokens=512)
    fresh = [name for name, _ in tagger.named_parameters() if not tagger.is_pretrained(name)]
    assert fresh == ["model.classifier.weight", "model.classifier.bias"]


def test_a_source_that_cannot_be_a_tagger_is_one_sentence(text_sources, tmp_path):
    with pytest.raises(ValueError, match=r"cannot get config.json of no/such; download it"):
        pretrained_tagger("no/such", revision=None, tags=TAGS, max_tokens=512)
    (tmp_path / "config.json").write_bytes((text_sources["bert"] / "config.json").read_bytes())
    with pytest.raises(ValueError, match=r"\(bert\) cannot be made a text tagger: .*give a text"):
        pretrained_tagger(str(tmp_path), revision=None, tags=TAGS, max_tokens=512)
    with pytest.raises(ValueError, match=r"task.max_tokens=2 leaves .* no room for a word"):
        pretrained_tagger(str(text_sources["bert"]), revision=None, tags=TAGS, max_tokens=2)


def test_a_tokenizer_of_another_model_is_refused(text_sources, tmp_path):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((text_sources["roberta"] / name).read_bytes())
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((text_sources["bert"] / name).read_bytes())
    with pytest.raises(
        ValueError, match=r"the tokenizer of .* has the symbol 259 but the model has 63"
    ):
        pretrained_tagger(str(tmp_path), revision=None, tags=TAGS, max_tokens=512)


def test_a_tokenizer_without_its_vocabulary_is_refused(text_sources, tmp_path):
    shutil.copytree(text_sources["roberta"], tmp_path / "bare")
    (tmp_path / "bare/tokenizer.json").unlink()
    settings = {"tokenizer_class": "DebertaTokenizer"}
    (tmp_path / "bare/tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"bare knows no letter; are its vocabulary files there"):
        pretrained_tagger(str(tmp_path / "bare"), revision=None, tags=TAGS, max_tokens=512)


def test_a_sentencepiece_model_names_the_package_that_reads_it(text_sources, tmp_path, monkeypatch):
    shutil.copytree(text_sources["bert"], tmp_path / "albert")
    (tmp_path / "albert/tokenizer.json").unlink()
    (tmp_path / "albert/spm.model").write_bytes(b"")
    settings = {"tokenizer_class": "DebertaV2Tokenizer", "vocab_type": "spm"}
    (tmp_path / "albert/tokenizer_config.json").write_text(json.dumps(settings))
    monkeypatch.setitem(sys.modules, "tiktoken.load", None)
    with pytest.raises(ValueError, match=r"`pip install sentencepiece`; give a text encoder"):
        pretrained_tagger(str(tmp_path / "albert"), revision=None, tags=TAGS, max_tokens=512)


def test_weights_that_would_run_code_are_refused(text_sources, tmp_path, capfd):
    class Evil:
        def __reduce__(self):
            return print, ("it ran",)

    shutil.copytree(text_sources["bert"], tmp_path / "evil")
    (tmp_path / "evil/model.safetensors").unlink()
    torch.save({"weight": Evil()}, tmp_path / "evil/pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pickled weights are damaged or hold more than tensors"):
        pretrained_tagger(str(tmp_path / "evil"), revision=None, tags=TAGS, max_tokens=512)
    assert "it ran" not in capfd.readouterr().out


def test_damaged_files_are_one_sentence(text_sources, tmp_path):
    source = text_sources["bert"]
    messages = {
        "model.safetensors": r"model\.safetensors is cut short at 100 bytes, within its header",
        "tokenizer.json": r"\(bert\) cannot be made a text tagger: its tokenizer cannot be read",
    }
    for name, message in messages.items():
        folder = tmp_path / name
        shutil.copytree(source, folder)
        (folder / name).write_bytes((source / name).read_bytes()[:100])
        with pytest.raises(ValueError, match=message):
            pretrained_tagger(str(folder), revision=None, tags=TAGS, max_tokens=512)
    tagger = pretrained_tagger(str(source), revision=None, tags=TAGS, max_tokens=512)
    for name in ("config.json", "tokenizer.json"):
        folder = tmp_path / f"structure_{name}"
        tagger.save_structure(folder)
        (folder / name).write_text("{")
        with pytest.raises(ValueError, match=rf"structure_{name} does not describe a text tagger"):
            tagger_from_structure(folder, name="a name", max_tokens=512)


def test_the_small_tagger_knows_frequent_words_and_reads_the_letters_of_others():
    words = [["rome", "rome", "ana"]]
    options = dataclasses.replace(OPTIONS, min_count=2)
    tagger = SmallTagger.build(words, tags=TAGS, options=options).eval()
    assert tagger.words == ("rome",) and tagger.characters == ("a", "e", "m", "n", "o", "r")
    known, rare, other = (tagger.encode([word])[0][1] for word in ("rome", "ana", "ann"))
    assert known["words"] != rare["words"] == other["words"]
    assert rare["characters"] != other["characters"]
    assert tagger.encode([]) == []


def test_training_hides_some_words_so_that_letters_must_do(batch_of):
    tagger = SmallTagger.build([s.split() for s in SENTENCES], tags=TAGS, options=OPTIONS)
    tagger.dropout.p = 0.0
    batch = batch_of(tagger, SENTENCES[0])
    torch.manual_seed(0)
    assert not torch.equal(tagger(batch.inputs), tagger(batch.inputs))
    tagger.eval()
    assert torch.equal(tagger(batch.inputs), tagger(batch.inputs))


def test_a_damaged_structure_is_named(tmp_path):
    (tmp_path / "small_tagger.json").write_text('{"words": []}')
    with pytest.raises(ValueError, match=r"small_tagger.json does not describe a small tagger"):
        SmallTagger.from_structure(tmp_path)
