"""Word times made elsewhere, added to manifests."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.core.types import EntitySpan, Utterance, Word
from slue_ner.data.corpora.add_times import prepare_word_times
from slue_ner.data.loading.audio import probe

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


def test_a_grid_is_found_by_an_id_whose_accents_its_name_takes_apart(tmp_path: Path) -> None:
    utterance = Utterance("caf\u00e9", "dev", None, 16_000, 16_000, "in rome")
    write_manifest(tmp_path / "dev.jsonl", [utterance])
    (tmp_path / "grids").mkdir()
    grid = tmp_path / "grids" / "cafe\u0301.TextGrid"
    grid.write_text(GRID.format(tier=" Words "))
    prepare_word_times(tmp_path / "dev.jsonl", tmp_path / "out", source=tmp_path / "grids")
    assert times_of(tmp_path / "out") == [[("", 0, 0.1), ("in", 0.1, 0.2), ("rome", 0.2, 0.5)]]


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
        "1 could not be used, so that these utterances stay as they were:"
        f"\n  u:1: {source}: word 2 is 'paris' in the alignment, 'rome' in the text"
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
    with pytest.raises(ValueError, match=r"not one of .*:\n  u2: .*: word 1 is 'on' in the"):
        prepare_word_times(manifest, tmp_path / "out", source=source)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", 'expected {"id": ID, "words"'),
        ("{", "not JSON: Expecting property name"),
        ('{"id": "u2", "words": [["a", 0]]}', r"a word should be \[word, start, end\]"),
        ('{"id": "u2", "words": [["a", false, true]]}', r"a word should be \[word, start, end\]"),
        ('{"id": "u2", "words": [["a", 2, 1]]}', "TimeSpan needs 0 <= start <= end"),
        ('{"id": "u2", "words": [], "text": ""}', ".* and nothing else"),
        ('{"id": "u:1", "words": []}', "id 'u:1' was already used"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_read(
    manifest: Path, tmp_path: Path, line: str, message: str
) -> None:
    source = write_jsonl(tmp_path / "times.jsonl", {"u:1": WORDS})
    good = json.dumps({"id": "u2", "words": WORDS})
    source.write_text(f"{source.read_text()}{line.replace('u2', 'bad')}\n{good}\n")
    prepared = prepare_word_times(manifest, tmp_path / "out", source=source)
    assert times_of(tmp_path / "out")[1] == [("in", 0.1, 0.2), ("rome", 0.2, 0.5)]
    (note,) = [n for n in prepared.warnings if "could not be used" in n]
    assert re.search(rf"\n  [^\n]*times\.jsonl:2: {message}", note)


def test_a_line_that_is_not_utf_8_is_named_and_the_others_are_read(
    manifest: Path, tmp_path: Path
) -> None:
    source = write_jsonl(tmp_path / "times.jsonl", {"u:1": WORDS})
    source.write_bytes(b'{"id": "u2", "words": [["k\xf6ln", 0, 1]]}\n' + source.read_bytes())
    prepared = prepare_word_times(manifest, tmp_path / "out", source=source)
    assert any("line 1: " in n and "times.jsonl:1: not UTF-8" in n for n in prepared.warnings)
    assert times_of(tmp_path / "out")[0] is not None


def grids(tmp_path: Path, bad: str | bytes) -> Path:
    """A folder with a good grid for u:1 and another for u2."""
    folder = tmp_path / "grids"
    folder.mkdir()
    (folder / "u_1.TextGrid").write_text(GRID.format(tier="words"))
    (folder / "u2.TextGrid").write_bytes(bad.encode() if isinstance(bad, str) else bad)
    return folder


def tiers(*named: tuple[str, str]) -> str:
    """A grid with these interval tiers."""
    head = f'"ooTextFile" "TextGrid" 0 0.5 <exists> {len(named)}'
    return head + "".join(f'\n"IntervalTier" "{name}" 0 0.5 {rest}' for name, rest in named)


IN_ROME = '2 0.1 0.2 "in" 0.2 0.5 "rome"'


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("", "u2.TextGrid:1: the file ends where the file type should be"),
        (GRID.format(tier="phones"), "expected one tier named 'words'; interval tiers: 'phones'"),
        (GRID.format(tier="words").replace("0.1 0.2", "0.2 0.1"), "interval 'in' in tier 'words'"),
        (GRID.format(tier="words").encode("utf-16")[:-1], "u2.TextGrid: not UTF-16 text"),
        (GRID.format(tier="words").replace("Rome", "Paris"), "word 2 is 'Paris' in the alignment"),
        (
            tiers(("a - words", '1 0 1 "on"'), ("b - words", '1 0 1 "at"')),
            "none of the tiers 'a - words', 'b - words', nor all together, has the text",
        ),
        (
            tiers(("words", IN_ROME), ("words", '2 0.1 0.3 "in" 0.3 0.5 "rome"')),
            "tiers 'words' and 'words (2)' both have the text, at other times",
        ),
    ],
)
def test_a_bad_grid_is_named_and_the_others_are_read(
    manifest: Path, tmp_path: Path, bad: str | bytes, reason: str
) -> None:
    prepared = prepare_word_times(manifest, tmp_path / "out", source=grids(tmp_path, bad))
    assert [times is not None for times in times_of(tmp_path / "out")] == [True, False]
    (note,) = [n for n in prepared.warnings if n.startswith("1 could not be used")]
    assert "\n  u2: " in note and "u2.TextGrid" in note and reason in note


@pytest.mark.parametrize(
    "grid",
    [
        tiers(("ana - words", '1 0 0.5 ""'), ("bo - words", IN_ROME)),
        tiers(("ana - words", '1 0.1 0.2 "in"'), ("bo - words", '1 0.2 0.5 "rome"')),
        tiers(("words", IN_ROME), ("phones", '1 0 1 "x"'), ("phones", '1 0 1 "x"')),
        tiers(("words", IN_ROME), ("words", IN_ROME)),
        tiers(("words", IN_ROME), ("phones", '1 1 0 "x"')),
        tiers(("ORT-MAU", '3 0 0.1 "<p:>" 0.1 0.2 "in" 0.2 0.5 "Rome"')),
    ],
)
def test_the_tier_that_has_the_text_is_taken(manifest: Path, tmp_path: Path, grid: str) -> None:
    prepare_word_times(manifest, tmp_path / "out", source=grids(tmp_path, grid))
    spoken = times_of(tmp_path / "out")[1]
    assert spoken is not None
    assert [w for w in spoken if w[0]] == [("in", 0.1, 0.2), ("rome", 0.2, 0.5)]


def test_latin_1_is_read_where_it_has_the_text_and_counted(tmp_path: Path) -> None:
    text = "in k\u00f6ln"
    write_manifest(tmp_path / "dev.jsonl", [Utterance("u2", "dev", None, None, 16_000, text)])
    grid = GRID.format(tier="words").replace("Rome", "K\u00f6ln").encode("latin-1")
    source = grids(tmp_path, grid)
    prepared = prepare_word_times(tmp_path / "dev.jsonl", tmp_path / "out", source=source)
    assert times_of(tmp_path / "out") == [
        [("", 0.0, 0.1), ("in", 0.1, 0.2), ("k\u00f6ln", 0.2, 0.5)]
    ]
    (note,) = [n for n in prepared.warnings if "Latin-1" in n]
    assert note.startswith("1 files are neither UTF-8 nor UTF-16")


def test_two_grids_of_one_name_hold_up_no_other(manifest: Path, tmp_path: Path) -> None:
    folder = grids(tmp_path, GRID.format(tier="words"))
    (folder / "b").mkdir()
    (folder / "b" / "u2.textgrid").write_text(GRID.format(tier="words"))
    prepared = prepare_word_times(manifest, tmp_path / "out", source=folder)
    assert [times is not None for times in times_of(tmp_path / "out")] == [True, False]
    assert any("have one name; keep one of them" in note for note in prepared.warnings)


def test_a_bad_line_of_a_ctm_takes_its_own_utterance_alone(manifest: Path, tmp_path: Path) -> None:
    source = tmp_path / "asr.ctm"
    source.write_text("u:1 1 0.1 0.1 in\nu:1 1 0.2 0.3 rome\nu2 1 0.1 0.1 in\nu2 1 0.2 rome\n")
    prepared = prepare_word_times(manifest, tmp_path / "out", source=source)
    assert [times is not None for times in times_of(tmp_path / "out")] == [True, False]
    assert any(f"\n  u2: {source}:4: 4 columns" in note for note in prepared.warnings)


def test_twenty_reasons_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    write_manifest(tmp_path / "dev.jsonl", [utterance(f"u{i}") for i in range(24)])
    on = {f"u{i}": [["on", 0, 1]] for i in range(23)}
    source = write_jsonl(tmp_path / "times.jsonl", {**on, "u23": WORDS})
    prepared = prepare_word_times(tmp_path / "dev.jsonl", tmp_path / "out", source=source)
    rows = prepared.warnings[1].splitlines()
    assert (rows[0][:2], len(rows), rows[-1]) == ("23", 22, "  and 3 more")


def test_another_kind_of_source_is_refused(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a \.jsonl file; there is no such file or folder"):
        prepare_word_times(manifest, tmp_path / "out", source=tmp_path / "gone")
    with pytest.raises(ValueError, match=r"other: no fine-tune\.jsonl, tune\.jsonl, dev"):
        (tmp_path / "other").mkdir()
        prepare_word_times(tmp_path / "other", tmp_path / "out", source=tmp_path / "t.ctm")
