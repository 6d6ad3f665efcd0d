"""ARPA files of other programs, and damaged ones."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from slue_ner.decoding.lm.ngram_file import read_model, write_model
from slue_ner.decoding.lm.ngram_training import train

FOREIGN = """
made by another program

\\data\\
ngram 1=4
ngram 2=3

\\1-grams:
-0.5\t</s>
-99 <s> -0.3
-0.4\ta\t-0.2
-0.6\tb

\\2-grams:
-0.1\t<s> a
-0.7\ta b
-0.2\tb </s>

\\end\\
"""


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    path = tmp_path / "foreign.arpa"
    path.write_text(FOREIGN)
    return path


def test_a_model_of_another_program_is_read_and_scores(foreign: Path) -> None:
    model = read_model(foreign)
    assert model.counts == (5, 3)  # <unk> was added
    assert model.score(["a", "b"]) == pytest.approx([-0.1, -0.7, -0.2])
    assert model.score(["b", "a"]) == pytest.approx([-0.3 - 0.6, -0.4, -0.2 - 0.5])
    assert model.score(["new"])[0] < -99


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ngram 2=3", "ngram 3=3", r":6: expected ngram 2=COUNT"),
        ("ngram 2=3", "ngram 2=4", r":19: expected 4 2-grams, found 3; the file is cut off"),
        ("ngram 2=3", "ngram 2=2", r"expected \\end\\; the file is cut off, or has more"),
        ("-0.7\ta b", "-0.7\ta", r":16: expected LOG_PROB, 2 words"),
        ("-0.7\ta b", "x\ta b", r":16: x and 0 should be numbers"),
        ("-0.7\ta b", "nan\ta b", r":16: nan and 0 should be finite"),
        ("-0.7\ta b", "-1e39\ta b", r":16: -1e39 and 0 should be finite"),
        ("-0.7\ta b", "-0.7\ta b\tinf", r":16: -0.7 and inf should be finite"),
        ("-0.7\ta b", "0.001\ta b", r":16: the log10 probability 0.001 is above 0"),
        ("-0.6\tb", "1\tb", r":12: the log10 probability 1 is above 0"),
        ("-0.7\ta b", "\n\n-0.7\t<s> a", r":18: this n-gram is there twice"),
        ("ngram 2=3", "ngram 2 : 3", r":6: expected ngram 2=COUNT, got 'ngram 2 : 3'"),
        ("ngram 2=3", "ngram 2=\N{SUPERSCRIPT THREE}", r":6: expected ngram 2=COUNT"),
        ("\\1-grams:", "\\2-grams:", r":8: expected \\1-grams:, got '\\\\2-grams:'"),
        (FOREIGN[FOREIGN.index("\\1-grams:") :], "", r":7: expected \\1-grams:; the file is cut"),
        ("made by another", "# labels: mixed\n", r":2: unknown label set 'mixed'"),
        ("-0.7\ta b", "-0.7\ta z", r":16: 'z' is not among the 1-grams"),
        ("-0.7\ta b", "-0.7\t<s> a", r":16: this n-gram is there twice"),
        ("-0.5\t</s>", "-0.5\tc", r"</s> is not among the 1-grams"),
        ("\\end\\\n", "", r"expected \\end\\; the file is cut off"),
        ("\\data\\\nngram 1=4\nngram 2=3\n", "", r"this is no ARPA file"),
        ("\\2-grams:", "\\3-grams:", r":14: expected \\2-grams:"),
    ],
)
def test_a_damaged_file_is_one_sentence_with_its_line(
    foreign: Path, old: str, new: str, message: str
) -> None:
    assert old in FOREIGN
    foreign.write_text(FOREIGN.replace(old, new))
    with pytest.raises(ValueError, match=message) as caught:
        read_model(foreign)
    assert str(caught.value).startswith(f"{foreign}:")


def test_an_n_gram_whose_first_words_are_missing_is_named(foreign: Path) -> None:
    foreign.write_text(
        FOREIGN.replace("ngram 2=3", "ngram 2=3\nngram 3=1").replace(
            "\n\\end\\", "\n\\3-grams:\n-0.1\tb a b\n\n\\end\\"
        )
    )
    with pytest.raises(ValueError, match=r":21: .* the n-gram of its first words is missing"):
        read_model(foreign)


@pytest.mark.parametrize("keep", [0.95, 0.5, 0.05, 0.004])
@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz", "lm.ngram"])
def test_a_truncated_file_never_reads(tmp_path: Path, name: str, keep: float) -> None:
    model, _ = train([list("abcabd"), list("dcba")] * 20, order=3)
    path = tmp_path / name
    write_model(model, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ValueError, match=name):
        read_model(path)


@pytest.mark.parametrize("unknown", ["<unk>", "<UNK>"])
def test_the_unknown_word_may_be_written_either_way_at_every_order(
    tmp_path: Path, unknown: str
) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(
        "\\data\\\nngram 1=4\nngram 2=3\nngram 3=1\n\n\\1-grams:\n-1.0\t<UNK>\t-0.2\n0\t<s>\t-0.3\n"
        "-1.0\t</s>\n-0.5\the\t-0.4\n\n\\2-grams:\n-0.2\t<s> he\t-0.1\n-0.7\the <UNK>\t-0.05\n"
        "-0.6\t<UNK> he\n\n\\3-grams:\n-0.35\the <UNK> he\n\n\\end\\\n".replace("<UNK>", unknown)
    )
    model = read_model(path)
    assert model.counts == (4, 3, 1)
    # <s> he; he <unk> after <s> he: -0.1 - 0.7; he <unk> he; he </s> after <unk> he: -0.4 - 1.0
    assert model.score(["he", "new", "he"]) == pytest.approx([-0.2, -0.8, -0.35, -1.4])


def test_back_off_weights_of_the_longest_n_grams_are_noted_and_not_used(foreign: Path) -> None:
    sound = read_model(foreign)
    foreign.write_text(FOREIGN.replace("-0.7\ta b", "-0.7\ta b\t-0.1").replace("> a\n", "> a\t0\n"))
    notes: list[str] = []
    model = read_model(foreign, note=notes.append)
    assert model.score(["a", "b", "b"]) == pytest.approx(sound.score(["a", "b", "b"]))
    assert notes == [
        f"{foreign}:16: 1 of the longest n-grams have back-off weights, which nothing can use "
        "(KenLM refuses such files); they are left out"
    ]
    foreign.write_text(FOREIGN.replace("-0.7\ta b", "-0.7\ta b\t0"))  # 0 says nothing
    assert read_model(foreign, note=notes.append) and len(notes) == 1


def test_words_are_spelled_as_texts_that_are_read(foreign: Path) -> None:
    foreign.write_text(
        FOREIGN.replace("\ta", "\tl\u2019e\u0301").replace(" a", " l\u2019e\u0301"), "utf-8"
    )
    notes: list[str] = []
    model = read_model(foreign, note=notes.append)
    assert model.score(["l'\u00e9", "b"]) == pytest.approx([-0.1, -0.7, -0.2])
    (note,) = notes
    assert "1 text was brought to canonical form (letters and accents composed in 1, " in note
    assert note.startswith(str(foreign))


@pytest.mark.parametrize("word", ["b\u200b", "new\u00a0york", "\u200b"])
def test_a_word_that_no_text_has_once_it_is_read_is_noted(foreign: Path, word: str) -> None:
    foreign.write_text(FOREIGN.replace("\ta", f"\t{word}").replace(" a", f" {word}"), "utf-8")
    notes: list[str] = []
    model = read_model(foreign, note=notes.append)
    assert model.score(["b"])[0] == pytest.approx(-0.3 - 0.6)
    (note,) = notes
    assert "1 words are in no text once it is read, as they hold" in note
    assert note.endswith(f"first: {word!a}")


def test_a_length_without_n_grams_is_passed_over(foreign: Path) -> None:
    foreign.write_text(
        FOREIGN.replace("ngram 2=3", "ngram 2=3\nngram 3=0\nngram 4=0").replace(
            "\n\\end\\", "\n\\3-grams:\n\n\\4-grams:\n\n\\end\\"
        )
    )
    assert read_model(foreign).score(["a", "b"]) == pytest.approx([-0.1, -0.7, -0.2])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["lm.arpa", "lm", "lm.arpa.bz2"])
def test_a_packed_file_is_read_whatever_its_name(tmp_path: Path, pack, name: str) -> None:
    (tmp_path / name).write_bytes(pack(FOREIGN.encode()))
    assert read_model(tmp_path / name).counts == (5, 3)
    (tmp_path / name).write_bytes(pack(FOREIGN.encode())[:60])
    with pytest.raises(ValueError, match=f"{name}:.* damaged"):
        read_model(tmp_path / name)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"mmap lm http://kheafield.com/code format version 5\n\0\0", "a binary file of KenLM"),
        (b"SRILM_BINARY_NGRAM_002\n", "a binary file of SRILM"),
        (b"blmt 3 1 2 3\n", "a binary file of IRSTLM"),
    ],
)
def test_a_binary_file_of_another_program_is_told_with_what_to_give(
    tmp_path: Path, pack, content: bytes, message: str
) -> None:
    (tmp_path / "lm.bin").write_bytes(pack(content + bytes(100)))
    with pytest.raises(ValueError, match=rf"lm\.bin is {message}; give the ARPA file that it was"):
        read_model(tmp_path / "lm.bin")


def test_a_packed_compact_file_and_other_archives_are_told(tmp_path: Path) -> None:
    model, _ = train([["a", "b"]], order=1)
    write_model(model, tmp_path / "lm.ngram")
    (tmp_path / "packed").write_bytes(gzip.compress((tmp_path / "lm.ngram").read_bytes()))
    with pytest.raises(ValueError, match=r"packed is packed, which a \.ngram file cannot be; give"):
        read_model(tmp_path / "packed")
    with zipfile.ZipFile(tmp_path / "lm.zip", "w") as file:
        file.writestr("lm.arpa", FOREIGN)
    with pytest.raises(ValueError, match=r"lm\.zip is a zip archive; unpack it"):
        read_model(tmp_path / "lm.zip")


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz", "lm.ngram"])
@pytest.mark.parametrize("labels", ["combined", "raw", None])
def test_the_label_set_comes_back_from_the_file(tmp_path: Path, name: str, labels) -> None:
    model = replace(train([["%", "a", "]"]], order=2)[0], labels=labels)
    write_model(model, tmp_path / name)
    assert read_model(tmp_path / name).labels == labels


def test_a_compact_file_that_says_no_label_set_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lm.ngram"
    write_model(train([["%", "a", "]"]], order=2)[0], path)
    old, new = b', "labels": null}\n', b"}\n".ljust(len(b', "labels": null}\n'))
    assert path.read_bytes().count(old) == 1
    path.write_bytes(path.read_bytes().replace(old, new))
    assert read_model(path).labels is None


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone\.arpa: no such file"):
        read_model(tmp_path / "gone.arpa")
