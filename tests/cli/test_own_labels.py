"""Types of one's own, from a YAML file through every command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from slue_ner.core.labels import COMBINED, LABEL_SETS, label_set_for
from slue_ner.core.own_labels import know, know_labels_beside, read_label_set
from slue_ner.core.records import read_manifest, read_predictions, write_predictions
from slue_ner.core.types import EntitySpan, Prediction, Utterance
from slue_ner.evaluation.score import score
from slue_ner.text.markup import read_tagged, write_tagged

MEDICAL = "name: medical\nlabels: [DRUG, DOSE, STAFF]\n"
OWN = {"PLACE": "DRUG", "GPE": "DRUG", "LOC": "DRUG", "PERSON": "STAFF"}


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    """Every test begins with SLUE's label sets alone, as every process does."""
    before = dict(LABEL_SETS)
    LABEL_SETS.clear()
    LABEL_SETS.update({name: before[name] for name in ("raw", "combined")})
    yield
    LABEL_SETS.clear()
    LABEL_SETS.update(before)


def forget() -> None:
    for name in [name for name in LABEL_SETS if name not in ("raw", "combined")]:
        del LABEL_SETS[name]


@pytest.fixture
def own(timed_corpus: Path, tmp_path: Path) -> Path:
    """Lines of one's own whose entities are drugs and doses."""
    lines = []
    for split in ("fine-tune", "tune", "dev"):
        for utterance in read_manifest(timed_corpus / f"{split}.jsonl"):
            entities = [
                {
                    "label": OWN.get(str(entity.label), "DOSE"),
                    "start_char": entity.start_char,
                    "end_char": entity.end_char,
                }
                for entity in utterance.entities
            ]
            lines.append(
                {
                    "id": utterance.id,
                    "audio": str(utterance.audio),
                    "text": utterance.text,
                    "split": split,
                    "entities": entities,
                    "words": [
                        {"text": w.text, "start": w.start, "end": w.end}
                        for w in utterance.words or ()
                    ]
                    or None,
                }
            )
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "medical.yaml").write_text(MEDICAL)
    return path


@pytest.fixture
def data(slue_ner, own: Path, tmp_path: Path) -> Path:
    given = ("--text-is-normalized", "--labels", str(tmp_path / "medical.yaml"))
    ended = slue_ner("prepare", "jsonl", str(own), str(tmp_path / "data"), *given)
    assert ended.status == 0, ended.err
    forget()
    return tmp_path / "data"


def test_manifests_bring_their_labels_along(data: Path) -> None:
    assert yaml.safe_load((data / "labels.yaml").read_text())["name"] == "medical"
    found = {e.label for u in read_manifest(data / "dev.jsonl") for e in u.entities}
    assert found and found <= {"DRUG", "DOSE", "STAFF"}
    assert label_set_for(found).name == "medical"


def test_without_the_file_the_labels_are_unknown(slue_ner, own: Path, tmp_path: Path) -> None:
    ended = slue_ner("prepare", "jsonl", str(own), str(tmp_path / "data"))
    assert ended.status == 1 and "unknown entity label 'STAFF'" in ended.err
    assert "labels.yaml beside the file" in ended.err
    (tmp_path / "labels.yaml").write_text(MEDICAL)
    assert slue_ner("prepare", "jsonl", str(own), str(tmp_path / "data")).status == 0


