from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.records import (
    prediction_from_json,
    prediction_to_json,
    read_manifest,
    read_predictions,
    utterance_from_json,
    utterance_to_json,
    write_manifest,
    write_predictions,
)
from slue_ner.core.types import EntitySpan, Prediction, TokenSpan, Utterance, Word

UTTERANCE = Utterance(
    id="20131007-0900-PLENARY-19-en_20131007-21:26:04_7",
    split="dev",
    audio=Path("audio/a.ogg"),
    num_samples=32_000,
    sample_rate=16_000,
    speaker="1027",
    text="the eu budget",
    asr_text="the eu budget",
    raw_text="The EU budget.",
    words=(
        Word("the", 0.12, 0.21),
        Word("", 0.21, 0.3),
        Word("eu", 0.3, 0.52, estimated=True),
        Word("budget", 0.52, 0.95),
    ),
    entities=(EntitySpan("GPE", "eu", 4, 6, words=(2, 3), start=0.3, end=0.52),),
)


def write_lines(path: Path, *records: dict) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_a_manifest_line_starts_with_the_schema():
    assert next(iter(utterance_to_json(UTTERANCE).items())) == ("schema", 1)


def test_a_manifest_reads_back_with_audio_resolved_against_its_folder(tmp_path):
    write_manifest(tmp_path / "dev.jsonl", [UTTERANCE])
    (read,) = read_manifest(tmp_path / "dev.jsonl")
    assert read.audio == tmp_path / "audio/a.ogg"
    assert utterance_to_json(read) | {"audio": "audio/a.ogg"} == utterance_to_json(UTTERANCE)


def test_a_manifest_moves_with_its_audio(tmp_path):
    (tmp_path / "here").mkdir()
    write_manifest(tmp_path / "here/dev.jsonl", [UTTERANCE])
    (tmp_path / "here").rename(tmp_path / "there")
    assert read_manifest(tmp_path / "there/dev.jsonl")[0].audio == tmp_path / "there/audio/a.ogg"


text_like = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
times = st.floats(0, 1e4).map(float)


@st.composite
def predictions(draw):
    words = draw(
        st.none()
        | st.lists(
            st.builds(lambda t, a, d: Word(t, a, a + d), text_like, times, times), max_size=3
        ).map(tuple)
    )
    entities = draw(
        st.lists(
            st.builds(
                EntitySpan,
                label=st.none() | st.sampled_from(["PLACE", "GPE"]),
                phrase=st.none() | text_like,
                score=st.none() | st.floats(0, 1),
            ),
            max_size=3,
        )
    )
    tokens = draw(st.none() | st.just((TokenSpan("a", 0, 2, 0.5),)))
    return Prediction(
        id=draw(text_like.filter(bool)),
        text=draw(text_like),
        frame_seconds=0.02,
        num_frames=draw(st.integers(0, 100)),
        entities=tuple(entities),
        words=words,
        tokens=tokens,
        num_repairs=draw(st.integers(0, 3)),
        error=draw(st.none() | text_like),
    )


@given(predictions())
def test_any_prediction_survives_json(prediction):
    line = json.dumps(prediction_to_json(prediction))
    assert prediction_from_json(json.loads(line)) == prediction


def test_null_means_not_known_and_stays_null():
    record = utterance_to_json(Utterance("a", "dev", None, None, 16_000, "hi"))
    assert record["words"] is None
    assert utterance_from_json(record).words is None


def test_predictions_read_back(tmp_path):
    given_ = [Prediction("a", "x", entities=(EntitySpan(None, None, start=0.0, end=1.0),))]
    write_predictions(tmp_path / "p.jsonl", given_)
    assert read_predictions(tmp_path / "p.jsonl") == given_


