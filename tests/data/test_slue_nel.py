"""SLUE-2's NEL data from parquet, alone and joined to NER."""

from __future__ import annotations

import io
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
import soundfile

from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.core.types import EntitySpan, Utterance
from slue_ner.data.corpora.slue_nel import prepare_slue_nel

TEXT = "may i go to rome in may."
WORDS = [("", 0.0, 0.1), ("may", 0.1, 0.2), ("i", 0.2, 0.25), ("go", 0.25, 0.3)]
WORDS += [("to", 0.3, 0.4), ("rome", 0.4, 0.6), ("in", 0.6, 0.7), ("may", 0.7, 0.9)]
ROME, MAY = ("PLACE", 12, 4, 0.4, 0.6), ("WHEN", 20, 3, 0.7, 0.9)
TIMES = {"start_sec": pyarrow.list_(pyarrow.float64()), "end_sec": pyarrow.list_(pyarrow.float64())}
SCHEMA = pyarrow.schema(
    {
        "id": pyarrow.string(),
        "audio": pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()}),
        "speaker_id": pyarrow.string(),
        "text": pyarrow.string(),
        "word_timestamps": pyarrow.struct({"word": pyarrow.list_(pyarrow.string()), **TIMES}),
        "ne_timestamps": pyarrow.struct(
            {
                "ne_label": pyarrow.list_(pyarrow.string()),
                "start_char_idx": pyarrow.list_(pyarrow.int32()),
                "char_offset": pyarrow.list_(pyarrow.int32()),
                **TIMES,
            }
        ),
    }
)


@lru_cache
def encoded() -> bytes:
    buffer = io.BytesIO()
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000)
    soundfile.write(buffer, samples, 16_000, format="FLAC")
    return buffer.getvalue()


