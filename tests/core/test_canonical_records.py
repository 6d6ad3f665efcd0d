import json

import pytest

from slue_ner.core.canonical_records import ReadingNote
from slue_ner.core.records import read_manifest, read_predictions
from slue_ner.core.types import EntitySpan


def written(path, *records, mark=""):
    lines = "".join(json.dumps({"schema": 1, **r}, ensure_ascii=False) + "\n" for r in records)
    path.write_text(mark + lines, encoding="utf-8")
    return path


ROME = {"id": "a", "split": "dev", "text": "jose\u0301 \u200b in o\u2019rome"}
ENTITY = {"label": "GPE", "phrase": "o\u2019rome", "start_char": 11, "end_char": 17}


def test_a_manifest_is_read_in_canonical_form_and_its_entities_follow(tmp_path):
    words = [{"text": "jose\u0301", "start": 0, "end": 1}, {"text": "in", "start": 1, "end": 2}]
    path = written(tmp_path / "m.jsonl", {**ROME, "entities": [ENTITY], "words": words})
    notes = []
    (read,) = read_manifest(path, note=notes.append)
    assert read.text == "jos\u00e9 in o'rome"
    assert read.entities == (EntitySpan("GPE", "o'rome", 8, 14),)
    assert [word.text for word in read.words] == ["jos\u00e9", "in"]
    (note,) = notes
    assert note.startswith(f"{path}: 1 text was brought to canonical form (")


def test_without_a_listener_the_note_is_a_warning(tmp_path):
    path = written(tmp_path / "m.jsonl", ROME)
    with pytest.warns(ReadingNote, match="1 text was brought to canonical form"):
        read_manifest(path)


def test_a_canonical_manifest_with_a_byte_order_mark_is_read_without_a_word(tmp_path):
    path = written(tmp_path / "m.jsonl", {**ROME, "text": "in rome"}, mark="\ufeff")
    (read,) = read_manifest(path)
    assert read.text == "in rome"


def test_predictions_are_read_in_canonical_form(tmp_path):
    record = {
        "id": "a",
        "text": "the eu\u2019s\u00a0view",
        "entities": [{"label": "ORG", "phrase": "eu\u2019s"}],
        "tokens": [["\u2019", 0, 1, 0.5]],
    }
    notes = []
    (read,) = read_predictions(written(tmp_path / "p.jsonl", record), note=notes.append)
    assert (read.text, read.entities[0].phrase) == ("the eu's view", "eu's")
    assert read.tokens[0].symbol == "'"
    assert "(white space in 1, apostrophes in 1)" in notes[0] or "apostrophes in 1" in notes[0]


def test_an_entity_of_invisible_characters_alone_is_refused(tmp_path):
    entity = {"label": "GPE", "phrase": "\u200b", "start_char": 3, "end_char": 4}
    path = written(tmp_path / "m.jsonl", {**ROME, "text": "in \u200b rome", "entities": [entity]})
    with pytest.raises(ValueError, match=r"m\.jsonl:1: entity GPE .* holds no word"):
        read_manifest(path)


def test_a_line_separator_inside_a_text_ends_no_line(tmp_path):
    path = written(tmp_path / "m.jsonl", {**ROME, "text": "in\u2028rome"})
    (read,) = read_manifest(path, note=lambda _: None)
    assert read.text == "in rome"


def test_half_a_character_is_named_with_file_and_line(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"schema": 1, "id": "a", "text": "\\ud83d", "entities": []}\n')
    with pytest.raises(ValueError, match=r"p\.jsonl:1: field 'text' holds half of a character"):
        read_predictions(path)
