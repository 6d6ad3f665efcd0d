"""The synthetic corpus on disk: complete, repeatable, and clear when it cannot be made."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("espeakng_loader", reason="the [synth] extra is not installed")

from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.core.types import EntitySpan, Utterance
from slue_ner.core.validation import check_utterance
from slue_ner.data.synthesis.corpus import SyntheticOptions, prepare_synthetic
from slue_ner.data.synthesis.voices import draw_voices

REAL_TEXT = Path(__file__).resolve().parents[3] / "shared" / "text" / "slue-voxpopuli"

SMALL = {"num_fine_tune": 24, "num_tune": 6, "num_dev": 6, "num_test": 10, "num_voices": 12}
TSV_HEADER = [
    "id",
    "raw_text",
    "normalized_text",
    "speaker_id",
    "split",
    "raw_ner",
    "normalized_ner",
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("corpus")
    prepare_synthetic(out, SyntheticOptions(**SMALL, num_workers=1))
    return out


def manifests(folder: Path) -> dict[str, list[Utterance]]:
    return {
        split: read_manifest(folder / f"{split}.jsonl")
        for split in ("fine-tune", "tune", "dev", "test")
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def write_tsv(path: Path, *rows: tuple[str, ...]) -> Path:
    path.write_text("\n".join("\t".join(row) for row in (TSV_HEADER, *rows)) + "\n", "utf-8")
    return path


def test_every_split_has_a_manifest_whose_audio_is_there(corpus: Path) -> None:
    for split, utterances in manifests(corpus).items():
        assert len(utterances) == SMALL[f"num_{split.replace('-', '_')}"]
        for utterance in utterances:
            check_utterance(utterance)
            assert utterance.audio is not None
            info = soundfile.info(utterance.audio)
            assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
            assert info.frames == utterance.num_samples


def test_words_are_the_text_and_every_entity_has_its_words_and_times(corpus: Path) -> None:
    for utterances in manifests(corpus).values():
        for utterance in utterances:
            assert utterance.words is not None
            assert utterance.phones
            assert " ".join(word.text for word in utterance.words) == utterance.text
            for entity in utterance.entities:
                assert entity.words is not None
                first, last = entity.words
                said = utterance.words[first:last]
                assert " ".join(word.text for word in said) == entity.phrase
                assert (entity.start, entity.end) == (said[0].start, said[-1].end)


def test_speakers_are_voices_and_no_split_shares_one(corpus: Path) -> None:
    speakers = [{u.speaker for u in utterances} for utterances in manifests(corpus).values()]

    assert sum(map(len, speakers)) == len(set().union(*speakers))
    known = {voice.id for voice in draw_voices({"all": 20}, seed=0)["all"]}
    assert set().union(*speakers) <= known


def test_the_bytes_do_not_depend_on_the_number_of_workers(corpus: Path, tmp_path: Path) -> None:
    prepare_synthetic(tmp_path / "two", SyntheticOptions(**SMALL, num_workers=2))

    assert contents(tmp_path / "two") == contents(corpus)


def test_preparing_again_with_the_same_options_changes_nothing(corpus: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}

    again = prepare_synthetic(corpus, SyntheticOptions(**SMALL))

    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*")} == before
    assert again.splits["test"].num_utterances == 10


def test_an_interrupted_preparation_is_finished(tmp_path: Path, corpus: Path) -> None:
    options = SyntheticOptions(**SMALL, num_workers=1)

    class Interruption(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 5:
            raise Interruption

    with pytest.raises(Interruption):
        prepare_synthetic(tmp_path / "out", options, progress=stop)
    assert not (tmp_path / "out" / "dataset.json").exists()
    prepare_synthetic(tmp_path / "out", options)

    assert contents(tmp_path / "out") == contents(corpus)


def test_other_options_in_the_same_folder_are_refused(corpus: Path) -> None:
    with pytest.raises(ValueError, match="holds a synthetic corpus of other options"):
        prepare_synthetic(corpus, SyntheticOptions(**SMALL, seed=1))


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious", encoding="utf-8")

    with pytest.raises(ValueError, match="is not empty and was not made by"):
        prepare_synthetic(tmp_path, SyntheticOptions(**SMALL))
    assert (tmp_path / "thesis.tex").read_text(encoding="utf-8") == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)

    with pytest.raises(OSError, match=f"cannot write {tmp_path}"):
        prepare_synthetic(tmp_path / "out", SyntheticOptions(**SMALL))


def test_a_full_disk_is_named_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)

    with pytest.raises(OSError, match=r"cannot write .*fine-tune_00000\.wav: No space left"):
        prepare_synthetic(
            tmp_path,
            SyntheticOptions(num_fine_tune=1, num_tune=0, num_dev=0, num_test=0, num_workers=1),
        )


def test_progress_counts_every_utterance(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    options = SyntheticOptions(num_fine_tune=3, num_tune=0, num_dev=0, num_test=0, num_workers=1)

    prepare_synthetic(tmp_path, options, progress=lambda done, total: seen.append((done, total)))

    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_test": -1}, "num_test is -1, it should be 0 or more"),
        ({"num_workers": 0}, "num_workers is 0, it should be 1 or more"),
        ({f"num_{s}": 0 for s in ("fine_tune", "tune", "dev", "test")}, "are 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SyntheticOptions(**options)


def test_too_few_voices_for_the_splits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 voices are too few: 4 splits need one of their own"):
        prepare_synthetic(tmp_path, SyntheticOptions(**{**SMALL, "num_voices": 3}))


def test_a_slue_tsv_is_spoken_in_its_ner_form(tmp_path: Path) -> None:
    text = "the eu's budget. at three o'clock we don't vote in paris"
    spans = "[['GPE', 51, 5], ['TIME', 20, 13], ['GPE', 4, 2]]"
    rows = [
        ("20131007-en_20131007-21:26:04_3", "", text, "None", "dev", "[]", spans),
        ("20131007-en_20131007-21_26_04_3", "", "we agree", "None", "dev", "None", "None"),
    ]
    tsv = write_tsv(tmp_path / "any.tsv", *rows)

    prepare_synthetic(tmp_path / "out", SyntheticOptions(text=(tsv,), num_voices=2, num_workers=1))

    first, second = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert first.id == "20131007-en_20131007-21:26:04_3"
    assert first.text == "the eu 's budget at three o 'clock we don 't vote in paris"
    assert first.asr_text == "the eu's budget at three o'clock we don't vote in paris"
    assert [(e.label, e.phrase) for e in first.entities] == [
        ("GPE", "eu"),
        ("TIME", "three o 'clock"),
        ("GPE", "paris"),
    ]
    assert first.audio is not None and second.audio is not None
    assert ":" not in first.audio.name
    assert first.audio.name != second.audio.name
    assert first.words is not None
    assert all(word.end > word.start for word in first.words)


def test_the_split_column_decides_and_tune_is_held_out_by_speaker(tmp_path: Path) -> None:
    train = [
        (f"t{i}", "", f"we support report {word}", str(i % 5), "fine-tune", "[]", "[]")
        for i, word in enumerate(
            ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
        )
    ]
    test = [("x0", "", "we support report eleven", "9", "test", "[]", "[]")]
    tsv = write_tsv(tmp_path / "all.tsv", *train, *test)
    options = SyntheticOptions(text=(tsv,), num_voices=6, num_workers=1, tune_share=0.2)

    prepare_synthetic(tmp_path / "out", options)

    splits = manifests_present(tmp_path / "out")
    assert {split: len(utterances) for split, utterances in splits.items()} == {
        "fine-tune": 8,
        "tune": 2,
        "test": 1,
    }
    voices = {split: {u.speaker for u in utterances} for split, utterances in splits.items()}
    assert len(set().union(*voices.values())) == sum(map(len, voices.values()))
    tune_ids = {utterance.id for utterance in splits["tune"]}
    assert len({int(id_[1:]) % 5 for id_ in tune_ids}) == 1


def manifests_present(folder: Path) -> dict[str, list[Utterance]]:
    return {path.stem: read_manifest(path) for path in sorted(folder.glob("*.jsonl"))}


def test_a_manifest_is_spoken_as_it_is(tmp_path: Path) -> None:
    manifest = tmp_path / "own.jsonl"
    entity = EntitySpan("PLACE", "eu", start_char=4, end_char=6)
    text = "the eu 's don 't"
    write_manifest(
        manifest,
        [Utterance("a", "test", None, None, 16_000, text, asr_text="x", entities=(entity,))],
    )

    prepare_synthetic(
        tmp_path / "out", SyntheticOptions(text=(manifest,), num_voices=1, num_workers=1)
    )

    (utterance,) = read_manifest(tmp_path / "out" / "test.jsonl")
    assert utterance.text == text
    assert utterance.asr_text == "x"
    assert utterance.entities[0].words == (1, 2)


def test_json_lines_of_ones_own_are_spoken(tmp_path: Path) -> None:
    lines = tmp_path / "own.jsonl"
    entities = [{"label": "PERSON", "start_char": 9, "end_char": 19}]
    record = {"id": "a", "text": "we thank anna weber's team", "entities": entities}
    lines.write_text(json.dumps(record) + "\n", encoding="utf-8")

    options = SyntheticOptions(text=(lines,), num_voices=1, num_workers=1)
    prepared = prepare_synthetic(tmp_path / "out", options)

    (utterance,) = read_manifest(tmp_path / "out" / "fine-tune.jsonl")
    assert utterance.entities[0].phrase == "anna weber"
    assert utterance.text == "we thank anna weber 's team"
    assert utterance.audio is not None
    audio, _ = soundfile.read(utterance.audio)
    assert np.abs(audio).max() > 0.05
    assert prepared.warnings == ("there is no tune split: fine-tune has a single utterance",)


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("a.jsonl", '{"id": "a"}', "a.jsonl:1: field 'text' is missing"),
        ("a.jsonl", '{"id": "a", "text": "x", "entitiess": []}', "did you mean 'entities'"),
        ("a.jsonl", '{"id": "a", "text": "In Paris"}', "has capitals"),
        ("a.jsonl", '{"id": "a", "text": "x", "split": "tset"}', "did you mean 'test'"),
        ("a.jsonl", "{", "a.jsonl:1: not JSON"),
        ("a.jsonl", '{"id": "a", "text": "x", "split": 7}', "1: field 'split' should be a string"),
        ("a.jsonl", '{"id": "a", "text": "x", "entities": 7}', "field 'entities' should be a list"),
        ("a.jsonl", '{"id": "a", "text": "x", "entities": [7]}', "an entity should be an object"),
        (
            "a.jsonl",
            '{"id": "a", "text": "x", "entities": [{"label": "GPE", "start_char": "0", '
            '"end_char": 1}]}',
            "entity GPE: start_char and end_char should be whole numbers, got '0' and 1",
        ),
        ("a.jsonl", "", "there is no text;"),
        ("a.txt", "hello", "labelled text is read from .tsv or .jsonl"),
        (
            "a.jsonl",
            '{"id": "a", "text": "x", "entities": [{"label": "GPE", "start_char": 0, '
            '"end_char": 7}]}',
            r"a.jsonl:1: entity GPE covers characters \[0, 7\)",
        ),
    ],
)
def test_bad_labelled_text_is_named_by_file_and_line(
    tmp_path: Path, name: str, line: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(line + "\n", encoding="utf-8")

    with pytest.raises(ValueError, match=message):
        prepare_synthetic(tmp_path / "out", SyntheticOptions(text=(path,)))
    assert not (tmp_path / "out").exists()


def test_an_utterance_that_cannot_be_spoken_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "quiet", "text": "-", "split": "dev"}\n', encoding="utf-8")
    options = SyntheticOptions(text=(path,), num_voices=1, num_workers=1)

    with pytest.raises(ValueError, match="utterance quiet: espeak-ng finds nothing to say"):
        prepare_synthetic(tmp_path / "out", options)


def test_real_slue_transcripts_can_be_spoken(tmp_path: Path) -> None:
    tsv = REAL_TEXT / "slue-voxpopuli_dev.tsv"
    if not tsv.is_file():
        pytest.skip("the SLUE-VoxPopuli transcripts are not here")
    lines = tsv.read_text(encoding="utf-8").splitlines()
    (tmp_path / "some.tsv").write_text("\n".join([lines[0], *lines[1::40]]) + "\n", "utf-8")

    prepared = prepare_synthetic(
        tmp_path / "out",
        SyntheticOptions(text=(tmp_path / "some.tsv",), num_voices=8, num_workers=1),
    )

    assert prepared.splits["dev"].num_utterances == len(lines[1::40])
    assert prepared.splits["dev"].num_entities["GPE"] > 3
