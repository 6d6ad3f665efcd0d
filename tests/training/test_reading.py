from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.core.types import EntitySpan, Utterance, Word
from slue_ner.data.loading.loaders import DataOptions
from slue_ner.training import manifests as reading
from slue_ner.training.manifests import read_training


def options(root: Path, **changes: Any) -> DataOptions:
    values = {
        "root": str(root),
        "train": "fine-tune",
        "tune": "tune",
        "evaluate": ["dev"],
        "batch_seconds": 4.0,
        "max_seconds": None,
        "num_workers": 0,
        "short_first": False,
    }
    return DataOptions(**{**values, **changes})


def utterance(id: str, seconds: float = 1.0, **changes: Any) -> Utterance:
    known = {
        "split": "fine-tune",
        "audio": None,
        "num_samples": int(16_000 * seconds),
        "sample_rate": 16_000,
        "speaker": "s0",
        "text": "ana",
        "asr_text": "Ana",
        "raw_text": "Ana.",
        "words": (Word("ana", 0.0, 0.5),),
        "phones": (Word("a", 0.0, 0.5),),
        "entities": (EntitySpan("PERSON", "ana", start_char=0, end_char=3),),
    }
    return Utterance(id, **{**known, **changes})


@pytest.fixture
def manifest(tmp_path: Path) -> Any:
    """``manifest("more", "a", "b")``: the path of a new manifest with these ids."""

    def write(name: str, *ids: str, **changes: Any) -> str:
        path = tmp_path / f"{name}.jsonl"
        write_manifest(path, [utterance(id, **changes) for id in ids])
        return str(path)

    return write


def ids(utterances: list[Utterance]) -> list[str]:
    return [u.id for u in utterances]


def hours_of(utterances: list[Utterance]) -> float:
    return sum(u.duration for u in utterances) / 3600


def test_the_training_split_alone_is_read_as_it_is(tiny_corpus: Path) -> None:
    assert read_training(options(tiny_corpus)) == read_manifest(tiny_corpus / "fine-tune.jsonl")


def test_more_manifests_follow_in_the_order_given(manifest: Any, tmp_path: Path) -> None:
    manifest("fine-tune", "b", "a")
    more = [manifest("z", "d"), manifest("y", "c", text="bo", entities=(), words=None)]
    found = read_training(options(tmp_path, also_train=more))
    assert ids(found) == ["b", "a", "d", "c"]
    assert [u.text for u in found] == ["ana", "ana", "ana", "bo"]
    assert found[2].entities == utterance("d").entities


def test_unlabelled_audio_brings_nothing_but_itself(manifest: Any, tmp_path: Path) -> None:
    manifest("fine-tune", "a")
    found = read_training(options(tmp_path, unlabelled=[manifest("real", "b")]))
    assert found[0] == utterance("a")
    assert found[1] == utterance(
        "b", text="", asr_text=None, raw_text=None, words=None, phones=None, entities=()
    )
    assert found[1].duration == 1.0 and found[1].speaker == "s0"


def test_a_shared_id_gets_a_number_in_the_later_manifest(manifest: Any, tmp_path: Path) -> None:
    manifest("fine-tune", "a", "b")
    more = [manifest("one", "b", "c"), manifest("two", "c", "b")]
    found = read_training(
        options(tmp_path, also_train=more, unlabelled=[manifest("real", "a", "d")])
    )
    assert ids(found) == ["a", "b", "b#2", "c", "c#2", "b#3", "a#2", "d"]
    assert found[2] == replace(utterance("b"), id="b#2")


def test_a_manifest_that_is_read_twice_has_all_its_audio_twice(tiny_corpus: Path) -> None:
    path = str(tiny_corpus / "fine-tune.jsonl")
    found = read_training(options(tiny_corpus, unlabelled=[path]))
    assert len(set(ids(found))) == len(found) == 32
    assert [u.audio for u in found[:16]] == [u.audio for u in found[16:]]


def test_a_manifest_that_is_not_there_is_named(tiny_corpus: Path) -> None:
    with pytest.raises((ValueError, OSError), match=r"gone\.jsonl"):
        read_training(options(tiny_corpus, also_train=["gone.jsonl"]))


