import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from slue_ner.core.records import read_manifest
from slue_ner.data.corpora.slue import prepare_slue_voxpopuli
from slue_ner.data.corpora.slue_tsv import COLUMNS
from slue_ner.data.loading.audio import AudioError

SO762 = Path(__file__).resolve().parents[3] / "shared" / "speech" / "so762"
TEXT = "we heard the eu's budget in brussels. thank you"
ID = "20131007-0900-PLENARY-19-en_20131007-21:26:04_{}"

Row = dict[str, str]


def row(number: int, split: str = "fine-tune", **fields: str) -> Row:
    return {
        "id": ID.format(number),
        "raw_text": "We heard the EU's budget in Brussels. Thank you",
        "normalized_text": TEXT,
        "speaker_id": str(1000 + number),
        "split": split,
        "raw_ner": "None",
        "normalized_ner": "[['GPE', 28, 8], ['ORG', 13, 2]]",
        **fields,
    }


def write_tsv(path: Path, rows: list[Row], columns: tuple[str, ...] = COLUMNS) -> Path:
    lines = [columns, *([row.get(name, "") for name in columns] for row in rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(line) + "\n" for line in lines))
    return path


def write_audio(folder: Path, rows: list[Row], num_samples: int = 1_600) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, num_samples)
    for item in rows:
        soundfile.write(folder / f"{item['id']}.ogg", samples, 16_000)


