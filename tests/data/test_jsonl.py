import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.core.types import EntitySpan, Utterance, Word
from slue_ner.data.corpora.dataset import check_transcribed
from slue_ner.data.corpora.jsonl import TextRules, own_utterance, prepare_jsonl

TEXT = "the eu's budget in brussels, brussels and Paris."


def line(id_: str = "a", **fields: Any) -> dict[str, Any]:
    return {"id": id_, "audio": "a.wav", "text": TEXT, "entities": [], **fields}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000)
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    return tmp_path


def write(folder: Path, *lines: dict[str, Any]) -> Path:
    path = folder / "own.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in lines))
    return path


def spans(utterance: Utterance) -> list[tuple[str | None, str | None, int | None]]:
    return [(e.label, e.phrase, e.start_char) for e in utterance.entities]


def prepared(folder: Path, *lines: dict[str, Any], split: str = "fine-tune") -> list[Utterance]:
    prepare_jsonl(write(folder, *lines), folder / "out", tune_share=0)
    return read_manifest(folder / "out" / f"{split}.jsonl")


def test_positions_are_moved_into_the_normalized_text(folder: Path) -> None:
    entities = [
        {"label": "GPE", "start_char": 19, "end_char": 27},
        {"label": "ORG", "start_char": 4, "end_char": 6},
    ]
    (read,) = prepared(folder, line(entities=entities))
    assert read.text == "the eu 's budget in brussels brussels and Paris"
    assert read.asr_text == "the eu's budget in brussels, brussels and Paris"
    assert read.raw_text == TEXT
    assert spans(read) == [("ORG", "eu", 4), ("GPE", "brussels", 20)]
    assert read.audio is not None and read.audio.samefile(folder / "a.wav")
    assert read.num_samples == 16_000


def test_phrases_are_searched_from_left_to_right(folder: Path) -> None:
    entities = [{"label": "GPE", "phrase": phrase} for phrase in ("brussels", "Brussels", "paris")]
    (read,) = prepared(folder, line(entities=entities))
    assert spans(read) == [
        ("GPE", "brussels", 20),
        ("GPE", "brussels", 29),
        ("GPE", "Paris", 42),
    ]


def test_a_phrase_matches_whole_words_only(folder: Path) -> None:
    entities = [{"label": "CARDINAL", "phrase": "two"}]
    (read,) = prepared(folder, line(text="twofold or two", entities=entities))
    assert spans(read) == [("CARDINAL", "two", 11)]


def test_combined_labels_are_kept(folder: Path) -> None:
    (read,) = prepared(folder, line(entities=[{"label": "PLACE", "phrase": "paris"}]))
    assert read.entities[0].label == "PLACE"


def test_times_follow_their_entity(folder: Path) -> None:
    entities = [
        {"label": "GPE", "start_char": 19, "end_char": 27, "start": 0.5, "end": 0.75},
        {"label": "ORG", "start_char": 4, "end_char": 6},
    ]
    (read,) = prepared(folder, line(entities=entities, speaker="7"))
    assert [(e.start, e.end) for e in read.entities] == [(None, None), (0.5, 0.75)]
    assert (read.words, read.speaker) == (None, "7")


def test_normalized_text_is_left_as_it_is(folder: Path) -> None:
    text = "the eu 's budget"
    own = line(text=text, entities=[{"label": "ORG", "phrase": "eu"}])
    prepare_jsonl(write(folder, own), folder / "out", text_is_normalized=True)
    (read,) = read_manifest(folder / "out" / "fine-tune.jsonl")
    assert (read.text, read.asr_text) == (text, None)
    assert spans(read) == [("ORG", "eu", 4)]


def test_capitals_are_warned_about_and_can_be_made_small(folder: Path) -> None:
    own = write(folder, line(entities=[{"label": "GPE", "phrase": "Paris"}]))
    loud = prepare_jsonl(own, folder / "out")
    assert any("1 of 1 texts hold capital letters" in warning for warning in loud.warnings)
    quiet = prepare_jsonl(own, folder / "out", lower_case=True)
    assert not any("capital" in warning for warning in quiet.warnings)
    (read,) = read_manifest(folder / "out" / "fine-tune.jsonl")
    assert read.entities[0].phrase == "paris"
    assert read.raw_text == TEXT