BROKEN_LINES = {
    "an unknown field": ({"id": "a", "txt": "x"}, "unknown field 'txt'; did you mean 'text'"),
    "a missing field": ({"id": "a"}, "field 'text' is missing"),
    "another schema": ({"schema": 2}, "schema is 2, this version reads 1"),
    "a number for a text": ({"text": 3}, "field 'text' should be str, got 3"),
    "an unknown label": (
        {"entities": [{"label": "PERSN", "phrase": "x", "start_char": 0, "end_char": 1}]},
        "did you mean 'PERSON'",
    ),
    "an entity outside the text": (
        {"entities": [{"label": "ORG", "phrase": "hi", "start_char": 3, "end_char": 9}]},
        r"covers characters \[3, 9\) but the text has 2 characters",
    ),
    "a phrase that is not in the text": (
        {"entities": [{"label": "ORG", "phrase": "ho", "start_char": 0, "end_char": 2}]},
        "is not what the text has",
    ),
    "overlapping entities": (
        {
            "entities": [
                {"label": "ORG", "phrase": "hi", "start_char": 0, "end_char": 2},
                {"label": "GPE", "phrase": "hi", "start_char": 0, "end_char": 2},
            ]
        },
        "overlap at character 0",
    ),
    "an entity that cuts a word": (
        {"entities": [{"label": "GPE", "phrase": "i", "start_char": 1, "end_char": 2}]},
        r"'i' does not cover whole words at \[1, 2\)",
    ),
    "words past the audio": (
        {"num_samples": 16_000, "words": [{"text": "hi", "start": 0.5, "end": 1.5}]},
        r"ends at 1.50s but the audio lasts 1.00s",
    ),
    "an entity past the audio": (
        {
            "num_samples": 16_000,
            "entities": [
                {
                    **{"label": "ORG", "phrase": "hi", "start_char": 0, "end_char": 2},
                    **{"start": 0.5, "end": 7.42},
                }
            ],
        },
        r"ends at 7.42s but the audio lasts 1.00s",
    ),
    "words out of order": (
        {
            "words": [
                {"text": "hi", "start": 0.5, "end": 0.9},
                {"text": "ho", "start": 0.4, "end": 0.5},
            ]
        },
        "before the previous one ends",
    ),
    "a span that ends before it starts": (
        {"words": [{"text": "hi", "start": 0.5, "end": 0.4}]},
        "TimeSpan needs 0 <= start <= end",
    ),
}


@pytest.mark.parametrize("name", BROKEN_LINES)
def test_a_broken_line_is_named_with_file_and_line(name, tmp_path):
    changes, message = BROKEN_LINES[name]
    good = {"schema": 1, "id": "a", "split": "dev", "text": "hi"}
    broken = {**good, "id": "b", **changes}
    if name == "a missing field":
        del broken["text"]
    path = write_lines(tmp_path / "m.jsonl", good, broken)
    with pytest.raises(ValueError, match=message) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(f"{path}:2: ")


def test_an_id_used_twice_is_named_with_both_lines(tmp_path):
    line = {"schema": 1, "id": "a", "split": "dev", "text": "hi"}
    path = write_lines(tmp_path / "m.jsonl", line, line)
    with pytest.raises(ValueError, match=r"m.jsonl:2: id 'a' was already used on line 1"):
        read_manifest(path)


@pytest.mark.parametrize("content", [b"{not json\n", b"[1]\n", b"\xff\xfe\n"])
def test_a_file_that_is_not_json_lines_is_named(content, tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"m\.jsonl"):
        read_manifest(path)


def test_entities_not_asked_for_are_null_and_none_found_is_an_empty_list(tmp_path):
    path = tmp_path / "p.jsonl"
    asked, plain = Prediction("a", "x"), Prediction("b", "x", entities=None)
    write_predictions(path, [asked, plain])
    assert [json.loads(line)["entities"] for line in path.read_text().splitlines()] == [[], None]
    assert read_predictions(path) == [asked, plain]
    path.write_text('{"schema": 1, "id": "b", "text": "x"}\n')  # absent is not known either
    assert read_predictions(path) == [plain]


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"words": [["hi", 0, 1]]}, r"an entry of 'words' should be dict, got \['hi', 0, 1\]"),
        ({"words": [{"text": "hi", "start": "0", "end": 1}]}, "'start' should be float, got '0'"),
        ({"words": [{"text": "hi"}]}, "field 'start' is missing"),
        ({"words": 7}, "field 'words' should be list, got 7"),
        ({"entities": [{"label": "ORG", "phrase": 7}]}, "field 'phrase' should be str, got 7"),
        (
            {"entities": [{"label": "ORG", "phrase": "x", "words": [0]}]},
            r"an entity's words are \[first, last\) of its record's, got \[0\]",
        ),
        ({"tokens": [["a", 1]]}, r"should be \[symbol, first, last, score\], got \['a', 1\]"),
        ({"num_repairs": "no"}, "field 'num_repairs' should be int, got 'no'"),
    ],
)
def test_a_field_of_another_kind_is_named_with_what_it_holds(tmp_path, field, message):
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"schema": 1, "id": "a", "text": "hi", **field}))
    with pytest.raises(ValueError, match=rf"p\.jsonl:1: .*{message}"):
        read_predictions(path)


