from __future__ import annotations

import json

import pytest

from slue_ner.core.labels import COMBINED, RAW
from slue_ner.text.vocabulary import BLANK, UNKNOWN, Vocabulary


def test_blank_and_unknown_come_first_and_letters_by_frequency():
    vocabulary = Vocabulary.build(["bb a", "b c"], None)
    assert vocabulary.symbols == (BLANK, UNKNOWN, "|", "b", "a", "c")


def test_a_tagged_vocabulary_holds_every_mark_even_those_training_lacks():
    vocabulary = Vocabulary.build(["a"], COMBINED)
    assert set(COMBINED.symbols.values()) | {"]"} <= set(vocabulary.symbols)


def test_a_character_never_seen_in_training_is_unknown():
    vocabulary = Vocabulary.build(["ab"], None)
    assert vocabulary.decode(vocabulary.encode(["a", "z"])) == ["a", UNKNOWN]


@pytest.mark.parametrize("labels", [None, RAW, COMBINED])
def test_symbols_encode_and_decode_to_themselves(labels):
    vocabulary = Vocabulary.build(["hello world's"], labels)
    symbols = list(vocabulary.symbols)
    assert vocabulary.decode(vocabulary.encode(symbols)) == symbols


def test_doubled_letters_and_delimiters_are_never_collapsed_by_the_vocabulary():
    # transformers 5 drops "|" and collapses doubles here
    vocabulary = Vocabulary.build(["hello"], None)
    symbols = list("hello|world|".replace("w", "h").replace("r", "e").replace("d", "o"))
    assert vocabulary.decode(vocabulary.encode(symbols)) == symbols


def test_the_file_names_its_label_set_and_reads_back(tmp_path):
    vocabulary = Vocabulary.build(["abc"], RAW)
    vocabulary.save(tmp_path / "v.json")
    assert json.loads((tmp_path / "v.json").read_text())["labels"] == "raw"
    loaded = Vocabulary.load(tmp_path / "v.json")
    assert loaded == vocabulary
    assert loaded.label_set is RAW


def test_a_file_that_is_no_vocabulary_is_named(tmp_path):
    (tmp_path / "v.json").write_text('{"symbols": ["a"], "labels": null}')
    with pytest.raises(ValueError, match=r"v\.json is not a vocabulary file"):
        Vocabulary.load(tmp_path / "v.json")
    with pytest.raises(ValueError, match=r"no\.json: no such file; runs with a CTC head have one"):
        Vocabulary.load(tmp_path / "no.json")


def test_a_vocabulary_without_its_marks_is_refused():
    with pytest.raises(ValueError, match="lacks the combined entity marks"):
        Vocabulary((BLANK, UNKNOWN, "|", "a"), "combined")
