"""NIST's CTM files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.types import Word
from slue_ner.data.corpora.aligner_files import read_ctm, scan_ctm


def written(folder: Path, text: str) -> Path:
    path = folder / "words.ctm"
    path.write_text(text)
    return path


def test_words_are_read_by_id_and_comments_left_out(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        ";; made by an aligner\n"
        "a 1 0.10 0.20 the 0.98\n"
        "b A 1.5 0 um\n\n"
        "a 1 0.30 0.41 eu's NA\n"
        "b A 1.50 0.5 so 1 lex spk1\n",
    )
    assert read_ctm(path) == {
        "a": [Word("the", 0.1, 0.3, score=0.98), Word("eu's", 0.3, 0.71)],
        "b": [Word("um", 1.5, 1.5), Word("so", 1.5, 2.0, score=1.0)],
    }


def test_ends_are_added_as_decimal_numbers(tmp_path: Path) -> None:
    assert 0.1 + 0.2 != 0.3
    (word,) = read_ctm(written(tmp_path, "a 1 0.1 0.2 x\n"))["a"]
    assert word.end == 0.3


@given(spans=st.lists(st.tuples(st.integers(0, 9_999), st.integers(0, 99)), max_size=8))
def test_hundredths_survive(
    spans: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = [
        f"u 1 {start / 100:.2f} {duration / 100:.2f} w{index} 0.5\n"
        for index, (start, duration) in enumerate(spans)
    ]
    words = read_ctm(written(tmp_path_factory.getbasetemp(), "".join(lines))).get("u", [])
    assert words == [
        Word(f"w{index}", start / 100, (start + duration) / 100, score=0.5)
        for index, (start, duration) in enumerate(spans)
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a 1 0.1 0.2", "4 columns; expected id, channel, start, duration, word"),
        ("a 1 0.1 0.2 x 1 2 3 4", "9 columns"),
        ("a 1 0:01 0.2 x", "the start should be a number from 0 up, got '0:01'"),
        ("a 1 nan 0.2 x", "the start should be a number"),
        ("a 1 -1 0.2 x", "the start should be a number from 0 up, got '-1'"),
        ("a 1 0.1 -0.2 x", "the duration should be"),
        ("a 1 0.1 0.2 x 1.5", r"the confidence should be in \[0, 1\], got 1.5"),
        ("z 2 0.1 0.2 x", "z has words on channels 1 and 2"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = written(tmp_path, f"z 1 0 1 x\n{line}\n")
    with pytest.raises(ValueError, match=rf"words\.ctm:2: {message}"):
        read_ctm(path)


def test_a_missing_file_and_another_encoding_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        read_ctm(tmp_path / "gone.ctm")
    path = tmp_path / "latin.ctm"
    path.write_bytes(b"a 1 0 1 caf\xe9\n")
    with pytest.raises(ValueError, match=r"latin\.ctm: not UTF-8"):
        read_ctm(path)


def test_a_scan_keeps_the_ids_whose_lines_are_right(tmp_path: Path) -> None:
    path = written(tmp_path, "a 1 0 1 x\nb 1 0 1 y\nb 1 1 z\nb 2 1 1 z\nc 1 0 1 z\n")
    found = scan_ctm(path)
    assert found.words == {"a": [Word("x", 0, 1)], "c": [Word("z", 0, 1)]}
    assert list(found.problems) == ["b"]
    assert found.problems["b"].startswith(f"{path}:3: 4 columns")


def test_white_space_of_other_kinds_is_part_of_a_word(tmp_path: Path) -> None:
    path = tmp_path / "a.ctm"
    path.write_text(
        "\ufeffa 1 0.0 0.5 new\u00a0york\na\t1 0.5 0.5 x\u2028y 0.9\n", encoding="utf-8"
    )
    assert [word.text for word in read_ctm(path)["a"]] == ["new\u00a0york", "x\u2028y"]