@pytest.fixture
def official(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "slue-voxpopuli"
    for split, numbers in (("fine-tune", range(4)), ("dev", range(4, 6))):
        rows = [row(number, split) for number in numbers]
        write_tsv(folder / f"slue-voxpopuli_{split}.tsv", rows)
        write_audio(folder / split, rows)
    return folder


def prepare_one(folder: Path, out: Path, **fields: str) -> None:
    rows = [row(0), row(1, **fields)]
    write_tsv(folder / "fine-tune.tsv", rows)
    write_audio(folder / "audio" / "fine-tune", rows)
    prepare_slue_voxpopuli(folder, out)


def test_the_official_folder_becomes_manifests(official: Path, tmp_path: Path) -> None:
    prepared = prepare_slue_voxpopuli(official, tmp_path / "out", tune_share=0.25)
    counts = {name: split.num_utterances for name, split in prepared.splits.items()}
    assert counts == {"fine-tune": 3, "tune": 1, "dev": 2}
    first = read_manifest(tmp_path / "out" / "dev.jsonl")[0]
    assert first.id == ID.format(4)
    assert first.speaker == "1004"
    assert first.text == "we heard the eu 's budget in brussels thank you"
    assert first.asr_text == "we heard the eu's budget in brussels thank you"
    assert first.raw_text == "We heard the EU's budget in Brussels. Thank you"
    spans = [(e.label, e.phrase, e.start_char, e.end_char) for e in first.entities]
    assert spans == [("ORG", "eu", 13, 15), ("GPE", "brussels", 29, 37)]
    assert first.num_samples == 1_600
    assert first.audio is not None and first.audio.samefile(official / "dev" / f"{first.id}.ogg")


def test_the_parent_folder_and_the_folder_itself_give_the_same(
    official: Path, tmp_path: Path
) -> None:
    first = prepare_slue_voxpopuli(official, tmp_path / "out")
    second = prepare_slue_voxpopuli(official.parent, tmp_path / "out")
    assert first == second


def test_the_later_unblinded_layout_is_read(tmp_path: Path) -> None:
    for split in ("fine-tune", "dev", "test"):
        rows = [row(number, split, id=f"{split}-{number}") for number in (1, 2)]
        write_tsv(tmp_path / "slue" / f"{split}.tsv", rows)
        write_audio(tmp_path / "slue" / "audio" / split, rows)
    prepared = prepare_slue_voxpopuli(tmp_path / "slue", tmp_path / "out")
    assert list(prepared.splits) == ["fine-tune", "tune", "dev", "test"]
    assert prepared.warnings == ()


def test_tsv_files_beside_the_audio_folder_are_read(official: Path, tmp_path: Path) -> None:
    for tsv in official.glob("*.tsv"):
        tsv.rename(official.parent / tsv.name)
    prepared = prepare_slue_voxpopuli(official.parent, tmp_path / "out")
    assert prepared.splits["dev"].num_utterances == 2


def test_a_blind_test_split_is_left_out_in_words(official: Path, tmp_path: Path) -> None:
    (official / "slue-voxpopuli_test_blind.tsv").write_text("id\tspeaker_id\n")
    prepared = prepare_slue_voxpopuli(official, tmp_path / "out")
    assert "test" not in prepared.splits
    assert "slue-voxpopuli_test_blind.tsv has no labels" in prepared.warnings[0]


def test_a_split_without_a_tsv_is_left_out_in_words(official: Path, tmp_path: Path) -> None:
    (official / "slue-voxpopuli_dev.tsv").unlink()
    prepared = prepare_slue_voxpopuli(official, tmp_path / "out")
    assert prepared.warnings[0].startswith("split dev is left out: there is no")


def test_dataset_json_tells_how_to_make_it_again(official: Path, tmp_path: Path) -> None:
    prepare_slue_voxpopuli(official, tmp_path / "out", seed=3)
    source = json.loads((tmp_path / "out" / "dataset.json").read_text())["source"]
    assert source["kind"] == "slue-voxpopuli"
    assert source["path"] == "../data/slue-voxpopuli"
    assert source["options"]["seed"] == 3
    assert set(source["files"]) == {f"slue-voxpopuli_{s}.tsv" for s in ("fine-tune", "dev")}


def test_a_colon_may_have_become_an_underscore_on_disk(official: Path, tmp_path: Path) -> None:
    for path in (official / "dev").iterdir():
        path.rename(path.with_name(path.name.replace(":", "_")))
    prepared = prepare_slue_voxpopuli(official, tmp_path / "out")
    assert prepared.splits["dev"].num_utterances == 2


def test_two_ids_never_share_a_file(official: Path, tmp_path: Path) -> None:
    rows = [row(number, "dev", id=id_) for number, id_ in enumerate(("a:b", "a_b"))]
    write_tsv(official / "slue-voxpopuli_dev.tsv", rows)
    write_audio(official / "dev", rows)
    (official / "dev" / "a:b.ogg").unlink()
    with pytest.raises(AudioError, match="1 of 2 utterances have no audio file: a:b"):
        prepare_slue_voxpopuli(official, tmp_path / "out")


def test_a_tsv_without_rows_is_left_out_in_words(official: Path, tmp_path: Path) -> None:
    write_tsv(official / "slue-voxpopuli_dev.tsv", [])
    prepared = prepare_slue_voxpopuli(official, tmp_path / "out")
    assert prepared.warnings[0] == (
        "split dev is left out: slue-voxpopuli_dev.tsv has no line below its header"
    )


@pytest.mark.parametrize("none", ["None", "[]"])
def test_none_and_an_empty_list_are_no_entities(tmp_path: Path, none: str) -> None:
    rows = [row(0), row(1, normalized_ner=none, speaker_id="None")]
    write_tsv(tmp_path / "dev.tsv", [{**item, "split": "dev"} for item in rows])
    write_audio(tmp_path / "audio" / "dev", rows)
    prepare_slue_voxpopuli(tmp_path, tmp_path / "out")
    second = read_manifest(tmp_path / "out" / "dev.jsonl")[1]
    assert second.entities == ()
    assert second.speaker is None


def test_a_quotation_mark_is_an_ordinary_character(tmp_path: Path) -> None:
    prepare_one(tmp_path, tmp_path / "out", raw_text='"We', speaker_id="1000")
    read = [
        utterance
        for split in ("fine-tune", "tune")
        for utterance in read_manifest(tmp_path / "out" / f"{split}.jsonl")
    ]
    assert {utterance.raw_text for utterance in read} >= {'"We'}


def test_missing_audio_is_counted_and_named(official: Path, tmp_path: Path) -> None:
    (official / "fine-tune" / f"{ID.format(2)}.ogg").unlink()
    with pytest.raises(AudioError, match=rf"1 of 4 utterances have no audio file: {ID.format(2)}"):
        prepare_slue_voxpopuli(official, tmp_path / "out")


def test_missing_audio_can_be_left_out_of_fine_tune(official: Path, tmp_path: Path) -> None:
    (official / "fine-tune" / f"{ID.format(2)}.ogg").unlink()
    prepared = prepare_slue_voxpopuli(official, tmp_path / "out", skip_missing_audio=True)
    assert prepared.splits["fine-tune"].num_utterances + prepared.splits["tune"].num_utterances == 3
    assert f"{ID.format(2)}; they are left out" in prepared.warnings[0]


def test_missing_audio_is_never_left_out_of_dev(official: Path, tmp_path: Path) -> None:
    (official / "dev" / f"{ID.format(4)}.ogg").unlink()
    with pytest.raises(AudioError, match="scores on part of dev compare with nothing"):
        prepare_slue_voxpopuli(official, tmp_path / "out", skip_missing_audio=True)


def test_bad_audio_of_dev_stays_without_audio_and_is_named(official: Path, tmp_path: Path) -> None:
    (official / "dev" / f"{ID.format(4)}.ogg").write_bytes(b"")
    prepared = prepare_slue_voxpopuli(official, tmp_path / "out")
    bad, good = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert bad.id == ID.format(4) and bad.audio is None and bad.entities == good.entities
    (note,) = (w for w in prepared.warnings if "cannot be used" in w)
    assert "1 of 6 audio files" in note
    assert "(1 of dev kept without audio, to score as missed)" in note
    assert f"{ID.format(4)}: " in note and "empty file" in note


def test_bad_audio_of_fine_tune_is_left_out_and_named(official: Path, tmp_path: Path) -> None:
    (official / "fine-tune" / f"{ID.format(2)}.ogg").write_bytes(b"<html>")
    prepared = prepare_slue_voxpopuli(official, tmp_path / "out")
    read = [
        u for s in ("fine-tune", "tune") for u in read_manifest(tmp_path / "out" / f"{s}.jsonl")
    ]
    assert {u.id for u in read} == {ID.format(n) for n in (0, 1, 3)}
    assert any("(1 of fine-tune left out)" in w and ID.format(2) in w for w in prepared.warnings)


def test_a_split_without_any_usable_audio_is_refused(official: Path, tmp_path: Path) -> None:
    for audio in (official / "dev").iterdir():
        audio.write_bytes(b"")
    with pytest.raises(AudioError, match="dev: 2 of 2 audio files cannot be used"):
        prepare_slue_voxpopuli(official, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_silent_audio_is_a_warning_with_its_id(official: Path, tmp_path: Path) -> None:
    soundfile.write(official / "dev" / f"{ID.format(4)}.ogg", np.zeros(1_600), 16_000)
    prepared = prepare_slue_voxpopuli(official, tmp_path / "out")
    assert any("silent" in w and ID.format(4) in w for w in prepared.warnings)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"normalized_ner": "[['GPE', 28, 8]"}, "is not a Python literal"),
        ({"normalized_ner": "__import__('os').getcwd()"}, "is not a Python literal"),
        ({"normalized_ner": ""}, "is not a Python literal"),
        ({"normalized_ner": "[" * 500}, "is not a Python literal"),
        ({"normalized_ner": "7"}, "should be a list or None"),
        ({"normalized_ner": "[['GPE', 28]]"}, "expected \\[label, start, length\\]"),
        ({"normalized_ner": "[['GPE', True, 8]]"}, "expected \\[label, start, length\\]"),
        ({"normalized_ner": "[['GEP', 28, 8]]"}, "unknown entity label 'GEP'; did you mean 'GPE'"),
        ({"normalized_ner": "[['GPE', 40, 9]]"}, "characters \\[40, 49\\) but .* has 47"),
        ({"normalized_ner": "[['GPE', 13, 4], ['ORG', 13, 2]]"}, "overlap"),
        ({"normalized_ner": "[['GPE', 36, 1]]"}, "holds no word"),
        ({"id": ID.format(0)}, "already used on line 2"),
        ({"id": "../secret"}, "must not be empty or hold '/'"),
        ({"split": "dev"}, "split is 'dev', expected 'fine-tune'"),
        ({"raw_text": "a\tb"}, "8 columns, but the header has 7"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, fields: Row, message: str) -> None:
    (tmp_path / "audio" / "secret").parent.mkdir()
    write_tsv(tmp_path / "fine-tune.tsv", [row(0), row(1, **fields)])
    with pytest.raises(ValueError, match=rf"fine-tune\.tsv:3: .*{message}"):
        prepare_slue_voxpopuli(tmp_path, tmp_path / "out")