def test_making_capitals_small_keeps_positions(folder: Path) -> None:
    own = line(text="\u0130zmir IN May", entities=[{"label": "DATE", "phrase": "may"}])
    read = own_utterance(own, folder=folder, rules=TextRules(lower_case=True))
    assert spans(read) == [("DATE", "may", 9)]


def test_digits_are_warned_about(folder: Path) -> None:
    result = prepare_jsonl(write(folder, line(text="in 2013")), folder / "out")
    assert any("texts hold digits" in warning for warning in result.warnings)


def test_line_breaks_and_tabs_in_a_text_are_spaces(folder: Path) -> None:
    own = line(text="to\tnew\nyork", entities=[{"label": "GPE", "phrase": "new york"}])
    (read,) = prepared(folder, own)
    assert read.text == "to new york"


def test_the_split_field_decides_and_tune_is_held_out(folder: Path) -> None:
    own = [line(f"f{i}", speaker=str(i)) for i in range(10)] + [line("d", split="dev")]
    result = prepare_jsonl(write(folder, *own), folder / "out")
    counts = {name: split.num_utterances for name, split in result.splits.items()}
    assert counts == {"fine-tune": 9, "tune": 1, "dev": 1}


def test_a_tune_split_of_ones_own_is_kept(folder: Path) -> None:
    own = [line(f"f{i}") for i in range(10)] + [line("t", split="tune")]
    result = prepare_jsonl(write(folder, *own), folder / "out")
    assert result.splits["fine-tune"].num_utterances == 10


def test_a_finished_manifest_passes_through_unchanged(folder: Path) -> None:
    utterance = Utterance(
        "a",
        "dev",
        audio=folder / "a.wav",
        num_samples=16_000,
        sample_rate=16_000,
        text="the eu 's",
        asr_text="the eu's",
        raw_text="The EU's",
        speaker="7",
        words=(Word("the", 0.0, 0.25), Word("eu", 0.25, 0.5, estimated=True)),
        phones=(Word("dh", 0.0, 0.1),),
        entities=(EntitySpan("ORG", "eu", 4, 6, words=(1, 2), start=0.25, end=0.5),),
    )
    write_manifest(folder / "own.jsonl", [utterance])
    prepare_jsonl(folder / "own.jsonl", folder / "out")
    (read,) = read_manifest(folder / "out" / "dev.jsonl")
    assert read.audio is not None and read.audio.samefile(folder / "a.wav")
    assert replace(read, audio=utterance.audio) == utterance


def test_the_texts_of_a_manifest_are_not_lowered(folder: Path) -> None:
    own = write(folder, {"schema": 1, "id": "a", "split": "dev", "text": "The"})
    with pytest.raises(ValueError, match="is a manifest: its texts are kept"):
        prepare_jsonl(own, folder / "out", lower_case=True)


