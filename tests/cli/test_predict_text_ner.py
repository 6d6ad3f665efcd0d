"""``slue-ner predict`` with text NER that was not trained here."""

from __future__ import annotations

import json
import sys

import pytest
from text_models import save_lookup_tagger, save_spacy_package

from slue_ner.core.records import write_predictions
from slue_ner.core.types import Prediction

CONLL = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]


@pytest.fixture
def lookup(tmp_path):
    """A token classifier that reads first letters."""
    first = {"r": "B-LOC", "y": "B-LOC", "a": "B-PER", "b": "B-MISC"}
    return save_lookup_tagger(tmp_path / "lookup", CONLL, first)


@pytest.fixture
def tag(predict):
    """``tag(source, "--label-map", file)``: how it ended, and labels with phrases."""

    def run(source, *more):
        ended, read = predict(source, *more)
        return ended, read and [[(e.label, e.phrase) for e in p.entities] for p in read]

    return run


ANA = [("PERSON", "ana"), ("PLACE", "rome")]
BO = [("PLACE", "york")]
DEV = [BO, ANA, BO, ANA]  # bo in york, ana in rome, ...


def test_a_token_classifier_reads_the_gold_text_and_says_what_it_called_things(tag, lookup):
    ended, found = tag(lookup)
    assert (ended.status, ended.err) == (0, "")
    assert found == DEV
    said = ended.out.replace("\n", "")
    assert (
        "lookup: reads PER as PERSON, LOC as PLACE; entities without a label are left out: 2 MISC "
        "(--label-map FILE changes it)"
    ) in " ".join(ended.out.split())
    assert said.count("left out") == 1 and "4 utterances, 6 entities" in said


def test_behind_a_recogniser_it_makes_a_cascade_and_a_label_map_names_its_types(
    tag, lookup, tmp_path
):
    heard = [Prediction(f"dev_{i:02}", "bo saw ana's rome", entities=None) for i in range(4)]
    write_predictions(tmp_path / "heard.jsonl", heard)
    (tmp_path / "map.json").write_text(json.dumps({"MISC": "NORP", "PER": None}))
    options = ("--text-ner", lookup, "--label-map", tmp_path / "map.json")
    ended, found = tag(tmp_path / "heard.jsonl", *options)
    assert (ended.status, ended.err) == (0, "")
    assert found == [[("NORP", "bo"), ("PLACE", "rome")]] * 4
    assert "left out" not in ended.out


def test_a_spacy_pipeline_takes_its_place_by_name(tag, tmp_path, monkeypatch):
    spacy = pytest.importorskip("spacy", reason="the [spacy] extra is not installed")
    nlp = spacy.blank("en")
    names = {"york": "GPE", "rome": "GPE", "ana": "PERSON"}
    patterns = [{"label": label, "pattern": name} for name, label in names.items()]
    nlp.add_pipe("entity_ruler").add_patterns(patterns)
    name = save_spacy_package(nlp, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    ended, found = tag(f"spacy:{name}")
    sys.modules.pop(name, None)
    assert (ended.status, ended.err) == (0, "")
    assert found == DEV and "reads" not in ended.out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--pipeline", "end_to_end", "--label-map", "m"), "--label-map is for text NER; leave it"),
        (("--label-map", "gone.yaml"), "gone.yaml"),
        (("--num-workers", "2"), "text NER reads no audio; leave"),
        (("--text-ner", "spacy:"), "spacy: "),
        (("--text-ner", "no/such"), "cannot get config.json of no/such"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tag, lookup, more, message):
    ended, found = tag(lookup, *more)
    assert (ended.status, found) == (1, None)
    assert message in ended.err and ended.err.count("\n") == 1