def test_a_misspelt_column_gets_the_nearest_one(tmp_path: Path) -> None:
    columns = tuple("normalised_ner" if name == "normalized_ner" else name for name in COLUMNS)
    write_tsv(tmp_path / "dev.tsv", [], columns)
    with pytest.raises(ValueError, match=r"dev\.tsv:1: .*'normalised_ner'; .*'normalized_ner'"):
        prepare_slue_voxpopuli(tmp_path, tmp_path / "out")


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    write_tsv(tmp_path / "dev.tsv", [], COLUMNS[:-1])
    with pytest.raises(ValueError, match=r"dev\.tsv:1: column 'normalized_ner' is missing"):
        prepare_slue_voxpopuli(tmp_path, tmp_path / "out")


def test_an_empty_tsv_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").touch()
    with pytest.raises(ValueError, match=r"dev\.tsv:1: column 'id' is missing"):
        prepare_slue_voxpopuli(tmp_path, tmp_path / "out")


def test_a_tsv_in_another_encoding_is_refused(tmp_path: Path) -> None:
    tsv = write_tsv(tmp_path / "dev.tsv", [row(0, "dev", raw_text="Z@rich")])
    tsv.write_bytes(tsv.read_bytes().replace(b"@", b"\xfc"))
    with pytest.raises(ValueError, match=r"dev\.tsv:.* not a UTF-8 TSV"):
        prepare_slue_voxpopuli(tmp_path, tmp_path / "out")


