from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from seqeval.metrics.sequence_labeling import get_entities
from text_models import save_bert_tagger, save_lookup_tagger, save_roberta_tagger
from transformers import AutoModelForTokenClassification, AutoTokenizer

from slue_ner.core.labels import COMBINED, RAW
from slue_ner.inference.tagging import tag_words
from slue_ner.models.taggers.text_tagger import bio_tags
from slue_ner.models.taggers.transformer_tagger import pretrained_tagger, ready_tagger

TYPES = ("GPE", "PERSON", "ORG")
SCHEMES = {
    "bio": ["O", *(f"{place}-{type}" for type in TYPES for place in "BI")],
    "bioes": ["O", *(f"{place}-{type}" for type in TYPES for place in "BIES")],
    "io": ["O", *(f"I-{type}" for type in TYPES)],
    "bare": ["O", *TYPES],
}
CONLL = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]
LOOKED_UP = {"r": "B-LOC", "y": "I-LOC", "a": "B-PER", "z": "B-MISC"}  # by first letter


@pytest.fixture
def lookup(tmp_path):
    return save_lookup_tagger(tmp_path / "lookup", CONLL, LOOKED_UP)


def spans(entities):
    return [(entity.label, *entity.words) for entity in entities]


def random_sentences(count):
    random = np.random.default_rng(0)
    letters = [*"abcdefghijklmnopqrstuvwxyz'"]
    return [
        ["".join(random.choice(letters, random.integers(1, 5))) for _ in range(length)]
        for length in random.integers(1, 10, count)
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_entities_are_those_of_a_plain_loop_over_transformers(tmp_path, family, scheme):
    save = {"bert": save_bert_tagger, "roberta": save_roberta_tagger}[family]
    source = save(tmp_path, SCHEMES[scheme])
    model = AutoModelForTokenClassification.from_pretrained(source).eval()
    tokenizer = AutoTokenizer.from_pretrained(source)
    sentences = random_sentences(40)
    expected = []
    for words in sentences:
        spaced = [f" {word}" for word in words] if family == "roberta" else words
        encoding = tokenizer(spaced, is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            best = model(**encoding).logits[0].argmax(-1).tolist()
        of_pieces = encoding.word_ids()
        firsts = [of_pieces.index(word) for word in range(len(words))]
        tags = [model.config.id2label[best[first]] for first in firsts]
        if scheme == "bare":
            tags = [tag if tag == "O" else f"I-{tag}" for tag in tags]
        expected.append([(type, first, last + 1) for type, first, last in get_entities(tags)])
    found = tag_words(ready_tagger(str(source)), sentences, labels=RAW, batch_size=7)
    assert [spans(entities) for entities in found] == expected
    assert sum(map(len, expected)) > 20
    for words, entities in zip(sentences, found, strict=True):
        for entity in entities:
            assert entity.phrase == " ".join(words[slice(*entity.words)])
            assert 0 < entity.score <= 1


def test_the_tag_of_a_word_is_that_of_its_first_piece(lookup):
    tagger = ready_tagger(str(lookup))
    ((_, features),) = tagger.encode(["rya"])
    pieces = tagger.tokenizer.convert_ids_to_tokens(features["tokens"])
    assert pieces == ["[CLS]", "r", "##y", "##a", "[SEP]"]
    assert [spans(e) for e in tag_words(tagger, [["rya"], ["xra", "ar"]])] == [
        [("PLACE", 0, 1)],
        [("PERSON", 1, 2)],
    ]


def test_a_long_sentence_is_tagged_word_by_word_as_a_short_one(lookup):
    words = ["rome", "york", "in", "ana", "yes", "zoo", "met", "x" * 90] * 12
    once = [("PLACE", 0, 2), ("PERSON", 3, 4), ("PLACE", 4, 5)]
    expected = [(label, 8 * i + a, 8 * i + b) for i in range(12) for label, a, b in once]
    tagger = ready_tagger(str(lookup))
    assert tagger.limit == 62 and len(tagger.encode(words)) > 20
    (found,) = tag_words(tagger, [words])
    assert spans(found) == expected
    # 12 of MISC, which is no label of SLUE
    assert tagger.label_map.left_out == {"MISC": 12}


def test_labels_are_given_by_a_map_and_come_back(lookup):
    tagger = ready_tagger(str(lookup), given={"MISC": "NORP", "PER": None, "LOC": "GPE"})
    sentence = ["zoo", "ana", "rome", "york"]
    (raw,) = tag_words(tagger, [sentence], labels=RAW)
    assert spans(raw) == [("NORP", 0, 1), ("GPE", 2, 4)]
    (combined,) = tag_words(tagger, [sentence])
    assert spans(combined) == [("NORP", 0, 1), ("PLACE", 2, 4)]
    assert not tagger.label_map.left_out


@pytest.mark.parametrize("labels", [RAW, COMBINED], ids=lambda labels: labels.name)
def test_a_checkpoint_with_our_labels_says_what_a_run_with_them_says(tmp_path, labels):
    """In this program's own tags a ready tagger and a ``TransformerTagger`` are the same."""
    source = save_bert_tagger(tmp_path, bio_tags(labels))
    ready = ready_tagger(str(source))
    ours = pretrained_tagger(
        str(source), revision=None, tags=bio_tags(labels), max_tokens=512
    ).eval()
    sentences = random_sentences(20)
    found = tag_words(ready, sentences, labels=labels)
    assert found == tag_words(ours, sentences, labels=labels)
    assert any(found) and ready.label_map.report() is None


def test_a_type_outside_of_the_combined_set_is_dropped_as_from_a_run(tmp_path):
    source = save_lookup_tagger(tmp_path, ["O", "FAC", "GPE"], {"r": "GPE", "b": "FAC"})
    tagger = ready_tagger(str(source))
    assert [spans(e) for e in tag_words(tagger, [["bridge", "rome"]])] == [[("PLACE", 1, 2)]]
    assert tagger.label_map.report() is None  # SLUE drops it, too


def test_a_tokenizer_that_truncates_and_pads_loses_no_word(text_sources, tmp_path):
    """As ``all-MiniLM-L6-v2`` has it, whose tokenizer.json truncates at 128."""
    source = shutil.copytree(text_sources["bert"], tmp_path / "cutting")
    settings = json.loads((source / "tokenizer.json").read_text())
    settings["truncation"] = {
        **{"max_length": 8, "strategy": "LongestFirst", "stride": 0},
        "direction": "Right",
    }
    settings["padding"] = {
        **{"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": None},
        **{"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
    }
    (source / "tokenizer.json").write_text(json.dumps(settings))
    cut = AutoTokenizer.from_pretrained(source).backend_tokenizer.encode("a b c d e f g h i j")
    assert cut.tokens == ["[CLS]", *"abcdef", "[SEP]"]
    tagger = pretrained_tagger(str(source), revision=None, tags=CONLL, max_tokens=512)
    words = [*"abcdefghij"] * 20
    encoded = tagger.encode(words)
    assert sorted(word for window, _ in encoded for word in window.owned) == list(range(200))
    read = {
        word: features["tokens"][features["firsts"][word - window.first]]
        for window, features in encoded
        for word in window.owned
    }
    vocabulary = tagger.tokenizer.get_vocab()
    assert [read[i] for i in range(200)] == [vocabulary[word] for word in words]


def test_an_encoder_that_tags_no_words_names_how_to_train_it(text_sources, tmp_path, lookup):
    with pytest.raises(ValueError, match=r"has no layer that tags words \(classifier.bias is"):
        ready_tagger(str(text_sources["bert"]))
    config = json.loads((lookup / "config.json").read_text())
    config["id2label"]["7"] = "B-ORG"
    (lookup / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"missing or of another shape\) and finds no entities; t"):
        ready_tagger(str(lookup))


def test_weights_without_a_place_are_noted_but_for_a_pooler(lookup):
    weights = load_file(lookup / "model.safetensors")
    weights["bert.pooler.dense.bias"] = torch.zeros(3)
    save_file(weights, lookup / "model.safetensors", metadata={"format": "pt"})
    notes = []
    ready_tagger(str(lookup), note=notes.append)
    assert notes == []
    weights["crf.transitions"] = torch.zeros(7, 7)
    save_file(weights, lookup / "model.safetensors", metadata={"format": "pt"})
    ready_tagger(str(lookup), note=notes.append)
    assert notes == [
        f"{lookup} has weights for which a token classifier has no place (1, first "
        "crf.transitions); it works without them, which may be worse than what its authors ran"
    ]
    weights["bert.encoder.layer.0.output.dense.bias"] = torch.zeros(3)  # its config has no layers
    save_file(weights, lookup / "model.safetensors", metadata={"format": "pt"})
    ready_tagger(str(lookup), note=notes.append)
    assert "has no place (2, first bert.encoder.layer.0.output.dense.bias)" in notes[1]


def test_weights_in_torchs_own_format_are_read_as_tensors_alone(lookup, capfd):
    weights = load_file(lookup / "model.safetensors")
    (lookup / "model.safetensors").unlink()
    torch.save(weights, lookup / "pytorch_model.bin")
    assert spans(tag_words(ready_tagger(str(lookup)), [["rome"]])[0]) == [("PLACE", 0, 1)]

    class Evil:
        def __reduce__(self):
            return print, ("it ran",)

    torch.save({**weights, "evil": Evil()}, lookup / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pickled weights are damaged or hold more than tensors"):
        ready_tagger(str(lookup))
    assert "it ran" not in capfd.readouterr().out


def test_code_beside_a_checkpoint_is_never_run(lookup, capfd):
    config = json.loads((lookup / "config.json").read_text())
    own = {"AutoConfig": "own.Own", "AutoModelForTokenClassification": "own.Own"}
    config |= {"model_type": "own", "auto_map": own}
    (lookup / "config.json").write_text(json.dumps(config))
    (lookup / "own.py").write_text("print('it ran')\nclass Own: pass\n")
    with pytest.raises(ValueError, match=r"\(own\) cannot be made a text tagger: it needs code of"):
        ready_tagger(str(lookup))
    assert "it ran" not in capfd.readouterr().out