def test_a_tagger_learns_predicts_and_is_scored_in_them(
    slue_ner, data: Path, tiny_overrides: list[str], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rest = [o for o in tiny_overrides if not o.startswith("data.root")]
    train = ["train", *rest, f"data.root={data}", "name=mine"]
    ended = slue_ner(*train, "task.labels=combined")
    assert ended.status == 1 and "is not of the combined label set but of medical" in ended.err
    ended = slue_ner(*train, "task.labels=medical")
    assert ended.status == 0, ended.err
    run = tmp_path / "runs/mine"
    marks = json.loads((run / "vocabulary.json").read_text())["marks"]
    assert marks == {"!": "DRUG", "@": "DOSE", "#": "STAFF", "]": "end of an entity"}
    scores = json.loads((run / "metrics.json").read_text())["splits"]["dev"]
    assert scores["labels"] == "medical" and scores["ner"]["micro"]["gold"] == 8
    forget()
    found, dev = tmp_path / "found/dev.jsonl", str(data / "dev.jsonl")
    ended = slue_ner("predict", str(run), "--manifest", dev, "--output", str(found))
    assert ended.status == 0, ended.err
    forget()
    ended = slue_ner("score", "--references", dev, "--predictions", str(found))
    assert ended.status == 0 and "DRUG f1" in ended.out, ended.err
    ended = slue_ner("score", "--references", dev, "--predictions", str(found), "--labels", "raw")
    assert ended.status == 1 and "not of the raw label set but of medical" in ended.err
    assert slue_ner("show", str(found), "--references", dev).status == 0
    again = slue_ner("align", str(run), dev, str(tmp_path / "timed/dev.jsonl"))
    assert again.status == 0, again.err
    forget()
    assert read_manifest(tmp_path / "timed/dev.jsonl")


def test_an_utterance_without_entities_is_scored_in_what_was_found() -> None:
    know([("medical", ("DRUG", "DOSE"))])
    said = Utterance("a", "dev", None, None, 16_000, "take it")
    entity = EntitySpan("DRUG", "it", words=(1, 2))
    scores = score([said], [Prediction("a", "take it", entities=(entity,))])
    assert scores.labels == "medical" and scores.to_json()["ner"]["micro"]["pred"] == 1
    assert score([said], [Prediction("a", "take it")]).labels == "combined"


def test_entities_of_two_sets_do_not_go_into_one_file(tmp_path: Path) -> None:
    know([("medical", ("DRUG",))])
    entities = (EntitySpan("DRUG", "x", words=(0, 1)), EntitySpan("ORG", "y", words=(1, 2)))
    with pytest.raises(ValueError, match=r"p\.jsonl: no label set holds all of DRUG, ORG"):
        write_predictions(tmp_path / "p.jsonl", [Prediction("a", "x y", entities=entities)])


def test_a_label_is_of_one_set_alone(tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text("name: mine\nlabels: [DRUG, DATE]\n")
    with pytest.raises(ValueError, match=r"DATE is SLUE's, and .* otherwise, mine_DATE say"):
        read_label_set(path)
    know([("medical", ("DRUG",))])
    path.write_text("name: mine\nlabels: [DRUG]\n")
    with pytest.raises(ValueError, match=r"DRUG is the set medical's, and a label is of one set"):
        read_label_set(path)


def test_a_file_of_that_name_that_holds_something_else_is_no_harm(tmp_path: Path) -> None:
    (tmp_path / "labels.yaml").write_text("issues: [bug, feature]\n")
    know_labels_beside(tmp_path / "dev.jsonl")
    assert list(LABEL_SETS) == ["raw", "combined"]


def test_loader_processes_know_them(slue_ner, data, tiny_overrides, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    rest = [o for o in tiny_overrides if not o.startswith("data.root")]
    asked = [f"data.root={data}", "task=frames_bio", "task.labels=medical", "data.num_workers=1"]
    ended = slue_ner("train", *rest, *asked, "trainer.max_updates=1", "name=frames")
    assert ended.status == 0, ended.err


@pytest.mark.parametrize("scheme", ["bio", "per_label", "joint"])
def test_frame_heads_find_them(
    slue_ner, data: Path, tiny_overrides: list[str], tmp_path: Path, monkeypatch, scheme: str
) -> None:
    monkeypatch.chdir(tmp_path)
    rest = [o for o in tiny_overrides if not o.startswith("data.root")]
    asked = [f"data.root={data}", f"task=frames_{scheme}", "task.labels=medical", "name=frames"]
    ended = slue_ner("train", *rest, *asked, "task.positive_weight=9")
    assert ended.status == 0, ended.err
    forget()
    dev, found = str(data / "dev.jsonl"), str(tmp_path / "found/dev.jsonl")
    ended = slue_ner("predict", "runs/frames", "--manifest", dev, "--output", found)
    assert ended.status == 0, ended.err
    forget()
    ended = slue_ner("score", "--references", dev, "--predictions", found)
    assert ended.status == 0 and "nel frame f1, official" in ended.out, ended.err


def test_text_ner_and_language_models_speak_them(
    slue_ner, data: Path, text_overrides: list[str], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rest = [o for o in text_overrides if not o.startswith("data.root")]
    ended = slue_ner("train", *rest, f"data.root={data}", "name=text", "trainer.max_updates=60")
    assert ended.status == 0, ended.err
    assert "3 medical labels" in ended.out
    forget()
    dev, found = str(data / "dev.jsonl"), str(tmp_path / "found/dev.jsonl")
    ended = slue_ner("predict", "runs/text", "--manifest", dev, "--output", found)
    assert ended.status == 0, ended.err
    known = {e.label for p in read_predictions(Path(found)) for e in p.entities or ()}
    assert known <= {"DRUG", "DOSE", "STAFF"}
    forget()
    model = str(tmp_path / "tagged.arpa")
    asked = ["lm", "train", str(data / "fine-tune.jsonl"), "--order", "2", "--output", model]
    ended = slue_ner(*asked)
    assert ended.status == 1 and "but of medical" in ended.err
    forget()
    assert slue_ner(*asked, "--labels", "medical").status == 0
    assert "# labels: medical" in Path(model).read_text()


def test_a_tagged_text_reads_back(data: Path) -> None:
    for utterance in read_manifest(data / "fine-tune.jsonl"):
        own = LABEL_SETS["medical"]
        read = read_tagged(write_tagged(utterance, own), own)
        ordered = sorted(utterance.entities, key=lambda entity: entity.start_char)
        assert [(e.label, e.phrase) for e in read.entities] == [
            (e.label, e.phrase) for e in ordered
        ]


def test_predictions_carry_the_labels_wherever_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "labels.yaml").write_text(MEDICAL)
    know_labels_beside(tmp_path / "x.jsonl")
    out = tmp_path / "a/p.jsonl"
    out.parent.mkdir()
    write_predictions(
        out, [Prediction("a", "x", entities=(EntitySpan("DRUG", "x", words=(0, 1)),))]
    )
    forget()
    assert read_predictions(out)[0].entities[0].label == "DRUG"
    other = tmp_path / "c"
    other.mkdir()
    (other / "labels.yaml").write_text("name: other\nlabels: [THING]\n")
    know_labels_beside(out)
    write_predictions(other / "p.jsonl", read_predictions(out))
    forget()
    read_predictions(other / "p.jsonl")
    assert {"medical", "other"} < set(LABEL_SETS)  # a folder may hold files of both
    assert label_set_for(["GPE", "PLACE"]) is COMBINED
    with pytest.raises(ValueError, match="no label set holds all of DRUG, ORG"):
        label_set_for(["DRUG", "ORG"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: [", "labels.yaml is not YAML"),
        ("[DRUG]", "should hold a name and a list of labels, and nothing else"),
        ("name: a\nlabels: [A]\nmore: 1\n", "should hold a name and a list of labels"),
        ("name: combined\nlabels: [A]\n", "name is 'combined'; use letters"),
        ("name: a b\nlabels: [A]\n", "name is 'a b'"),
        ("name: a\nlabels: A\n", "labels should be a list of names, got 'A'"),
        ("name: a\nlabels: [A, yes]\n", "label True; use letters, digits, - and _, and quote yes"),
        ("name: a\nlabels: [A, B C]\n", "label 'B C'; use letters"),
        ("name: a\nlabels: [A, B, A]\n", "a label stands twice"),
        (f"name: a\nlabels: [{', '.join(f'L{i}' for i in range(99))}]\n", "99 labels, but at most"),
    ],
)
def test_a_file_that_holds_no_label_set_is_answered_in_one_sentence(tmp_path, content, message):
    path = tmp_path / "labels.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"labels\.yaml") as refused:
        read_label_set(path)
    assert message in str(refused.value) and list(LABEL_SETS) == ["raw", "combined"]


def test_two_sets_of_one_name_in_one_process_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: mine\nlabels: [A]\n")
    (tmp_path / "b.yaml").write_text("name: mine\nlabels: [B]\n")
    read_label_set(tmp_path / "a.yaml")
    with pytest.raises(ValueError, match=r"b\.yaml: the label set mine has other labels here"):
        read_label_set(tmp_path / "b.yaml")
