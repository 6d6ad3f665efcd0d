"""SLUE-2's NEL data from the official zip, or the folder it unpacks to."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.core.types import Utterance
from slue_ner.data.corpora.slue_nel import prepare_slue_nel

ID = "20131007-0900-PLENARY-19-en_20131007-21:26:04_7"
ENTITIES = "[['PLACE', 3, 4, 0.2, 0.5]]"
GRID = """File type = "ooTextFile"
Object class = "TextGrid"
0 0.5 <exists> 2
"IntervalTier" "words" 0 0.5 3
0 0.1 "" 0.1 0.2 "in" 0.2 0.5 "rome"
"IntervalTier" "phones" 0 0.5 0
"""


def write_tsv(path: Path, entities: str = ENTITIES, **columns: str) -> None:
    fields = {
        "id": ID,
        "split": "dev",
        "speaker_id": "None",
        "text": "in rome.",
        "ne_timestamps": entities,
        **columns,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\t".join(fields) + "\n" + "\t".join(fields.values()) + "\n")


@pytest.fixture
def official(tmp_path: Path) -> Path:
    folder = tmp_path / "slue-vp_nel"
    write_tsv(folder / "slue-vp_nel_dev.tsv")
    (folder / "slue-vp_nel_test_blind.tsv").write_text("id\tsplit\ttext\nx\ttest\tin rome\n")
    (folder / "textgrids" / "dev").mkdir(parents=True)
    (folder / "textgrids" / "dev" / f"{ID}.TextGrid").write_text(GRID)
    (folder / "audio" / "dev").mkdir(parents=True)
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000)
    soundfile.write(folder / "audio" / "dev" / f"{ID}.ogg", samples, 16_000)
    return folder


def packed(folder: Path) -> Path:
    path = folder.parent / "slue-vp_nel.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
        archive.writestr("slue-vp_nel/setup.py", "raise SystemExit")
    return path


@pytest.mark.parametrize("zipped", [False, True])
def test_the_official_files_become_a_manifest(official: Path, tmp_path: Path, zipped: bool) -> None:
    out = tmp_path / "out"
    prepared = prepare_slue_nel(packed(official) if zipped else official, out)
    (dev,) = read_manifest(out / "dev.jsonl")
    assert (dev.id, dev.text, dev.raw_text, dev.speaker) == (ID, "in rome", "in rome.", None)
    assert dev.words is not None and [word.text for word in dev.words] == ["", "in", "rome"]
    (entity,) = dev.entities
    assert (entity.label, entity.words, entity.start, entity.end) == ("PLACE", (2, 3), 0.2, 0.5)
    assert dev.audio is not None and dev.audio.is_file()
    assert dev.audio.resolve().is_relative_to(out if zipped else official)
    assert prepared.warnings == ("split test is left out: it is not there",)
    assert not list(tmp_path.glob("out/**/setup.py"))


@pytest.mark.parametrize(
    "entities",
    [
        ENTITIES,
        "[{'ne_label': 'PLACE', 'start_char_idx': 3, 'char_offset': 4, 'start_sec': 0.2, "
        "'end_sec': 0.5}]",
    ],
)
def test_other_names_of_columns_and_splits_are_known(
    official: Path, tmp_path: Path, entities: str
) -> None:
    tsv = official / "slue-vp_nel_dev.tsv"
    tsv.write_text(f"id\tnormalized_text\tnormalized_nel\n{ID}\tin rome.\t{entities}\n")
    prepare_slue_nel(official, tmp_path / "out")
    (dev,) = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert [(e.phrase, e.words) for e in dev.entities] == [("rome", (2, 3))]


def test_joined_to_ner_no_audio_is_needed_or_unpacked(
    official: Path, tmp_path: Path, tiny_corpus: Path
) -> None:
    audio = next((tiny_corpus / "dev").glob("*.wav"))
    length = soundfile.info(audio).frames
    utterance = Utterance(ID, "dev", audio, length, 16_000, "in rome", "7")
    write_manifest(tmp_path / "ner" / "dev.jsonl", [utterance])
    prepare_slue_nel(packed(official), tmp_path / "out", ner=tmp_path / "ner")
    (dev,) = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert dev.audio is not None and dev.audio.samefile(audio)
    assert [(e.label, e.start) for e in dev.entities] == [("PLACE", 0.2)]
    assert not list(tmp_path.glob("out/**/*.ogg"))


def test_what_macos_adds_to_a_zip_is_not_read(official: Path, tmp_path: Path) -> None:
    path = packed(official)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/slue-vp_nel/._slue-vp_nel_dev.tsv", b"\x00\x05\x16\x07\xff\xfe")
    prepare_slue_nel(path, tmp_path / "out")
    assert [u.id for u in read_manifest(tmp_path / "out" / "dev.jsonl")] == [ID]


def test_files_of_another_zip_unpacked_before_play_no_role(official: Path, tmp_path: Path) -> None:
    more = official / "more_dev.tsv"
    write_tsv(more, id="more")
    shutil.copy(official / "audio" / "dev" / f"{ID}.ogg", official / "more.ogg")
    for ids in ({ID, "more"}, {ID}):
        prepare_slue_nel(packed(official), tmp_path / "out")
        assert {u.id for u in read_manifest(tmp_path / "out" / "dev.jsonl")} == ids
        more.unlink(missing_ok=True)


@pytest.mark.parametrize("name", ["../escaped.tsv", "/escaped.tsv", "a/../../escaped.tsv"])
def test_nothing_is_unpacked_outside_of_the_target(tmp_path: Path, name: str) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "id\tne_timestamps\n")
    with pytest.raises(ValueError, match="lies outside of the archive"):
        prepare_slue_nel(path, tmp_path / "out")
    assert not list(tmp_path.rglob("escaped.tsv")) and not Path("/escaped.tsv").exists()


@pytest.mark.parametrize(
    ("entities", "columns", "message"),
    [
        ("[['PLACE', 3]]", {}, r":2: id .*: an entity holds \['PLACE', 3\]; expected ne_label"),
        ("[('PLACE'", {}, r":2: id .* is not a Python literal"),
        ("7", {}, r":2: id .*: entities should be a list or None, got '7'"),
        (ENTITIES, {"split": "train"}, r":2: id .*: split 'train' is none of dev"),
        (ENTITIES, {"id": "other"}, r":2: id other: there is no audio file of this name"),
    ],
)
def test_a_bad_row_is_named(
    official: Path, tmp_path: Path, entities: str, columns: dict[str, str], message: str
) -> None:
    write_tsv(official / "slue-vp_nel_dev.tsv", entities, **columns)
    with pytest.raises(ValueError, match=rf"slue-vp_nel_dev\.tsv{message}"):
        prepare_slue_nel(official, tmp_path / "out")


def test_a_broken_zip_and_a_folder_without_the_columns_are_refused(
    official: Path, tmp_path: Path
) -> None:
    path = packed(official)
    path.write_bytes(path.read_bytes().replace(b"PLACE", b"PL\0CE"))  # the checksum tells
    with pytest.raises(ValueError, match=r"slue-vp_nel\.zip: cannot be unpacked"):
        prepare_slue_nel(path, tmp_path / "out")
    path.write_bytes(b"no zip")
    with pytest.raises(ValueError, match="neither a zip file nor a folder"):
        prepare_slue_nel(path, tmp_path / "out")
    (official / "slue-vp_nel_dev.tsv").unlink()
    with pytest.raises(ValueError, match="no TSV file with the columns id, text or norm"):
        prepare_slue_nel(official, tmp_path / "out")


def test_two_ids_never_share_a_file(official: Path, tmp_path: Path) -> None:
    plain = ID.replace(":", "_")
    tsv = official / "slue-vp_nel_dev.tsv"
    header, line = tsv.read_text().splitlines()
    tsv.write_text("\n".join([header, line, line.replace(ID, plain)]) + "\n")
    audio = official / "audio" / "dev"
    (audio / f"{ID}.ogg").rename(audio / f"{plain}.ogg")
    with pytest.raises(ValueError, match=rf"id {plain}: its audio file .* is that of {ID}"):
        prepare_slue_nel(official, tmp_path / "out")


def test_a_bad_row_leaves_the_data_set_that_was_there(official: Path, tmp_path: Path) -> None:
    prepare_slue_nel(official, tmp_path / "out")
    before = (tmp_path / "out/dev.jsonl").read_bytes()
    write_tsv(official / "slue-vp_nel_dev.tsv", "[['PLACE']]")
    with pytest.raises(ValueError, match=ID):
        prepare_slue_nel(official, tmp_path / "out")
    assert (tmp_path / "out/dev.jsonl").read_bytes() == before
    assert (tmp_path / "out/dataset.json").is_file()
