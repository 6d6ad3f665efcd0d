from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from text_models import save_lookup_tagger

from slue_ner.cli.compose import compose_config
from slue_ner.core.records import read_manifest
from slue_ner.core.types import Prediction, Word
from slue_ner.inference.tagging import cascade, topline
from slue_ner.systems.experiment import run_experiment
from slue_ner.systems.text_taggers import is_ready_tagger, say_types, text_tagger

CONLL = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]


@pytest.fixture(scope="module")
def lookup(tmp_path_factory):
    """A token classifier with CoNLL's types that reads first letters."""
    folder = tmp_path_factory.mktemp("lookup")
    return save_lookup_tagger(folder, CONLL, {"r": "B-LOC", "a": "B-PER", "z": "B-MISC"})


@pytest.fixture(scope="module")
def run(tmp_path_factory, text_overrides):
    folder = tmp_path_factory.mktemp("run")
    values = compose_config([*text_overrides, "trainer.max_updates=1", "data.evaluate=[]"])
    run_experiment(values, folder, console=Console(file=io.StringIO()))
    return folder


def test_a_token_classifier_finds_entities_with_times_in_what_a_recogniser_wrote(lookup):
    words = (Word("", 0.0, 0.2), Word("rome's", 0.2, 0.5), Word("ana", 0.6, 0.9))
    tagger = text_tagger(lookup)
    (made,) = cascade([Prediction("one", "rome's ana", words=words)], tagger)
    assert made.text == "rome 's ana"
    assert [(e.label, e.phrase, e.start, e.end) for e in made.entities] == [
        *(("PLACE", "rome", 0.2, 0.5), ("PERSON", "ana", 0.6, 0.9)),
    ]


@pytest.mark.parametrize("name", ["map.yaml", "map.json"])
def test_a_label_map_is_read_from_yaml_or_json(lookup, tmp_path, name):
    path = tmp_path / name
    text = "# of CoNLL\nMISC: NORP\nPER: null\n"
    path.write_text(text if name == "map.yaml" else '{\n\t"MISC": "NORP", "PER": null}')
    tagger = text_tagger(str(lookup), label_map=path)
    (made,) = cascade([Prediction("one", "ana zulus rome")], tagger)
    assert [(e.label, e.phrase) for e in made.entities] == [("NORP", "zulus"), ("PLACE", "rome")]
    notes = []
    say_types(tagger, notes.append)
    assert notes == [
        f"{lookup}: reads LOC as PLACE, MISC as NORP (--label-map FILE changes it)",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MISX: NORP", r"map.yaml: .* has no type 'MISX'; did you mean 'MISC'\?"),
        ("MISC: NOR", r"map.yaml: MISC: unknown entity label 'NOR'; did you mean 'NORP'\?"),
        ("- MISC", r"map.yaml should hold a mapping, got list"),
        ("", r"map.yaml should hold a mapping, got NoneType"),
        ("NO: ORG", r"map.yaml: False: 'ORG' should be a type and its label, or null .*; quote wh"),
        ("MISC: [NORP]", r"map.yaml: 'MISC': \['NORP'\] should be a type and its label"),
        ("MISC: !!python/name:os.system ''", r"map.yaml is not YAML: could not determine a const"),
    ],
)
def test_a_label_map_that_cannot_be_used_is_one_sentence(lookup, tmp_path, text, message):
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        text_tagger(lookup, label_map=tmp_path / "map.yaml")
    with pytest.raises(OSError, match=r"gone.yaml"):
        text_tagger(lookup, label_map=tmp_path / "gone.yaml")


def test_a_run_is_a_tagger_with_labels_of_its_own(run, tmp_path, lookup):
    tagger = text_tagger(run)
    assert "B-GPE" in tagger.tags
    notes = []
    say_types(tagger, notes.append)
    assert notes == []
    with pytest.raises(ValueError, match=r"is a run and has SLUE's labels; leave --label-map out"):
        text_tagger(run, label_map=tmp_path / "map.yaml")


def test_a_source_of_another_kind_is_one_sentence(text_sources, tmp_path):
    with pytest.raises(ValueError, match=r"bert has no layer that tags words .* train one with"):
        text_tagger(text_sources["bert"])
    (tmp_path / "config.json").write_text('{"model_type": "hubert"}')
    with pytest.raises(ValueError, match=r"\(hubert\) cannot be made a text tagger: "):
        text_tagger(tmp_path)
    with pytest.raises(ValueError, match=r"runs9: no such run folder or checkpoint in"):
        text_tagger(tmp_path / "runs9")
    with pytest.raises(ValueError, match=r"cannot get config.json of no/such; download it"):
        text_tagger("no/such")


def test_a_token_classifier_is_known_by_its_config(lookup, text_sources, tmp_path):
    assert is_ready_tagger(lookup)
    assert not is_ready_tagger(text_sources["bert"])
    assert not is_ready_tagger(tmp_path)
    assert not is_ready_tagger(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"there is no run folder no/such, and as a checkpoint: c"):
        is_ready_tagger(Path("no/such"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert not is_ready_tagger(tmp_path)


def test_a_topline_of_a_ready_tagger_keeps_the_words_of_the_references(lookup, tiny_corpus):
    utterances = read_manifest(tiny_corpus / "dev.jsonl")
    made = topline(utterances, text_tagger(lookup))
    assert [prediction.text for prediction in made] == [u.text for u in utterances]
    found = [[(e.label, e.phrase) for e in prediction.entities] for prediction in made]
    assert found == [
        *([], [("PERSON", "ana"), ("PLACE", "rome")]),  # bo in york, ana in rome
        *([], [("PERSON", "ana"), ("PLACE", "rome")]),
    ]
