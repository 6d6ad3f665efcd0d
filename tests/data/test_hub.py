import io
import json
import logging
import re
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
import soundfile
from hub_rows import SCHEMA, SPANS
from huggingface_hub import errors

from slue_ner.core.records import read_manifest
from slue_ner.data.corpora.slue_hub import prepare_slue_hub

ID = "20131007-0900-PLENARY-19-en_20131007-21:26:04_{}"
TEXT = "the eu's budget in brussels. thank you"


def encoded(extension: str = "ogg") -> bytes:
    buffer = io.BytesIO()
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 1_600)
    soundfile.write(buffer, samples, 16_000, format=extension.upper())
    return buffer.getvalue()


def spans(*triples: tuple[str, int, int]) -> dict[str, list[Any]]:
    columns = zip(*triples, strict=True) if triples else ([], [], [])
    return dict(zip(("type", "start", "length"), map(list, columns), strict=True))


def row(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "index": number,
        "id": ID.format(number),
        "audio": {"bytes": encoded(), "path": f"{number}.ogg"},
        "speaker_id": str(number),
        "normalized_text": TEXT,
        "raw_text": "The EU's budget in Brussels. Thank you",
        "raw_ner": None,
        "normalized_ner": spans(("GPE", 19, 8), ("ORG", 4, 2)),
        "raw_combined_ner": None,
        "normalized_combined_ner": spans(("PLACE", 19, 8), ("ORG", 4, 2)),
        **fields,
    }


def write(path: Path, rows: list[dict[str, Any]], schema: pyarrow.Schema = SCHEMA) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), path)


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    folder = tmp_path / "hub" / "voxpopuli"
    write(folder / "train-00000-of-00002.parquet", [row(0), row(1)])
    write(folder / "train-00001-of-00002.parquet", [row(2)])
    write(folder / "validation-00000-of-00001.parquet", [row(3)])
    write(folder / "test-00000-of-00001.parquet", [row(4)])
    return folder


def test_parquet_becomes_audio_files_and_manifests(hub: Path, tmp_path: Path) -> None:
    prepared = prepare_slue_hub(hub.parent, tmp_path / "out")
    counts = {name: split.num_utterances for name, split in prepared.splits.items()}
    assert counts == {"fine-tune": 2, "tune": 1, "dev": 1, "test": 1}
    assert prepared.warnings == ()
    (dev,) = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert dev.id == ID.format(3)
    assert dev.text == "the eu 's budget in brussels thank you"
    assert dev.asr_text == "the eu's budget in brussels thank you"
    assert dev.raw_text == "The EU's budget in Brussels. Thank you"
    assert dev.speaker == "3"
    found = [(entity.label, entity.phrase) for entity in dev.entities]
    assert found == [("ORG", "eu"), ("GPE", "brussels")]
    assert dev.audio is not None
    assert dev.audio.name == "20131007-0900-PLENARY-19-en_20131007-21_26_04_3.ogg"
    assert dev.audio.parent.samefile(tmp_path / "out" / "audio" / "dev")
    assert dev.num_samples == 1_600


def test_the_folder_of_the_files_themselves_will_do(hub: Path, tmp_path: Path) -> None:
    assert "dev" in prepare_slue_hub(hub, tmp_path / "out").splits


def test_combined_labels_are_taken_where_raw_ones_are_unknown(tmp_path: Path) -> None:
    names = ("raw_ner", "normalized_ner")
    schema = pyarrow.schema([field for field in SCHEMA if field.name not in names])
    write(tmp_path / "validation-0.parquet", [row(0)], schema)
    prepare_slue_hub(tmp_path, tmp_path / "out")
    (dev,) = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert [entity.label for entity in dev.entities] == ["ORG", "PLACE"]


def test_a_list_of_structs_is_read_like_a_struct_of_lists(tmp_path: Path) -> None:
    item = pyarrow.struct({name: SPANS.field(name).type.value_type for name in spans()})
    position = SCHEMA.get_field_index("normalized_ner")
    schema = SCHEMA.set(position, pyarrow.field("normalized_ner", pyarrow.list_(item)))
    entity = {"type": "ORG", "start": 4, "length": 2}
    write(tmp_path / "validation-0.parquet", [row(0, normalized_ner=[entity])], schema)
    prepare_slue_hub(tmp_path, tmp_path / "out")
    (dev,) = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert [(e.label, e.phrase) for e in dev.entities] == [("ORG", "eu")]


def test_rows_without_entities_or_speaker_are_kept(tmp_path: Path) -> None:
    bare = {"normalized_combined_ner": None, "speaker_id": "nan"}
    rows = [row(0), row(1, normalized_ner=spans(), **bare), row(2, normalized_ner=None, **bare)]
    write(tmp_path / "validation-0.parquet", rows)
    prepare_slue_hub(tmp_path, tmp_path / "out")
    read = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert [len(utterance.entities) for utterance in read] == [2, 0, 0]
    assert [utterance.speaker for utterance in read] == ["0", None, None]