WORDS = st.lists(st.sampled_from(["eu's", "don't", "in,", "new", "york.", "o'clock"]), min_size=1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(words=WORDS, data=st.data())
def test_any_word_range_comes_back_as_its_own_words(words: list[str], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first + 1, len(words)))
    text = " ".join(words)
    start = len(" ".join(words[:first])) + (first > 0)
    entity = {
        "label": "GPE",
        "start_char": start,
        "end_char": start + len(" ".join(words[first:last])),
    }
    rules = TextRules()
    read = own_utterance(line(text=text, entities=[entity]), folder=Path("x"), rules=rules)
    alone = own_utterance(line(text=" ".join(words[first:last])), folder=Path("x"), rules=rules)
    (found,) = read.entities
    assert found.phrase == alone.text == read.text[found.start_char : found.end_char]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"entities": [{"label": "GEP", "phrase": "paris"}]}, "label 'GEP'; did you mean 'GPE'"),
        ({"entities": [{"label": "GPE", "phrase": "rome"}]}, "'rome' is not in the text"),
        (
            {"entities": [{"label": "GPE", "phrase": p} for p in ("paris", "brussels")]},
            "'brussels' stands before the entity listed ahead of it",
        ),
        ({"entities": [{"label": "GPE"}]}, "needs start_char and end_char, or a phrase"),
        ({"entities": [{"label": "GPE", "start_char": 4}]}, "should be whole numbers"),
        (
            {"entities": [{"label": "GPE", "start_char": 42, "end_char": 60}]},
            "covers characters .42, 60. but the text has 48",
        ),
        (
            {"entities": [{"label": "GPE", "start_char": 4, "end_char": 6, "phrase": "rome"}]},
            "'rome' is not what the text has at .4, 6.: 'eu'",
        ),
        (
            {"entities": [{"label": "ORG", "start_char": s, "end_char": 8} for s in (4, 6)]},
            "overlap",
        ),
        ({"entities": [{"labels": "GPE"}]}, "unknown entity field 'labels'; did you mean 'label'"),
        ({"entities": {}}, "'entities' should be a list"),
        ({"entities": ["GPE"]}, "should be an object"),
        ({"text": 7}, "'text' should be a string, got 7"),
        ({"speaker": 7}, "'speaker' should be a string, got 7"),
        ({"txt": ""}, "unknown field 'txt'; did you mean 'text'"),
        ({"split": "train"}, "split 'train'; .*fine-tune"),
        ({"words": [["the", 0, 1]]}, "a word should be an object"),
        ({"words": [{"text": "the", "start": 0}]}, "word field 'end' is missing"),
        ({"words": [{"text": "the", "start": 2, "end": 1}]}, "word 'the' lasts from 2 to 1 s"),
        ({"id": "first"}, "already used on line 1"),
    ],
)
def test_a_bad_line_is_named(folder: Path, fields: dict[str, Any], message: str) -> None:
    own = write(folder, line("first"), line(**fields))
    with pytest.raises(ValueError, match=rf"own\.jsonl:2: id .*{message}"):
        prepare_jsonl(own, folder / "out")


def test_an_entity_that_ends_after_the_audio_is_refused(folder: Path) -> None:
    entity = {"label": "GPE", "phrase": "paris", "start": 0.5, "end": 1.25}
    own = write(folder, line(entities=[entity]))
    with pytest.raises(ValueError, match=r"ends at 1\.25s but the audio lasts 1\.00s"):
        prepare_jsonl(own, folder / "out")


@pytest.mark.parametrize("content", ["{", "[1]", "[" * 100_000])
def test_a_line_that_is_no_object_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "own.jsonl").write_text(content)
    with pytest.raises(ValueError, match=r"own\.jsonl:1: "):
        prepare_jsonl(tmp_path / "own.jsonl", tmp_path / "out")