def test_the_last_utterance_chosen_is_the_one_that_reaches_the_hours(tiny_corpus: Path) -> None:
    everything = read_manifest(tiny_corpus / "fine-tune.jsonl")
    longest = max(u.duration for u in everything) / 3600
    for share in (0.1, 0.3, 0.5, 0.9):
        wanted = share * hours_of(everything)
        part = read_training(options(tiny_corpus, hours=wanted))
        assert wanted <= hours_of(part) < wanted + longest


def test_a_part_keeps_the_order_of_the_manifest(tiny_corpus: Path) -> None:
    everything = ids(read_manifest(tiny_corpus / "fine-tune.jsonl"))
    part = ids(read_training(options(tiny_corpus, hours=8 / 3600)))
    assert 4 < len(part) < 12
    assert part == [id for id in everything if id in set(part)]
    assert part != everything[: len(part)]  # but not simply its beginning


def test_at_least_one_utterance_is_kept(tiny_corpus: Path) -> None:
    assert len(read_training(options(tiny_corpus, hours=1e-9))) == 1


@pytest.mark.parametrize("hours", [None, 0.0046, 1.0, float("inf")])
def test_as_many_hours_as_there_are_mean_all_of_them(tiny_corpus: Path, hours: Any) -> None:
    # 16 utterances of 0.6 + 0.9 n / 16 s: 9.6 + 0.9 * 120 / 16 = 16.35 s, 0.00454 h
    found = read_training(options(tiny_corpus, hours=hours))
    assert found == read_manifest(tiny_corpus / "fine-tune.jsonl")


@given(
    st.lists(st.floats(0.1, 30.0), min_size=1, max_size=40),
    st.lists(st.floats(1e-6, 0.5), min_size=2, max_size=2).map(sorted),
)
@settings(max_examples=50)
def test_fewer_hours_are_a_part_of_more(durations: list[float], hours: Any) -> None:
    pool = [utterance(f"u{i}", seconds) for i, seconds in enumerate(durations)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reading, "read_manifest", lambda path: list(pool))
        fewer, more = (read_training(options(Path("data"), hours=h)) for h in hours)
    assert set(ids(fewer)) <= set(ids(more)) <= {u.id for u in pool}


def test_the_hours_are_taken_from_all_labelled_manifests_together(tmp_path: Path) -> None:
    for name in ("fine-tune", "more"):
        write_manifest(tmp_path / f"{name}.jsonl", [utterance(f"{name}{i}") for i in range(50)])
    more = [str(tmp_path / "more.jsonl")]
    part = ids(read_training(options(tmp_path, also_train=more, hours=40 / 3600)))
    assert len(part) == 40
    assert 8 < sum(id.startswith("more") for id in part) < 32


def test_unlabelled_audio_does_not_count(tiny_corpus: Path) -> None:
    unlabelled = [str(tiny_corpus / "dev.jsonl")]
    found = read_training(options(tiny_corpus, hours=1e-9, unlabelled=unlabelled))
    assert len(found) == 1 + 4
    assert found[0].text and not any(u.text for u in found[1:])


def test_every_seed_of_a_model_trains_on_the_same_utterances(
    train: Any, tmp_path: Path, tiny_corpus: Path
) -> None:
    hours = 6 / 3600
    expected = set(ids(read_training(options(tiny_corpus, hours=hours))))
    for seed in (0, 1):
        watched = train(tmp_path / str(seed), f"data.hours={hours}", f"seed={seed}")
        assert {id for batch in watched.batches for id in batch} == expected
        assert watched.fit.figures["num_train_utterances"] == len(expected) < 16


@pytest.mark.parametrize("hours", [0, 0.0, -1.0])
def test_no_hours_at_all_are_refused(tiny_corpus: Path, hours: Any) -> None:
    with pytest.raises(ValueError, match=r"data\.hours must be positive, or null for all, got"):
        options(tiny_corpus, hours=hours)


def test_nothing_is_learnt_from_what_nobody_wrote_down(manifest: Any, tmp_path: Path) -> None:
    manifest("fine-tune", "a", "b")
    silent = manifest("silent", "c", split="untranscribed", text="", entities=(), words=None)
    with pytest.raises(ValueError, match=r"said in 1 utterances of untranscribed\.jsonl, first c"):
        read_training(options(tmp_path, also_train=[silent]))
    assert ids(read_training(options(tmp_path, unlabelled=[silent]))) == ["a", "b", "c"]
