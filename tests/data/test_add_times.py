"""Word times made elsewhere, added to manifests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.core.types import EntitySpan, Utterance, Word
from slue_ner.data.add_times import prepare_word_times
from slue_ner.data.audio import probe

WORDS = [["in", 0.1, 0.2], ["rome", 0.2, 0.5]]
GRID = """File type = "ooTextFile"
Object class = "TextGrid"
0 0.5 <exists> 1
"IntervalTier" "{tier}" 0 0.5 3
0 0.1 "" 0.1 0.2 "in" 0.2 0.5 "Rome"
"""


def utterance(id_: str, split: str = "dev", text: str = "in rome") -> Utterance:
    entity = EntitySpan("GPE", "rome", 3, 7)
    return Utterance(id_, split, None, None, 16_000, text, entities=(entity,))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "dev.jsonl"
    write_manifest(path, [utterance("u:1"), utterance("u2")])
    return path


def write_jsonl(path: Path, words_of: dict[str, object]) -> Path:
    lines = [json.dumps({"id": id_, "words": words}) for id_, words in words_of.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


def times_of(folder: Path) -> list[list[tuple[str, float, float]] | None]:
    return [
        None if u.words is None else [(w.text, w.start, w.end) for w in u.words]
        for u in read_manifest(folder / "dev.jsonl")
    ]


def test_json_lines_give_words_and_entity_times(manifest: Path, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "times.jsonl", {"u2": WORDS, "x": WORDS})
    prepared = prepare_word_times(manifest, tmp_path / "out", source=source)
    assert times_of(tmp_path / "out") == [None, [("in", 0.1, 0.2), ("rome", 0.2, 0.5)]]
    first, second = read_manifest(tmp_path / "out" / "dev.jsonl")
    assert first == utterance("u:1")
    assert (second.entities[0].words, second.entities[0].start) == ((1, 2), 0.2)
    assert prepared.warnings == (
        "1 of 2 utterances of dev got word times",
        "1 ids with times are in no manifest: x",
    )


def test_a_ctm_gives_word_times(manifest: Path, tmp_path: Path) -> None:
    source = tmp_path / "asr.ctm"
    source.write_text("u:1 1 0.1 0.1 in 0.9\nu:1 1 0.2 0.3 rome 0.8\n")
    prepare_word_times(manifest, tmp_path / "out", source=source)
    assert times_of(tmp_path / "out") == [[("in", 0.1, 0.2), ("rome", 0.2, 0.5)], None]
    words = read_manifest(tmp_path / "out" / "dev.jsonl")[0].words
    assert words is not None and words[0] == Word("in", 0.1, 0.2)


@pytest.mark.parametrize("tier", ["words", "speaker 7 - words"])
def test_textgrids_are_found_by_id_in_any_folder_below(
    manifest: Path, tmp_path: Path, tier: str
) -> None:
    folder = tmp_path / "grids" / "speaker 7"
    folder.mkdir(parents=True)
    for name in ("u_1", "other"):
        (folder / f"{name}.TextGrid").write_text(GRID.format(tier=tier))
    prepared = prepare_word_times(manifest, tmp_path / "out", source=tmp_path / "grids")
    assert times_of(tmp_path / "out") == [
        [("", 0, 0.1), ("in", 0.1, 0.2), ("rome", 0.2, 0.5)],
        None,
    ]
    assert prepared.warnings[-1] == "1 ids with times are in no manifest: other"


def test_a_folder_of_manifests_stays_one_data_set(tmp_path: Path) -> None:
    write_manifest(tmp_path / "data" / "dev.jsonl", [utterance("u1")])
    write_manifest(tmp_path / "data" / "fine-tune.jsonl", [utterance("u2", "fine-tune")])
    source = write_jsonl(tmp_path / "times.jsonl", {"u1": WORDS})
    prepared = prepare_word_times(tmp_path / "data", tmp_path / "out", source=source)
    assert list(prepared.splits) == ["fine-tune", "dev"]
    assert read_manifest(tmp_path / "out" / "fine-tune.jsonl")[0].words is None


def test_audio_is_still_found(tiny_corpus: Path, tmp_path: Path) -> None:
    (first, *_) = read_manifest(tiny_corpus / "dev.jsonl")
    spoken = [[word, 0.1 * i, 0.1 * (i + 1)] for i, word in enumerate(first.text.split())]
    source = write_jsonl(tmp_path / "times.jsonl", {first.id: spoken})
    out = tmp_path / "far" / "away"
    prepare_word_times(tiny_corpus / "dev.jsonl", out, source=source)
    for copied, original in zip(
        read_manifest(out / "dev.jsonl"), read_manifest(tiny_corpus / "dev.jsonl"), strict=True
    ):
        assert copied.audio is not None and original.audio is not None
        assert copied.audio.samefile(original.audio)
        assert probe(copied.audio).num_samples == original.num_samples


def test_other_words_are_said_with_the_id_and_left_without_times(
    manifest: Path, tmp_path: Path
) -> None:
    other = [["in", 0.1, 0.2], ["paris", 0.2, 0.5]]
    source = write_jsonl(tmp_path / "times.jsonl", {"u:1": other, "u2": WORDS})
    prepared = prepare_word_times(manifest, tmp_path / "out", source=source)
    assert times_of(tmp_path / "out")[0] is None
    assert prepared.warnings[1] == (
        "1 utterances got none because the aligned words are not the text's: "
        "u:1 (word 2 is 'paris' in the alignment, 'rome' in the text)"
    )


def test_old_times_stay_where_there_are_no_new_ones(manifest: Path, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "first.jsonl", {"u:1": WORDS})
    prepare_word_times(manifest, tmp_path / "one", source=source)
    source = write_jsonl(tmp_path / "second.jsonl", {"u2": WORDS})
    prepare_word_times(tmp_path / "one" / "dev.jsonl", tmp_path / "two", source=source)
    assert None not in times_of(tmp_path / "two")


def test_the_manifest_is_never_overwritten(manifest: Path, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "times.jsonl", {"u2": WORDS})
    with pytest.raises(ValueError, match="would overwrite"):
        prepare_word_times(manifest, manifest.parent, source=source)


def test_times_of_nothing_are_refused(manifest: Path, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "times.jsonl", {"x": WORDS})
    with pytest.raises(ValueError, match=r"has times for not one of .*dev\.jsonl's utterances"):
        prepare_word_times(manifest, tmp_path / "out", source=source)
    source = write_jsonl(tmp_path / "times.jsonl", {"u2": [["on", 0, 1]]})
    with pytest.raises(ValueError, match=r"not one of .*: u2 \(word 1 is 'on' in the alignment"):
        prepare_word_times(manifest, tmp_path / "out", source=source)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", 'expected {"id": ID, "words"'),
        ("{", "Expecting property name"),
        ('{"id": "u2", "words": [["a", 0]]}', r"a word should be \[word, start, end\]"),
        ('{"id": "u2", "words": [["a", false, true]]}', r"a word should be \[word, start, end\]"),
        ('{"id": "u2", "words": [["a", 2, 1]]}', "TimeSpan needs 0 <= start <= end"),
        ('{"id": "u2", "words": [], "text": ""}', ".* and nothing else"),
        ('{"id": "u1", "words": []}', "id 'u1' was already used"),
    ],
)
def test_a_bad_line_is_named(manifest: Path, tmp_path: Path, line: str, message: str) -> None:
    source = tmp_path / "times.jsonl"
    source.write_text(f'{{"id": "u1", "words": []}}\n{line}\n')
    with pytest.raises(ValueError, match=rf"times\.jsonl:2: {message}"):
        prepare_word_times(manifest, tmp_path / "out", source=source)


def test_grids_without_the_tier_or_of_one_name_are_refused(manifest: Path, tmp_path: Path) -> None:
    folder = tmp_path / "grids"
    folder.mkdir()
    (folder / "u2.TextGrid").write_text(GRID.format(tier="phones"))
    with pytest.raises(ValueError, match=r"u2\.TextGrid: expected one tier .*tiers: 'phones'"):
        prepare_word_times(manifest, tmp_path / "out", source=folder)
    (folder / "b").mkdir()
    (folder / "b" / "u2.textgrid").write_text(GRID.format(tier="words"))
    with pytest.raises(ValueError, match="have one name; keep one of them"):
        prepare_word_times(manifest, tmp_path / "out", source=folder)


def test_another_kind_of_source_is_refused(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a \.jsonl file; there is no such file or folder"):
        prepare_word_times(manifest, tmp_path / "out", source=tmp_path / "gone")
    with pytest.raises(ValueError, match=r"other: no fine-tune\.jsonl, tune\.jsonl, dev"):
        (tmp_path / "other").mkdir()
        prepare_word_times(tmp_path / "other", tmp_path / "out", source=tmp_path / "t.ctm")