def test_a_manifest_without_known_entities_is_refused(tmp_path):
    path = tmp_path / "dev.jsonl"
    line = {"schema": 1, "id": "a", "split": "dev", "text": "hi", "entities": None}
    path.write_text(json.dumps(line))
    with pytest.raises(ValueError, match=r"dev\.jsonl:1: field 'entities' is null, not known"):
        read_manifest(path)


def test_a_missing_file_is_one_clear_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"none\.jsonl: no such file"):
        read_manifest(tmp_path / "none.jsonl")


WORDS = [{"text": "ana", "start": 0, "end": 0.1}]

BROKEN_PREDICTIONS = {
    "a word range of one number": ({"words": [1]}, r"words are \[first, last\) .*, got \[1\]"),
    "a word range of three numbers": ({"words": [0, 1, 2]}, r"got \[0, 1, 2\]"),
    "a word range that is a text": ({"words": "01"}, "field 'words' should be list, got '01'"),
    "a word range of fractions": ({"words": [0.5, 1]}, r"got \[0.5, 1\]"),
    "a time that is a text": ({"start": "0", "end": 1}, "field 'start' should be float, got '0'"),
    "a confidence that is no number": ({"score": float("nan")}, "within reason, got nan"),
    "an end that never comes": ({"start": 0, "end": float("inf")}, "within reason, got inf"),
    "a start of 400 digits": ({"start": 10**400, "end": 10**401}, r"within reason, got 10*\.\.\."),
    "an end before the start": ({"start": 2, "end": 1}, "TimeSpan needs 0 <= start <= end"),
    "a start alone": ({"start": 2}, "give both or neither"),
    "a label that is a list": ({"label": ["ORG"]}, r"field 'label' should be str, got \['ORG'\]"),
    "a phrase that is a number": ({"phrase": 5}, "field 'phrase' should be str, got 5"),
    "entities that are texts": ("ana", "an entity should be dict, got 'ana'"),
}


@pytest.mark.parametrize("name", BROKEN_PREDICTIONS)
def test_a_broken_entity_is_named_with_file_and_line(name, tmp_path):
    changes, message = BROKEN_PREDICTIONS[name]
    entity = {"label": "ORG", "phrase": "x"}
    entity = {**entity, **changes} if isinstance(changes, dict) else changes
    line = {"schema": 1, "id": "a", "text": "x", "entities": [entity]}
    path = write_lines(tmp_path / "p.jsonl", line)
    with pytest.raises(ValueError, match=rf"p\.jsonl:1: .*{message}"):
        read_predictions(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"words": ["ana"]}, "an entry of 'words' should be dict, got 'ana'"),
        ({"words": [{"text": "ana"}]}, "field 'start' is missing"),
        ({"words": [{**WORDS[0], "start": float("nan")}]}, "'start' should be a number within re"),
        ({"entities": {"label": "ORG"}}, "field 'entities' should be list, got {'label': 'ORG'}"),
        ({"tokens": [["a", 1]]}, r"a token should be \[symbol, first, last, score\], got \['a', 1"),
        ({"tokens": [["a", 1, 2, "x"]]}, "a token should be float, got 'x'"),
        ({"num_repairs": "many"}, "field 'num_repairs' should be int, got 'many'"),
        ({"num_repairs": -5}, "prediction a: num_repairs -5 must not be negative"),
        ({"frame_seconds": float("inf")}, "field 'frame_seconds' should be a number within reason"),
    ],
)
def test_a_broken_field_of_a_prediction_is_named(changes, message, tmp_path):
    path = write_lines(tmp_path / "p.jsonl", {"schema": 1, "id": "a", "text": "x", **changes})
    with pytest.raises(ValueError, match=rf"p\.jsonl:1: .*{message}"):
        read_predictions(path)


def test_a_manifest_in_the_place_of_predictions_is_recognised_and_the_reverse(tmp_path):
    write_manifest(tmp_path / "m.jsonl", [UTTERANCE])
    with pytest.raises(ValueError, match=r"m\.jsonl:1: this is a line of a manifest; "):
        read_predictions(tmp_path / "m.jsonl")
    write_predictions(tmp_path / "p.jsonl", [Prediction("a", "x")])
    with pytest.raises(ValueError, match=r"p\.jsonl:1: this is a line of a predictions file; "):
        read_manifest(tmp_path / "p.jsonl")
