from __future__ import annotations

import sys

import pytest
from text_models import save_spacy_package

from slue_ner.core.labels import RAW
from slue_ner.inference.tagging import tag_words
from slue_ner.models.taggers.spacy_tagger import SpacyTagger, spacy_tagger
from slue_ner.systems.text_taggers import say_types

PATTERNS = {
    "new york": "GPE",
    "york": "GPE",
    "ana": "PERSON",
    "bo": "PERSON",
    "eu": "ORG",
    "euro": "Currency",
}


@pytest.fixture(scope="module")
def spacy():
    return pytest.importorskip("spacy", reason="the [spacy] extra is not installed")


@pytest.fixture(scope="module")
def nlp(spacy):
    """A pipeline that knows six phrases."""
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns(
        [
            {"label": label, "pattern": [{"LOWER": word} for word in phrase.split()]}
            for phrase, label in PATTERNS.items()
        ]
    )
    return nlp


@pytest.fixture
def installed(nlp, tmp_path, monkeypatch):
    """Name of the pipeline as a package that can be imported."""
    name = save_spacy_package(nlp, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def spans(entities):
    return [(entity.label, *entity.words) for entity in entities]


def test_entities_are_ranges_of_our_words_which_are_never_cut(nlp):
    words = ["don't", "go", "to", "new", "york", "by", "o'clock", "bo", "said", "eu", "'s", "ana"]
    assert len(nlp(" ".join(words))) > len(words)  # spaCy's own tokenizer cuts some of them
    tagger = SpacyTagger(nlp, name="it", given={"Currency": None})
    (found,) = tag_words(tagger, [words], labels=RAW)
    assert spans(found) == [
        *(("GPE", 3, 5), ("PERSON", 7, 8), ("ORG", 9, 10), ("PERSON", 11, 12)),
    ]
    assert [e.phrase for e in found] == ["new york", "bo", "eu", "ana"]
    assert [e.score for e in found] == [None] * 4


def test_where_spacy_cuts_no_word_entities_are_those_of_its_own_loop(nlp):
    words = ["ana", "bo", "new", "york", "eu", "in", "met", "york", "new"]
    sentences = [words[i:] + words[:i] for i in range(len(words))]
    expected = []
    for sentence in sentences:
        doc = nlp(" ".join(sentence))
        assert [token.text for token in doc] == sentence
        expected.append([(e.label_, e.start, e.end) for e in doc.ents])
    tagger = SpacyTagger(nlp, name="it")
    found = tag_words(tagger, sentences, labels=RAW, batch_size=2)
    assert list(map(spans, found)) == expected
    assert spans(found[0])[:2] == [("PERSON", 0, 1), ("PERSON", 1, 2)]  # neighbours stay apart


def test_sentences_keep_their_places_and_those_without_words_have_no_entities(nlp):
    progress = []
    found = tag_words(
        SpacyTagger(nlp, name="it"),
        [[], ["bo"], [], ["met", "eu"], ["in"]],
        progress=lambda done, total: progress.append((done, total)),
    )
    assert list(map(spans, found)) == [[], [("PERSON", 0, 1)], [], [("ORG", 1, 2)], []]
    assert progress == [(3, 5), (4, 5), (5, 5)]


def test_types_without_a_label_are_counted_and_reported_once(nlp):
    tagger = SpacyTagger(nlp, name="it")
    notes = []
    say_types(tagger, notes.append)
    assert notes == []
    found = tag_words(tagger, [["euro", "york"], ["euro"]])
    assert list(map(spans, found)) == [[("PLACE", 1, 2)], []]
    say_types(tagger, notes.append)
    assert notes == [
        "it: entities without a label are left out: 2 Currency (--label-map FILE changes it)"
    ]
    given = SpacyTagger(nlp, name="it", given={"Currency": "MONEY"})
    assert [spans(e) for e in tag_words(given, [["euro"]])] == [[("QUANT", 0, 1)]]


def test_a_pipeline_that_finds_no_entities_is_refused(spacy):
    nlp = spacy.blank("en")
    with pytest.raises(ValueError, match=r"none of its components \(there are none\) writes doc"):
        SpacyTagger(nlp, name="it")
    nlp.add_pipe("sentencizer")
    with pytest.raises(ValueError, match=r"its components \(sentencizer\) writes doc.ents; give"):
        SpacyTagger(nlp, name="it")


def test_an_installed_package_is_loaded_by_its_name(installed):
    tagger = spacy_tagger(installed)
    assert tagger.name == "spacy:xx_six"
    assert [spans(e) for e in tag_words(tagger, [["new", "york"]])] == [[("PLACE", 0, 2)]]
    with pytest.raises(ValueError, match=r"m.yaml: spacy:xx_six has no type 'Currencies'; did you"):
        spacy_tagger(installed, given={"Currencies": "MONEY"}, where="m.yaml")


def test_a_folder_or_a_package_of_another_kind_is_not_loaded(nlp, installed, tmp_path):
    nlp.to_disk(tmp_path / "folder")
    for name in (str(tmp_path / "folder"), "xx_sixx", "json", "blank:en"):
        with pytest.raises(ValueError, match=r"is no installed pipeline package .* (did|known)"):
            spacy_tagger(name)


def test_a_package_that_does_not_load_is_one_sentence(installed, tmp_path):
    (tmp_path / installed / "xx_six-1.0/config.cfg").write_text("[nlp]\nlang = 'nowhere'\n")
    with pytest.raises(ValueError, match=r"^spacy:xx_six cannot be loaded: .*") as caught:
        spacy_tagger(installed)
    assert "\n" not in str(caught.value)


def test_without_spacy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(ValueError, match=r"^spacy:en_core_web_sm needs spaCy, which cannot be imp"):
        spacy_tagger("en_core_web_sm")