def test_an_empty_file_has_nothing_to_prepare(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").touch()
    with pytest.raises(ValueError, match="no utterances found"):
        prepare_jsonl(tmp_path / "own.jsonl", tmp_path / "out")


def test_the_source_is_never_overwritten(folder: Path) -> None:
    own = write(folder, line()).rename(folder / "dev.jsonl")
    with pytest.raises(ValueError, match="would overwrite"):
        prepare_jsonl(own, folder)
    assert json.loads(own.read_text())["id"] == "a"


def test_normalized_and_lower_case_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        TextRules(normalized=True, lower_case=True)


def test_a_split_without_entities_is_warned_about(folder: Path) -> None:
    result = prepare_jsonl(write(folder, line(split="dev")), folder / "out")
    assert any("split dev has no entity at all" in w for w in result.warnings)


def test_an_empty_transcript_is_warned_about_by_id(folder: Path) -> None:
    result = prepare_jsonl(write(folder, line("quiet", text="...")), folder / "out")
    assert any(w.endswith("empty transcript: quiet") for w in result.warnings)


def test_a_wrong_share_is_refused_before_any_audio_is_read(tmp_path: Path) -> None:
    own = write(tmp_path, line("a", audio="gone.wav"), line("b", audio="gone.wav"))
    with pytest.raises(ValueError, match="share of tune should be between 0 and 1"):
        prepare_jsonl(own, tmp_path / "out", tune_share=10)


def test_every_bad_line_is_named_at_once(folder: Path) -> None:
    own = write(folder, line(), line("b", text=7), line("c", split="train"), line("d", audio=7))
    own.write_text(own.read_text() + "{\n")
    with pytest.raises(ValueError, match=r"^4 of 5 lines cannot be used:") as caught:
        prepare_jsonl(own, folder / "out")
    named = [row.split(": ")[0].rsplit(":", 1)[1] for row in str(caught.value).splitlines()[1:]]
    assert named == ["2", "3", "4", "5"]
    assert not (folder / "out").exists()


def test_twenty_bad_lines_are_listed_and_the_others_counted(folder: Path) -> None:
    own = write(folder, *(line(f"u{i}", text=7) for i in range(23)))
    with pytest.raises(ValueError, match=r"23 of 23 lines") as caught:
        prepare_jsonl(own, folder / "out")
    rows = str(caught.value).splitlines()
    assert (len(rows), rows[-1]) == (22, "  and 3 more")


def test_entities_that_end_after_their_audio_are_all_named(folder: Path) -> None:
    late = {"label": "GPE", "phrase": "paris", "start": 0.5, "end": 1.25}
    own = write(folder, *(line(id_, entities=[late]) for id_ in "abc"))
    with pytest.raises(ValueError, match=r"3 utterances cannot be used:") as caught:
        prepare_jsonl(own, folder / "out")
    assert len(str(caught.value).splitlines()) == 4


def counts(folder: Path, *lines: dict[str, Any], **options: Any) -> dict[str, int]:
    result = prepare_jsonl(write(folder, *lines), folder / "out", **options)
    return {name: split.num_utterances for name, split in result.splits.items()}


def test_without_splits_dev_and_tune_are_held_out_by_speaker(folder: Path) -> None:
    own = [line(f"u{i}", speaker=str(i // 2)) for i in range(20)]
    assert counts(folder, *own) == {"fine-tune": 16, "tune": 2, "dev": 2}
    speakers = [
        {u.speaker for u in read_manifest(folder / "out" / f"{name}.jsonl")}
        for name in ("fine-tune", "tune", "dev")
    ]
    assert [len(names) for names in speakers] == [8, 1, 1]
    assert len(set.union(*speakers)) == 10
    first = (folder / "out" / "dev.jsonl").read_text()
    counts(folder, *reversed(own))
    assert (folder / "out" / "dev.jsonl").read_text().splitlines() == first.splitlines()[::-1]


@pytest.mark.parametrize(
    ("number", "sizes"),
    [
        (1, {"fine-tune": 1}),
        (2, {"fine-tune": 1, "tune": 1}),
        (3, {"fine-tune": 1, "tune": 1, "dev": 1}),
        (30, {"fine-tune": 24, "tune": 3, "dev": 3}),
    ],
)
@pytest.mark.parametrize("speaker", [None, "one"])
def test_small_data_and_one_speaker_are_divided_by_utterance(
    folder: Path, number: int, sizes: dict[str, int], speaker: str | None
) -> None:
    assert counts(folder, *(line(f"u{i}", speaker=speaker) for i in range(number))) == sizes


def test_a_share_of_0_holds_nothing_out(folder: Path) -> None:
    assert counts(folder, *map(line, "abcd"), tune_share=0) == {"fine-tune": 4}


def test_no_dev_is_made_where_a_line_says_its_split(folder: Path) -> None:
    own = [line(f"u{i}") for i in range(10)] + [line("t", split="test")]
    assert counts(folder, *own) == {"fine-tune": 9, "tune": 1, "test": 1}


def test_held_out_splits_and_unknown_speakers_are_said(folder: Path) -> None:
    notes = prepare_jsonl(write(folder, *map(line, "abcd")), folder / "out").warnings
    assert "no line says its split: 10 % are held out as dev, 10 % of the rest as tune" in notes
    assert "no line names a speaker: one voice may be in several splits" in notes


def unlabelled(id_: str, **fields: Any) -> dict[str, Any]:
    return {key: value for key, value in line(id_, **fields).items() if key != "entities"}


@pytest.mark.parametrize("none", [unlabelled("x"), line("x", entities=None)])
def test_entities_that_are_not_known_are_not_taken_for_none(
    folder: Path, none: dict[str, Any]
) -> None:
    own = write(folder, line("a", split="dev"), {**none, "split": "dev"})
    result = prepare_jsonl(own, folder / "out")
    assert [u.id for u in read_manifest(folder / "out" / "dev.jsonl")] == ["a"]
    assert [u.id for u in read_manifest(folder / "out" / "unlabelled.jsonl")] == ["x"]
    (note,) = [n for n in result.warnings if "unlabelled.jsonl" in n]
    assert note.startswith("1 of 2 lines do not say which entities they have")


def test_data_without_any_entities_field_is_for_recognition(folder: Path) -> None:
    own = [unlabelled(f"u{i}") for i in range(10)]
    result = prepare_jsonl(write(folder, *own), folder / "out")
    assert list(result.splits) == ["fine-tune", "tune", "dev"]
    assert any("task=ctc_plain" in note for note in result.warnings)


def test_an_old_unlabelled_manifest_is_not_left_behind(folder: Path) -> None:
    prepare_jsonl(write(folder, line("a"), unlabelled("x")), folder / "out")
    prepare_jsonl(write(folder, line("a")), folder / "out")
    assert not (folder / "out" / "unlabelled.jsonl").exists()


def test_lines_without_text_go_where_they_can_be_predicted(folder: Path) -> None:
    bare = {"id": "x", "audio": "a.wav"}
    lines = (line("a"), bare, line("y", text=None, entities=None), unlabelled("z"))
    result = prepare_jsonl(write(folder, *lines), folder / "out", tune_share=0)
    by_split = {
        name: [u.id for u in read_manifest(folder / "out" / f"{name}.jsonl")]
        for name in result.splits
    }
    assert by_split == {"fine-tune": ["a"], "unlabelled": ["z"], "untranscribed": ["x", "y"]}
    assert "2 of 4 lines have no text and go to untranscribed.jsonl, for" in result.warnings[0]
    assert not any("empty transcript" in note for note in result.warnings)
    untranscribed = read_manifest(folder / "out/untranscribed.jsonl")
    with pytest.raises(ValueError, match=r"said in 2 utterances of untranscribed\.jsonl, first x"):
        check_transcribed(untranscribed)


def test_a_file_of_audio_alone_is_a_manifest_to_predict(folder: Path) -> None:
    result = prepare_jsonl(write(folder, {"id": "x", "audio": "a.wav"}), folder / "out")
    assert list(result.splits) == ["untranscribed"] and len(result.warnings) == 1


def test_an_entity_of_a_line_without_text_is_refused(folder: Path) -> None:
    bare = {"id": "x", "audio": "a.wav", "entities": [{"label": "GPE", "phrase": "rome"}]}
    with pytest.raises(ValueError, match="phrase 'rome' is not in the text"):
        prepare_jsonl(write(folder, bare), folder / "out")


@pytest.mark.parametrize(
    ("field", "ours"), [("audio_filepath", "audio"), ("transcript", "text"), ("spk", "speaker")]
)
def test_fields_of_other_tools_lead_to_ours(folder: Path, field: str, ours: str) -> None:
    with pytest.raises(ValueError, match=f"unknown field '{field}'; it is '{ours}' here"):
        prepare_jsonl(write(folder, line(**{field: "x"})), folder / "out")


def test_a_file_in_place_of_the_folder_is_named(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"own\.jsonl is a file; name a folder"):
        prepare_jsonl(write(folder, line()), folder / "own.jsonl")