def test_a_blind_split_is_left_out_in_words(hub: Path, tmp_path: Path) -> None:
    blind = row(4, normalized_ner=None, normalized_combined_ner=None)
    write(hub / "test-00000-of-00001.parquet", [blind])
    prepared = prepare_slue_hub(hub, tmp_path / "out")
    assert "test" not in prepared.splits
    assert "split test is left out: not one of its rows has labels" in prepared.warnings[0]
    assert not (tmp_path / "out" / "audio" / "test").exists()


def test_a_missing_split_is_said(hub: Path, tmp_path: Path) -> None:
    (hub / "test-00000-of-00001.parquet").unlink()
    prepared = prepare_slue_hub(hub, tmp_path / "out")
    assert prepared.warnings == ("split test is left out: there is no test-*.parquet",)


@pytest.mark.parametrize("extension", ["ogg", "wav", "flac", "mp3"])
def test_audio_is_named_by_what_it_is(tmp_path: Path, extension: str) -> None:
    audio = {"bytes": encoded(extension), "path": "x.bin"}
    write(tmp_path / "validation-0.parquet", [row(0, audio=audio)])
    prepare_slue_hub(tmp_path, tmp_path / "out")
    (dev,) = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert dev.audio is not None and dev.audio.suffix == f".{extension}"


def test_ids_that_differ_only_in_refused_characters_get_files_of_their_own(tmp_path: Path) -> None:
    ids = ["a:1", "a_1", "A/1", "../1"]
    write(tmp_path / "validation-0.parquet", [row(0, id=id_) for id_ in ids])
    prepare_slue_hub(tmp_path, tmp_path / "out")
    read = read_manifest(tmp_path / "out" / "dev.jsonl")
    names = {utterance.audio.name.lower() for utterance in read if utterance.audio}
    assert len(names) == 4
    assert {path.name.lower() for path in (tmp_path / "out" / "audio" / "dev").iterdir()} == names


def test_progress_counts_rows_and_then_files(hub: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    prepare_slue_hub(hub, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 5) for done in (1, 2, 3, 4, 5)] * 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"normalized_text": None}, "should be strings"),
        ({"normalized_ner": spans(("GPE", 35, 9))}, "but the text has 38 characters"),
        ({"normalized_ner": spans(("GPE", 4, 4), ("ORG", 4, 2))}, "overlap"),
        ({"normalized_ner": {"type": ["GPE"], "start": [1, 2], "length": [3]}}, "1, 2, 1 items"),
        ({"normalized_ner": spans(("GPE", None, 4))}, "expected its type, start and length"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    write(tmp_path / "validation-0.parquet", [row(0), row(1, **fields)])
    with pytest.raises(ValueError, match=rf"validation-0\.parquet, row 2: id .*{message}"):
        prepare_slue_hub(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out" / "dataset.json").exists()


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        ({"bytes": None, "path": "x.ogg"}, r"empty file \(0 bytes\)"),
        (None, r"empty file \(0 bytes\)"),
        ({"bytes": b"<html>", "path": "x"}, "not an audio file of a known format"),
        ({"bytes": encoded("wav")[:500], "path": "x"}, "truncated"),
    ],
)
def test_a_row_whose_audio_is_none_is_named_and_the_others_go_on(
    tmp_path: Path, audio: dict[str, Any] | None, message: str
) -> None:
    write(tmp_path / "train-0.parquet", [row(0), row(1, audio=audio), row(2)])
    prepared = prepare_slue_hub(tmp_path, tmp_path / "out", tune_share=0)
    read = read_manifest(tmp_path / "out" / "fine-tune.jsonl")
    assert [u.id for u in read] == [ID.format(0), ID.format(2)]
    (note,) = (w for w in prepared.warnings if "cannot be used" in w)
    assert re.search(rf"{ID.format(1)}: .*{message}", note)


def test_audio_of_a_row_is_as_long_as_what_decodes(tmp_path: Path) -> None:
    flac = bytearray(encoded("flac"))
    flac[21:26] = bytes([flac[21] & 0xF0, 0, 0, 0, 0])  # 0 samples: not known
    audio = {"bytes": bytes(flac), "path": "x.flac"}
    write(tmp_path / "train-0.parquet", [row(0), row(1, audio=audio)])
    for listen in (True, False):
        prepare_slue_hub(tmp_path, tmp_path / "out", tune_share=0, listen=listen)
        first, second = read_manifest(tmp_path / "out" / "fine-tune.jsonl")
        assert second.num_samples == first.num_samples


def test_an_id_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "validation-0.parquet", [row(0), row(0)])
    with pytest.raises(ValueError, match="used in dev and again in dev"):
        prepare_slue_hub(tmp_path, tmp_path / "out")


def test_a_missing_column_gets_the_nearest_one(tmp_path: Path) -> None:
    schema = SCHEMA.set(1, pyarrow.field("idx", pyarrow.string()))
    write(tmp_path / "train-0.parquet", [], schema)
    with pytest.raises(ValueError, match="column 'id' is missing; did you mean 'idx'"):
        prepare_slue_hub(tmp_path, tmp_path / "out")


