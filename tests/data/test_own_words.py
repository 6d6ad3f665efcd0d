"""Word times of one's own data, from the line to the score and the frame head."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from slue_ner.core.records import read_manifest, utterance_to_json
from slue_ner.core.time import FrameGrid
from slue_ner.core.types import EntitySpan, Prediction, Utterance, Word
from slue_ner.data.corpora.jsonl import prepare_jsonl
from slue_ner.evaluation.score import score
from slue_ner.tasks.frame_task import select_timed

TEXT = "The EU's view, in Rome."
ENTITIES = [
    {"label": "ORG", "start_char": 4, "end_char": 6},
    {"label": "GPE", "phrase": "Rome"},
]
WORDS = [("the", 0.1, 0.2), ("eu's", 0.2, 0.4), ("view", 0.4, 0.5), ("in", 0.5, 0.6)]
ROME = ("rome", 0.6, 0.9)


@pytest.fixture
def prepared(tmp_path: Path) -> Any:
    """``prepared(words)``: the one utterance, and the notes."""
    soundfile.write(tmp_path / "a.wav", np.full(16_000, 0.1), 16_000)

    def prepare(
        words: list[tuple[str, float, float]] | None, **fields: Any
    ) -> tuple[Utterance, tuple[str, ...]]:
        record = {"id": "a", "audio": "a.wav", "text": TEXT, "entities": ENTITIES, "split": "dev"}
        if words is not None:
            record["words"] = [{"text": t, "start": a, "end": b} for t, a, b in words]
        (tmp_path / "my.jsonl").write_text(json.dumps({**record, **fields}))
        result = prepare_jsonl(tmp_path / "my.jsonl", tmp_path / "out", lower_case=True)
        (read,) = read_manifest(tmp_path / "out" / "dev.jsonl")
        return read, result.warnings

    return prepare


def places(utterance: Utterance) -> list[tuple[tuple[int, int] | None, Any, Any]]:
    return [(entity.words, entity.start, entity.end) for entity in utterance.entities]


def test_words_give_entities_their_range_and_times(prepared: Any) -> None:
    read, notes = prepared([*WORDS, ROME])
    assert [word.text for word in read.words] == ["the", "eu", "'s", "view", "in", "rome"]
    assert places(read) == [((1, 2), 0.2, 0.4), ((5, 6), 0.6, 0.9)]
    assert notes == ()


def test_localization_is_scored_and_frame_heads_can_be_trained(prepared: Any) -> None:
    read, _ = prepared([*WORDS, ROME])
    found = Prediction("a", read.text, entities=(EntitySpan("ORG", "eu", start=0.2, end=0.4),))
    made = score([read], [found])
    assert made.nel is not None
    assert (made.nel.frame_official.tp, made.nel.frame_official.fn) == (20, 30)
    kept, left_out = select_timed([read], FrameGrid(), labels="combined")
    assert (kept, left_out) == ([read], {})


def test_times_of_an_entitys_own_are_kept(prepared: Any) -> None:
    own = [{**ENTITIES[0], "start": 0.22, "end": 0.35}, ENTITIES[1]]
    read, _ = prepared([*WORDS, ROME], entities=own)
    assert places(read) == [((1, 2), 0.22, 0.35), ((5, 6), 0.6, 0.9)]


def test_overlapping_words_meet_in_the_middle_with_a_note(prepared: Any) -> None:
    read, notes = prepared([*WORDS[:3], ("in", 0.5, 0.64), ROME])
    assert [(w.start, w.end) for w in read.words[-2:]] == [(0.5, 0.62), (0.62, 0.9)]
    assert places(read)[1] == ((5, 6), 0.62, 0.9)
    (note,) = notes
    assert note.startswith("1 pairs of words in 1 utterances overlapped, by 40 ms at most")


def test_a_word_that_ends_a_little_after_the_audio_ends_with_it(prepared: Any) -> None:
    read, notes = prepared([*WORDS, ("rome", 0.6, 1.06)])
    assert places(read)[1] == ((5, 6), 0.6, 1.0)
    assert notes == (
        "1 utterances had words or entities that end up to 100 ms after the audio; they now end "
        "with it",
    )


def test_an_entity_that_ends_a_little_after_the_audio_ends_with_it_too(prepared: Any) -> None:
    own = [ENTITIES[0], {**ENTITIES[1], "start": 0.6, "end": 1.06}]
    read, (note,) = prepared(None, entities=own)
    assert places(read) == [(None, None, None), (None, 0.6, 1.0)]
    assert note.startswith("1 utterances had words or entities that end up to 100 ms after")


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (("rome", 0.6, 1.4), r"word 'rome' is at 0.60 to 1.40s but the audio lasts 1.00s"),
        (("paris", 0.6, 0.9), "word 6 is 'paris' in the alignment, 'rome' in the text"),
    ],
)
def test_words_that_cannot_be_used_are_not_known(
    prepared: Any, last: tuple[str, float, float], reason: str
) -> None:
    read, notes = prepared([*WORDS, last])
    assert read.words is None
    assert places(read) == [(None, None, None)] * 2
    (note,) = notes
    assert note == (
        "the words of 1 utterances could not be used, so that these have no word times:"
        f"\n  a: {reason}"
    )


def test_words_of_a_finished_manifest_reach_its_entities_too(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(16_000, 0.1), 16_000)
    utterance = Utterance(
        *("a", "dev", Path("a.wav"), 16_000, 16_000, "in rome"),
        words=(Word("in", 0.1, 0.3), Word("rome", 0.26, 0.5)),
        entities=(EntitySpan("GPE", "rome", 3, 7),),
    )
    (tmp_path / "my.jsonl").write_text(json.dumps(utterance_to_json(utterance)))
    result = prepare_jsonl(tmp_path / "my.jsonl", tmp_path / "out")
    (read,) = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert places(read) == [((1, 2), 0.28, 0.5)]
    assert any("by 40 ms at most" in note for note in result.warnings)