def test_a_folder_without_tsv_files_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no slue-voxpopuli_fine-tune\.tsv"):
        prepare_slue_voxpopuli(tmp_path, tmp_path / "out")
    with pytest.raises(ValueError, match="no such folder"):
        prepare_slue_voxpopuli(tmp_path / "gone", tmp_path / "out")


def test_two_folders_with_tsv_files_are_ambiguous(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_tsv(tmp_path / name / "dev.tsv", [])
    with pytest.raises(ValueError, match=r"several folders hold SLUE TSV files \(a, b\)"):
        prepare_slue_voxpopuli(tmp_path, tmp_path / "out")


@pytest.mark.skipif(not SO762.is_dir(), reason="so762 does not lie beside the repository")
def test_real_speech_in_the_official_layout_is_prepared(tmp_path: Path) -> None:
    prepared = prepare_slue_voxpopuli(SO762, tmp_path, listen=False)
    counts = {name: split.num_utterances for name, split in prepared.splits.items()}
    assert counts == {"fine-tune": 1_620, "tune": 180, "dev": 700}
    num_entities = {name: sum(s.num_entities.values()) for name, s in prepared.splits.items()}
    assert num_entities["fine-tune"] + num_entities["tune"] == 470
    assert num_entities["dev"] == 154
    assert prepared.splits["dev"].num_speakers == 35
    assert len(read_manifest(tmp_path / "dev.jsonl")) == 700
