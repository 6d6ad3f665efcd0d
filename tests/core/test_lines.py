import bz2
import gzip
import os
from pathlib import Path

import pytest

from slue_ner.core.lines import json_line, json_object, lines_or_errors, numbered_lines


def test_lines_end_at_line_feeds_and_carriage_returns_alone(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\ntwo\u2028\x0b\x0c\x85\u2029two\rthree\n\ufefffour".encode())
    assert list(numbered_lines(path)) == [
        (1, "one"),
        (2, "two\u2028\x0b\x0c\x85\u2029two"),
        (3, "three"),
        (4, "four"),  # a file that was put behind another one
    ]


def test_a_line_that_is_not_utf_8_is_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\r\ntwo\ncaf\xe9\n")
    with pytest.raises(ValueError, match=r"a\.txt: not UTF-8 text on line 3"):
        list(numbered_lines(path))
    first, second, third, last = lines_or_errors(path)
    assert (first, second, last) == ((1, "one"), (2, "two"), (4, ""))
    assert str(third[1]) == "not UTF-8 text (unexpected end of data)"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (r'{"text": "hi \ud83d rome"}', r"field 'text' holds half of a character, \\ud83d at 3"),
        (r'{"entities": [{"phrase": "\uDE00"}]}', r"field 'entities.phrase' .* \\ude00 at 0"),
        (r'{"\ud83d": 1}', "a text holds half of a character"),
    ],
)
def test_half_a_character_is_named_with_its_field(line, message):
    with pytest.raises(ValueError, match=message):
        json_line(line)


def test_both_halves_are_a_character():
    assert json_line(r'"\ud83d\ude00"') == "\U0001f600"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (gzip.compress(b"one", mtime=0), "packed"),
        (bz2.compress(b"one"), "packed"),
        (b"\x28\xb5\x2f\xfd\x00", "packed with zstd"),
        ("one".encode("utf-16"), "UTF-16 text"),
    ],
)
def test_what_is_no_plain_text_is_told_from_its_first_bytes(tmp_path, content, what):
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.jsonl is {what}; give a file of plain UTF-8 text"):
        list(numbered_lines(path))


def test_a_folder_is_no_file_that_is_missing(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path} is a folder; name a file"):
        list(numbered_lines(tmp_path))


def test_a_pipe_is_read_as_a_file(tmp_path):
    reader, writer = os.pipe()
    os.write(writer, b"one\ntwo\n")
    os.close(writer)
    assert list(numbered_lines(Path(f"/dev/fd/{reader}"))) == [(1, "one"), (2, "two")]
    os.close(reader)


def test_a_number_of_5000_digits_is_no_json():
    with pytest.raises(ValueError, match="not JSON: a number with too many digits"):
        json_line("9" * 5000)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "^not JSON: Expecting property name"),
        ("[" * 100_000, "^not JSON: too many brackets$"),
        ("[1]", "^expected one JSON object a line, got list$"),
    ],
)
def test_a_line_that_is_no_object_says_what_it_is(line, message):
    with pytest.raises(ValueError, match=message):
        json_object(line)
