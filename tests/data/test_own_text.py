"""How the texts of own data are read: canonical, in small letters by word, cut at borders alone."""

from pathlib import Path
from typing import Any

import pytest

from slue_ner.core.canonical import Changes
from slue_ner.core.types import Utterance, Word
from slue_ner.data.corpora.jsonl import TextRules, own_utterance
from slue_ner.data.corpora.labelled_text import read_labelled_text
from slue_ner.data.corpora.word_fit import fit_words


def read(text: str, *entities: dict[str, Any], **rules: bool) -> Utterance:
    record = {"id": "a", "audio": "a.wav", "text": text, "entities": list(entities)}
    return own_utterance(record, folder=Path("x"), rules=TextRules(**rules))


def test_a_phrase_and_a_text_may_differ_in_apostrophes_and_accents() -> None:
    for text, phrase in (("mr o\u2019brien", "o'brien"), ("mr o'brien", "o\u2019brien")):
        assert read(text, {"label": "PERSON", "phrase": phrase}).entities[0].phrase == "o 'brien"
    found = read("jose\u0301 spoke", {"label": "PERSON", "phrase": "jos\u00e9"})
    assert found.entities[0].phrase == "jos\u00e9" and found.raw_text == "jose\u0301 spoke"


def test_positions_of_the_file_are_moved_to_the_text_that_is_read() -> None:
    text = "\ufeffjose\u0301 in new\u00a0york it\u2019s"
    entity = {"label": "GPE", "start_char": 10, "end_char": 18, "phrase": "new york"}
    found = read(text, entity)
    assert found.text == "jos\u00e9 in new york it 's"
    assert [(e.phrase, e.start_char, e.end_char) for e in found.entities] == [("new york", 8, 16)]


@pytest.mark.parametrize(
    ("text", "phrase", "expected"),
    [
        ("\u039f\u0394\u039f\u03a3 A", "\u039f\u0394\u039f\u03a3", "\u03bf\u03b4\u03bf\u03c2 a"),
        ("\u0130zmir IN May", "\u0130zmir", "izmir in may"),
        ("I\u0307zmir IN May", "izmir", "izmir in may"),
    ],
)
def test_capitals_are_made_small_by_word(text: str, phrase: str, expected: str) -> None:
    found = read(text, {"label": "GPE", "phrase": phrase}, lower_case=True)
    assert found.text == expected
    assert found.entities[0].phrase == expected.split()[0]


def test_an_entity_inside_a_word_is_refused_with_the_word() -> None:
    with pytest.raises(ValueError, match="would cut the word 'romania' in two"):
        read("in romania", {"label": "GPE", "start_char": 3, "end_char": 7})
    with pytest.raises(ValueError, match="a script without spaces"):
        read("\u6211\u5728\u5317\u4eac", {"label": "GPE", "start_char": 2, "end_char": 4})


def test_a_phrase_inside_a_longer_word_is_refused_with_a_way_out_that_works() -> None:
    for text, phrase in (("in romania", "roma"), ("\u6211\u5728\u5317\u4eac", "\u5317\u4eac")):
        with pytest.raises(ValueError, match=r"only inside a longer word; .* write spaces between"):
            read(text, {"label": "GPE", "phrase": phrase})


def test_text_in_the_ner_form_has_entities_of_whole_words() -> None:
    with pytest.raises(ValueError, match="does not cover whole words"):
        read("the eu-wide", {"label": "ORG", "start_char": 4, "end_char": 6}, normalized=True)


def test_labelled_text_is_one_object_a_line_whatever_the_texts_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\ufeff{"id": "a", "text": "we met\u2028in rome", "entities": []}\n', "utf-8")
    notes: list[str] = []
    (found,) = read_labelled_text([path], note=notes.append)["fine-tune"]
    assert found.text == "we met in rome"
    assert notes[0].startswith("a.jsonl: 1 text was brought to canonical form (white space in 1)")


def test_aligned_words_are_compared_in_canonical_form() -> None:
    words = [Word("Jose\u0301", 0, 1), Word("\u200b", 1, 2), Word("EU\u2019s", 2, 3)]
    fitted = fit_words("jos\u00e9 eu 's", words)
    assert [word.text for word in fitted] == ["jos\u00e9", "", "eu", "'s"]


def test_changes_are_counted_by_the_reader() -> None:
    changes = Changes()
    record = {"id": "a", "audio": "a.wav", "text": "it\u2019s", "entities": []}
    own_utterance(record, folder=Path("x"), rules=TextRules(), changes=changes)
    assert changes.num_changed == 1