def struct(name: str, items: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
    fields = [field.name for field in SCHEMA.field(name).type]
    return {field: [item[i] for item in items] for i, field in enumerate(fields)}


def row(id_: str, **fields: Any) -> dict[str, Any]:
    values = {"text": TEXT, "words": WORDS, "entities": [ROME, MAY], **fields}
    return {
        "id": id_,
        "audio": {"bytes": values.get("audio", encoded()), "path": None},
        "speaker_id": "7",
        "text": values["text"],
        "word_timestamps": struct("word_timestamps", values["words"]),
        "ne_timestamps": struct("ne_timestamps", values["entities"]),
    }


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    table = pyarrow.Table.from_pylist(rows, schema=SCHEMA)
    parquet.write_table(table, folder / f"{name}-00000-of-00001.parquet")
    return folder


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    folder = write(tmp_path / "hub" / "vp_nel", "validation", [row("a:1"), row("a:2")])
    write(folder, "test", [row("b:1")])
    return folder.parent


@pytest.fixture
def ner(tmp_path: Path, tiny_corpus: Path) -> Path:
    """NER manifests: raw labels, an entity of a type that NEL leaves out, another id."""
    audio = next((tiny_corpus / "dev").glob("*.wav"))
    length = soundfile.info(audio).frames
    text = "may i go to rome in may"
    entities = (
        EntitySpan("WORK_OF_ART", "may i go", 0, 8),
        EntitySpan("GPE", "rome", 12, 16),
        EntitySpan("DATE", "may", 20, 23),
    )
    for split, ids in (("dev", ("a:1", "a:3")), ("test", ("b:1",))):
        write_manifest(
            tmp_path / "ner" / f"{split}.jsonl",
            [
                Utterance(
                    i, split, audio, length, 16_000, text, "s", text, "RAW", None, None, entities
                )
                for i in ids
            ],
        )
    return tmp_path / "ner"


def found(utterance: Utterance) -> list[tuple[Any, ...]]:
    return [(e.label, e.phrase, e.start_char, e.words, e.start, e.end) for e in utterance.entities]


def test_the_data_stands_alone(hub: Path, tmp_path: Path) -> None:
    prepared = prepare_slue_nel(hub, tmp_path / "out")
    assert [counts.num_utterances for counts in prepared.splits.values()] == [2, 1]
    assert prepared.warnings == ()
    first = read_manifest(tmp_path / "out" / "dev.jsonl")[0]
    assert (first.text, first.raw_text, first.speaker) == ("may i go to rome in may", TEXT, "7")
    assert first.words is not None
    assert [(word.text, word.start, word.end) for word in first.words] == WORDS
    # the search goes on after "rome", so this "may" is the annotated one
    assert found(first) == [
        ("PLACE", "rome", 12, (5, 6), 0.4, 0.6),
        ("WHEN", "may", 20, (7, 8), 0.7, 0.9),
    ]
    assert first.audio is not None and first.audio.name == "a_1.flac"


def test_the_official_search_marks_the_first_of_a_repeated_word(tmp_path: Path) -> None:
    write(tmp_path / "hub", "validation", [row("a", entities=[MAY])])
    prepare_slue_nel(tmp_path / "hub", tmp_path / "out")
    (dev,) = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert found(dev) == [("WHEN", "may", 20, (1, 2), 0.7, 0.9)]
    prepare_slue_nel(tmp_path / "hub", tmp_path / "out", match="position")
    (dev,) = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert found(dev) == [("WHEN", "may", 20, (7, 8), 0.7, 0.9)]


def test_entities_listed_from_right_to_left_get_their_own_times(tmp_path: Path) -> None:
    write(tmp_path / "hub", "validation", [row("a", entities=[MAY, ROME])])
    prepared = prepare_slue_nel(tmp_path / "hub", tmp_path / "out")
    (dev,) = read_manifest(tmp_path / "out" / "dev.jsonl")
    # "may" is searched first and found at the start, "rome" after it
    assert found(dev) == [
        ("PLACE", "rome", 12, (5, 6), 0.4, 0.6),
        ("WHEN", "may", 20, (1, 2), 0.7, 0.9),
    ]
    assert prepared.warnings == ("split test is left out: it is not there",)


def test_joined_utterances_have_ner_labels_and_nel_times(
    hub: Path, ner: Path, tmp_path: Path
) -> None:
    prepared = prepare_slue_nel(hub, tmp_path / "out", ner=ner)
    (dev,) = read_manifest(tmp_path / "out" / "dev.jsonl")
    (original, _) = read_manifest(ner / "dev.jsonl")
    assert found(dev) == [
        ("WORK_OF_ART", "may i go", 0, None, None, None),
        ("GPE", "rome", 12, (5, 6), 0.4, 0.6),
        ("DATE", "may", 20, (7, 8), 0.7, 0.9),
    ]
    assert (dev.id, dev.speaker, dev.raw_text) == ("a:1", "s", "RAW")
    assert dev.audio is not None and original.audio is not None
    assert dev.audio.samefile(original.audio)
    assert dev.words is not None and len(dev.words) == 8
    assert not (tmp_path / "out" / "audio").exists()
    assert prepared.warnings == (
        "1 utterances of dev are in NEL alone and left out: a:2",
        "1 utterances of dev are in NER alone and left out: a:3",
        "2 entities are in NER alone and have no times",
    )


def test_an_entity_that_ner_has_otherwise_is_taken_from_nel(ner: Path, tmp_path: Path) -> None:
    wider = ("PLACE", 9, 7, 0.3, 0.6)  # "to rome"
    write(tmp_path / "hub", "validation", [row("a:1", entities=[wider])])
    prepared = prepare_slue_nel(tmp_path / "hub", tmp_path / "out", ner=ner)
    (dev,) = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert [(e.label, e.phrase, e.start) for e in dev.entities] == [
        ("WORK_OF_ART", "may i go", None),
        ("PLACE", "to rome", 0.3),
        ("DATE", "may", None),
    ]
    assert any("at that place, they are taken from NEL: a:1" in note for note in prepared.warnings)


def test_another_text_is_taken_from_nel(ner: Path, tmp_path: Path) -> None:
    write(tmp_path / "hub", "validation", [row("a:1", text="may I go to rome in may, sir")])
    prepared = prepare_slue_nel(tmp_path / "hub", tmp_path / "out", ner=ner)
    (dev,) = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert (dev.text, dev.speaker) == ("may I go to rome in may sir", "s")
    assert [entity.label for entity in dev.entities] == ["PLACE", "WHEN"]
    assert "1 texts differ from NER's, NEL's are taken: a:1" in prepared.warnings


def test_nothing_in_common_is_an_error(ner: Path, tmp_path: Path) -> None:
    write(tmp_path / "hub", "validation", [row("other")])
    with pytest.raises(ValueError, match="no id of the NEL data is in the NER manifests"):
        prepare_slue_nel(tmp_path / "hub", tmp_path / "out", ner=ner)


def test_a_phrase_that_is_not_found_is_said_and_has_its_position(tmp_path: Path) -> None:
    words = [
        (("to rome" if word == "rome" else word), a, b) for word, a, b in WORDS if word != "to"
    ]
    write(tmp_path / "hub", "validation", [row("a", words=words)])
    prepared = prepare_slue_nel(tmp_path / "hub", tmp_path / "out")
    (dev,) = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert [entity.words for entity in dev.entities] == [(4, 5), (6, 7)]
    assert prepared.warnings[0] == (
        "1 utterances of dev have an entity that the official search, which would end there, "
        "does not find; from it on the words at the annotated positions are taken: a 'rome'"
    )


def test_a_phrase_without_any_words_is_said_and_keeps_its_times(tmp_path: Path) -> None:
    words = [(("<unk>" if word == "rome" else word), a, b) for word, a, b in WORDS]
    write(tmp_path / "hub", "validation", [row("a", words=words), row("b", words=[])])
    prepared = prepare_slue_nel(tmp_path / "hub", tmp_path / "out")
    first, second = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert found(first)[0] == ("PLACE", "rome", 12, None, 0.4, 0.6)
    assert second.words is None and found(second)[0][3:] == (None, 0.4, 0.6)
    assert prepared.warnings[1:3] == (
        "1 entities of dev have no words, because the aligned words are not the transcript's: "
        "a 'rome'",
        "1 utterances of dev have no word times: b",
    )


def test_a_blind_split_is_left_out_in_words(hub: Path, ner: Path, tmp_path: Path) -> None:
    write(hub / "vp_nel", "test", [row("b:1", entities=[])])
    prepared = prepare_slue_nel(hub, tmp_path / "out", ner=ner)
    assert list(prepared.splits) == ["dev"]
    assert "split test is left out: not one of its rows has entities (blind)" in prepared.warnings


def test_a_row_without_audio_keeps_its_times_and_is_named(tmp_path: Path) -> None:
    write(tmp_path / "hub", "validation", [row("a"), row("b", audio=b"<html>")])
    prepared = prepare_slue_nel(tmp_path / "hub", tmp_path / "out")
    first, second = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert first.audio is not None and second.audio is None
    assert second.words == first.words and second.entities == first.entities
    assert any("b: " in w and "not an audio file" in w for w in prepared.warnings)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": None}, "id and text should be strings"),
        (
            {"entities": [("PLACE", 12, 4, None, None)]},
            "an entity holds .* expected ne_label, start",
        ),
        ({"entities": [("PLACE", None, 4, 0.1, 0.2)]}, "an entity holds"),
        ({"words": [("may", None, 0.2)]}, "a word holds .* expected word, start_sec, end_sec"),
        ({"words": [("may", 0.3, 0.2)]}, "TimeSpan needs 0 <= start <= end"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    write(tmp_path / "hub", "validation", [row("a"), row("b", **fields)])
    with pytest.raises(ValueError, match=rf"validation-.*\.parquet, row 2: id b: .*{message}"):
        prepare_slue_nel(tmp_path / "hub", tmp_path / "out")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"entities": [("CITY", 12, 4, 0.4, 0.6)]}, "utterance b: .*CITY"),
        ({"entities": [("PLACE", 12, 40, 0.4, 0.6)]}, "utterance b: .*but the text has 24"),
        ({"words": [("may", 0.5, 5.0)]}, "utterance b: .*the audio lasts 1.00s"),
    ],
)
def test_a_bad_utterance_is_named(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    write(tmp_path / "hub", "validation", [row("a"), row("b", **fields)])
    with pytest.raises(ValueError, match=message):
        prepare_slue_nel(tmp_path / "hub", tmp_path / "out")


def test_bad_arguments_leave_an_older_data_set_alone(hub: Path, ner: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare_slue_nel(hub, out)
    with pytest.raises(ValueError, match="holds the NER manifests; choose another folder"):
        prepare_slue_nel(hub, ner, ner=ner)
    with pytest.raises(ValueError, match=r"hub: no dev\.jsonl or test\.jsonl"):
        prepare_slue_nel(hub, out, ner=hub)
    with pytest.raises(ValueError, match="id like 'asapp/slue-phase-2'"):
        prepare_slue_nel(tmp_path / "gone", out)
    with pytest.raises(ValueError, match="neither a zip file nor a folder with vp_nel parquet"):
        prepare_slue_nel(tmp_path / "ner", out)
    with pytest.raises(ValueError, match="revision 'main' is for the hub"):
        prepare_slue_nel(hub, out, revision="main")
    assert (out / "dataset.json").is_file()


def test_a_download_fetches_one_config_alone(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def download(id_: str, **options: Any) -> str:
        asked.update(options, id=id_)
        return str(hub)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    prepare_slue_nel("asapp/slue-phase-2", tmp_path / "out")
    assert (asked["id"], asked["allow_patterns"]) == ("asapp/slue-phase-2", "vp_nel/*.parquet")
    source = json.loads((tmp_path / "out" / "dataset.json").read_text())["source"]
    assert (source["kind"], source["id"]) == ("slue-nel", "asapp/slue-phase-2")
