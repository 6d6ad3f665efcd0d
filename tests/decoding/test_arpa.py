"""ARPA files of other programs, and damaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from slue_ner.decoding.ngram_file import read_model, write_model
from slue_ner.decoding.ngram_training import train

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


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone\.arpa: no such file"):
        read_model(tmp_path / "gone.arpa")