def test_a_broken_parquet_file_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("datasets"), "propagate", True)
    (tmp_path / "train-0.parquet").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ValueError, match=r"train-0\.parquet: not a readable parquet file"):
        prepare_slue_hub(tmp_path, tmp_path / "out")
    assert not caplog.records


def test_a_folder_without_parquet_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no voxpopuli/train-\*\.parquet"):
        prepare_slue_hub(tmp_path, tmp_path / "out")


def test_damaged_rows_are_named(tmp_path: Path) -> None:
    write(tmp_path / "train-0.parquet", [row(0), row(1)])
    content = bytearray((tmp_path / "train-0.parquet").read_bytes())
    content[4:400] = bytes(396)  # column data; the footer is whole
    (tmp_path / "train-0.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=r"train-0\.parquet: not a readable parquet file \(.+\)"):
        prepare_slue_hub(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("name", ["a[1]*?", ".hidden", "__pycache__", "train test", "x:y"])
def test_a_folder_of_any_name_is_read(hub: Path, tmp_path: Path, name: str) -> None:
    prepared = prepare_slue_hub(hub.rename(tmp_path / name), tmp_path / "out")
    assert list(prepared.splits) == ["fine-tune", "tune", "dev", "test"]


def test_files_that_datasets_wrote_are_read_without_decoding(tmp_path: Path) -> None:
    sounds = [{"bytes": content, "path": None} for content in (encoded(), b"<html>")]
    rows = datasets.Dataset.from_list([row(i, audio=sound) for i, sound in enumerate(sounds)])
    rows = rows.cast_column("audio", datasets.Audio(sampling_rate=16_000))
    with (tmp_path / "validation-0.parquet").open("wb") as file:
        rows.to_parquet(file)
    prepare_slue_hub(tmp_path, tmp_path / "out")
    first, second = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert [entity.phrase for entity in first.entities] == ["eu", "brussels"]
    assert first.audio is not None and first.audio.read_bytes() == sounds[0]["bytes"]
    assert second.audio is None


def test_part_of_a_split_is_not_taken_for_the_split(hub: Path, tmp_path: Path) -> None:
    (hub / "train-00000-of-00002.parquet").unlink()
    missing = r"1 of 2 files of train are missing \(train-00000-of-00002\.parquet\); fetch them"
    with pytest.raises(ValueError, match=missing):
        prepare_slue_hub(hub, tmp_path / "out")


def test_neither_folder_nor_id_is_refused_without_asking_the_hub(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder, nor a data set's id like 'asapp/slue'"):
        prepare_slue_hub(tmp_path / "gone", tmp_path / "out")


def test_a_folder_has_no_revision(hub: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="revision 'main' is for the hub"):
        prepare_slue_hub(hub, tmp_path / "out", revision="main")


def test_a_download_records_the_commit_it_is(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0f" * 20
    snapshot = hub.parent.rename(tmp_path / commit)
    asked: dict[str, Any] = {}

    def download(id_: str, **options: Any) -> str:
        asked.update(options, id=id_)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    prepare_slue_hub("asapp/slue", tmp_path / "out", revision="main")
    assert asked == {
        "id": "asapp/slue",
        "repo_type": "dataset",
        "revision": "main",
        "allow_patterns": "voxpopuli/*.parquet",
    }
    source = json.loads((tmp_path / "out" / "dataset.json").read_text())["source"]
    assert (source["kind"], source["id"], source["revision"]) == ("slue-hub", "asapp/slue", commit)


def test_a_copy_in_the_hubs_cache_is_read_offline(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0f" * 20
    cached = tmp_path / "cache" / "datasets--asapp--slue"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    snapshot = cached / "snapshots" / commit / "voxpopuli"
    snapshot.mkdir(parents=True)
    for path in hub.iterdir():
        (snapshot / path.name).symlink_to(path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    prepare_slue_hub("asapp/slue", tmp_path / "out")
    source = json.loads((tmp_path / "out" / "dataset.json").read_text())["source"]
    assert source["revision"] == commit


def test_a_loading_script_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slue.py").write_text("raise AssertionError")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(tmp_path))
    with pytest.raises(ValueError, match=r"no voxpopuli/\*\.parquet on the hub; .* loading script"):
        prepare_slue_hub("asapp/slue", tmp_path / "out")


def refused(kind: type[errors.HfHubHTTPError]) -> Exception:
    error = kind.__new__(kind)
    Exception.__init__(error, "403")
    return error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (refused(errors.GatedRepoError), "accept its conditions .* `hf auth login` .* HF_TOKEN"),
        (refused(errors.RepositoryNotFoundError), "`hf auth login` or set HF_TOKEN"),
        (refused(errors.RevisionNotFoundError), "has no revision None on the hub"),
        (
            errors.LocalEntryNotFoundError("x"),
            r"\(no network, or HF_HUB_OFFLINE .*hf download .* folder",
        ),
        (ConnectionError(), r"\(ConnectionError\): check the name and the network"),
    ],
)
def test_a_failed_download_is_one_sentence_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def download(id_: str, **options: Any) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(ValueError, match=f"^asapp/slue .*{message}") as caught:
        prepare_slue_hub("asapp/slue", tmp_path / "out")
    assert "\n" not in str(caught.value)
