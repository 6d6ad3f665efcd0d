import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from slue_ner.core.files import sha256
from slue_ner.core.records import read_manifest
from slue_ner.core.types import EntitySpan, Utterance
from slue_ner.data.corpora.dataset import write_dataset


def utterance(id_: str, split: str = "dev", **fields: object) -> Utterance:
    return replace(
        Utterance(
            id_,
            split,
            audio=None,
            num_samples=None,
            sample_rate=16_000,
            text="the eu budget",
            entities=(EntitySpan("ORG", "eu", 4, 6),),
        ),
        **fields,
    )


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    audio = tmp_path / "audio" / "a.wav"
    written = utterance("a", audio=audio, num_samples=16_000, speaker="7")
    write_dataset(tmp_path / "out", {"dev": [written]}, source={"kind": "test"})
    (read,) = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert read.audio is not None and read.audio.resolve() == audio.resolve()
    assert replace(read, audio=audio) == written


def test_audio_is_found_when_the_data_set_lies_behind_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "er")
    audio = tmp_path / "a.wav"
    audio.touch()
    written = utterance("a", audio=audio, num_samples=1)
    write_dataset(tmp_path / "link" / "out", {"dev": [written]}, source={})
    (read,) = read_manifest(tmp_path / "link" / "out" / "dev.jsonl")
    assert read.audio is not None and read.audio.samefile(audio)


def test_dataset_json_counts_every_split(tmp_path: Path) -> None:
    data = [
        utterance("a", speaker="1", audio=Path("a.wav"), num_samples=8_000),
        utterance("b", speaker="1", entities=()),
        utterance("c", speaker="2"),
    ]
    source = {"kind": "test", "revision": "1f"}
    counts = write_dataset(tmp_path, {"dev": data}, source=source)
    record = json.loads((tmp_path / "dataset.json").read_text())
    assert record == {
        "schema": 1,
        "source": source,
        "splits": {
            "dev": {
                "num_utterances": 3,
                "seconds": 0.5,
                "num_speakers": 2,
                "num_entities": {"ORG": 2},
                "sha256": sha256(tmp_path / "dev.jsonl"),
            }
        },
    }
    assert counts["dev"].num_entities == {"ORG": 2}


def test_unknown_speakers_are_null_not_zero(tmp_path: Path) -> None:
    assert write_dataset(tmp_path, {"dev": [utterance("a")]}, source={})["dev"].num_speakers is None


def test_an_interrupted_preparation_leaves_no_dataset_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = {"dev": [utterance("a")], "test": [utterance("b", "test")]}
    write_dataset(tmp_path, splits, source={})

    def interrupted(path: Path, utterances: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("slue_ner.data.corpora.dataset.write_manifest", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_dataset(tmp_path, splits, source={})
    assert not (tmp_path / "dataset.json").exists()
    write_dataset(tmp_path, splits, source={})
    assert (tmp_path / "dataset.json").exists()


def test_a_second_preparation_removes_the_splits_of_the_first(tmp_path: Path) -> None:
    first = {"dev": [utterance("a")], "test": [utterance("b", "test")]}
    write_dataset(tmp_path, first, source={})
    write_dataset(tmp_path, {"dev": [utterance("a")]}, source={})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset.json", "dev.jsonl"]


def test_a_refused_data_set_leaves_the_old_one_alone(tmp_path: Path) -> None:
    write_dataset(tmp_path, {"dev": [utterance("a")]}, source={})
    before = (tmp_path / "dataset.json").read_bytes()
    with pytest.raises(ValueError):
        write_dataset(tmp_path, {"dev": [utterance("a"), utterance("a")]}, source={})
    assert (tmp_path / "dataset.json").read_bytes() == before


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"kind": "jsonl", "path": "../a"}, {"kind": "slue-voxpopuli", "path": "../a"}),
        ({"kind": "jsonl", "path": "../a"}, {"kind": "jsonl", "path": "../b"}),
        ({"kind": "slue-hub", "id": "a/b"}, {"kind": "slue-hub", "id": "b/b"}),
    ],
)
def test_manifests_of_other_data_are_not_replaced(
    tmp_path: Path, first: dict[str, str], second: dict[str, str]
) -> None:
    (tmp_path / "a").touch()
    out = tmp_path / "out"
    write_dataset(out, {"dev": [utterance("a")]}, source=first)
    before = (out / "dev.jsonl").read_bytes()
    sentence = f"out holds manifests of {first['kind']} from {re.escape(list(first.values())[1])}; "
    with pytest.raises(ValueError, match=sentence):
        write_dataset(out, {"dev": [utterance("b")]}, source=second)
    assert (out / "dev.jsonl").read_bytes() == before
    (out / "dataset.json").unlink()
    write_dataset(out, {"dev": [utterance("b")]}, source=second)


def test_data_that_has_moved_is_prepared_anew_in_its_folder(tmp_path: Path) -> None:
    splits = {"dev": [utterance("a")]}
    write_dataset(tmp_path / "out", splits, source={"kind": "jsonl", "path": "../gone"})
    write_dataset(tmp_path / "out", splits, source={"kind": "jsonl", "path": "../here"})


def test_a_manifest_of_something_else_is_not_adopted(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match=r"test\.jsonl is in the way"):
        write_dataset(tmp_path, {"dev": [utterance("a")]}, source={})


def test_a_dataset_json_of_something_else_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text('{"name": "mine"}')
    with pytest.raises(ValueError, match="not written by `slue-ner prepare`"):
        write_dataset(tmp_path, {"dev": [utterance("a")]}, source={})
    assert (tmp_path / "dataset.json").exists()


def test_an_id_in_two_splits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="utterance a: the id is used in dev and again in test"):
        write_dataset(
            tmp_path, {"dev": [utterance("a")], "test": [utterance("a", "test")]}, source={}
        )


def test_a_split_must_be_the_one_its_utterances_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="says split 'dev' but is listed under 'test'"):
        write_dataset(tmp_path, {"test": [utterance("a")]}, source={})


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split dev has no utterances"):
        write_dataset(tmp_path, {"dev": []}, source={})


def test_a_split_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot name a file"):
        write_dataset(tmp_path, {"../dev": [utterance("a", "../dev")]}, source={})


@pytest.mark.parametrize(
    ("entity", "message"),
    [
        (EntitySpan("ORG", "eu", 4, 6, start=0.9, end=1.5), "ends at 1.50s but .* lasts 1.00s"),
        (EntitySpan("ORG", "budget", 7, 14), "covers characters .* but the text has 13"),
        (EntitySpan("ORG", "bud", 7, 10), "does not cover whole words"),
        (EntitySpan("ORG", "eu ", 4, 7), "does not cover whole words"),
    ],
)
def test_an_entity_that_does_not_fit_is_refused(
    tmp_path: Path, entity: EntitySpan, message: str
) -> None:
    bad = utterance("a", num_samples=16_000, entities=(entity,))
    with pytest.raises(ValueError, match=f"utterance a: .*{message}"):
        write_dataset(tmp_path, {"dev": [bad]}, source={})
