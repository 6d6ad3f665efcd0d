"""Praat's TextGrids, written here in both formats and read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.types import Word
from slue_ner.data.corpora.aligner_files import Tier, read_textgrid

Tiers = dict[str, list[Word]]

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 0.7
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 0.7
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.29
            text = ""
        intervals [2]:
            xmin = 0.29
            xmax = 0.5
            text = "the"
        intervals [3]:
            xmin = 0.5
            xmax = 0.7
            text = " eu "
    item [2]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 0.7
        points: size = 1
        points [1]:
            number = 0.3
            mark = "click"
"""
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
0.7
<exists>
1
"IntervalTier"
"words"
0
0.7
3
0
0.29
""
0.29
0.5
"the"
0.5
0.7
"eu"
"""
WORDS = [Word("", 0, 0.29), Word("the", 0.29, 0.5), Word("eu", 0.5, 0.7)]


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def long_form(tiers: Tiers, end: float) -> str:
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 "]
    lines += [f"xmax = {end!r} ", "tiers? <exists> ", f"size = {len(tiers)} ", "item []: "]
    for number, (name, words) in enumerate(tiers.items(), start=1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier" ']
        lines += [
            f"        name = {quoted(name)} ",
            "        xmin = 0 ",
            f"        xmax = {end!r} ",
        ]
        lines += [f"        intervals: size = {len(words)} "]
        for index, word in enumerate(words, start=1):
            lines += [f"        intervals [{index}]:", f"            xmin = {word.start!r} "]
            lines += [
                f"            xmax = {word.end!r} ",
                f"            text = {quoted(word.text)} ",
            ]
    return "\n".join(lines) + "\n"


def short_form(tiers: Tiers, end: float) -> str:
    lines = ['File type = "ooTextFile"', '"TextGrid"', "", "0", repr(end), "<exists>"]
    lines.append(str(len(tiers)))
    for name, words in tiers.items():
        lines += ['"IntervalTier"', quoted(name), "0", repr(end), str(len(words))]
        for word in words:
            lines += [repr(word.start), repr(word.end), quoted(word.text)]
    return "\n".join(lines) + "\n"


@st.composite
def grids(draw: st.DrawFn) -> Tiers:
    characters = st.characters(codec="utf-8", exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85")
    texts = st.text(characters, max_size=8).map(str.strip)
    names = draw(st.lists(texts, max_size=3, unique=True))
    tiers: Tiers = {}
    for name in names:
        spoken = draw(st.lists(st.tuples(texts, st.floats(0, 10)), max_size=5))
        start, tiers[name] = 0.0, []
        for text, duration in spoken:
            tiers[name].append(Word(text, start, start + duration))
            start += duration
    return tiers


@pytest.mark.parametrize("text", [LONG, SHORT], ids=["long", "short"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_both_formats_are_read_in_any_encoding(
    tmp_path: Path, text: str, encoding: str, line_end: str
) -> None:
    path = tmp_path / "a.TextGrid"
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    path.write_bytes(mark + text.replace("\n", line_end).encode(encoding))
    assert read_textgrid(path) == [Tier("words", WORDS)]


@given(tiers=grids(), form=st.sampled_from([long_form, short_form]))
def test_what_is_written_is_read_back(
    tiers: Tiers, form: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "property.TextGrid"
    assert callable(form)
    path.write_bytes(form(tiers, 99.5).encode())
    assert read_textgrid(path) == [Tier(*item) for item in tiers.items()]


def test_quotes_are_doubled_and_texts_may_look_like_anything_else(tmp_path: Path) -> None:
    tiers = {'a "b"': [Word('say "3" <exists> ! xmin = 4', 0, 1), Word("7", 1, 2)]}
    path = tmp_path / "a.TextGrid"
    for form in (long_form, short_form):
        path.write_text(form(tiers, 2))
        assert read_textgrid(path) == [Tier(*item) for item in tiers.items()]


def test_a_comment_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_text(SHORT.replace("<exists>\n", '<exists> ! how "many" 3\n'))
    assert read_textgrid(path) == [Tier("words", WORDS)]


def test_a_grid_without_tiers_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_text('File type = "ooTextFile"\nObject class = "TextGrid"\n0\n1\n<absent>\n')
    assert read_textgrid(path) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"ooTextFile"', '"ooNote"', r":1: the file type is 'ooNote', expected 'ooTextFile'"),
        ('"TextGrid"', '"Pitch"', r":2: the object class is 'Pitch'"),
        ("size = 2", "size = 2.5", r":7: the number of tiers should be a whole number, got 2.5"),
        ('"TextTier"', '"Tier"', r":28: a tier of class 'Tier'; known: IntervalTier, TextTier"),
        ("xmax = 0.29", "xmax = 0.1.2", r":18: the end of an interval .* number, got ''"),
        ('text = "the"', 'text = "the', r":39: .*closed|:\d+: .* in tier 'words' should be"),
        ("points: size = 1", "points: size = 2", r":\d+: the file ends where a time in tier 'clic"),
    ],
)
def test_a_malformed_grid_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "a.TextGrid"
    assert LONG.count(old) >= 1
    path.write_text(LONG.replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as caught:
        read_textgrid(path)
    assert str(caught.value).startswith(f"{path}:")


@given(cut=st.integers(1, len(SHORT) - 2))
def test_a_grid_cut_off_is_refused(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.TextGrid"
    path.write_text(SHORT[:cut])
    with pytest.raises(ValueError, match=r"cut\.TextGrid:\d+: "):
        read_textgrid(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ooBinaryFile\x08TextGrid", "a binary TextGrid; save it as a text file"),
        (b"\xff\xfe\x00", "not UTF-16 text"),
        (b"", r":1: the file ends where the file type should be"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_textgrid(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone\.TextGrid: no such file"):
        read_textgrid(tmp_path / "gone.TextGrid")


def test_two_tiers_of_one_name_are_two_tiers(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    tier = SHORT[SHORT.index('"IntervalTier"') :]
    path.write_text(SHORT.replace("<exists>\n1", "<exists>\n2") + tier)
    assert read_textgrid(path) == [Tier("words", WORDS), Tier("words", WORDS)]


def test_an_interval_that_ends_before_it_starts_is_the_problem_of_its_tier(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_text(LONG.replace("xmax = 0.5", "xmax = 0.2"))
    (tier,) = read_textgrid(path)
    assert tier.problem is not None
    assert tier.problem.startswith(
        f"{path}:22: interval 'the' in tier 'words': TimeSpan needs 0 <="
    )


def test_what_is_neither_utf_8_nor_utf_16_is_read_as_praat_does(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_bytes(SHORT.replace('"eu"', '"k\u00f6ln"').encode("latin-1"))
    (tier,) = read_textgrid(path)
    assert tier.words[-1].text == "k\u00f6ln"
