"""KenLM's programs as the reference: what they wrote, and where they are installed themselves.

``LMPLZ=/path/to/lmplz pytest tests/decoding/test_lmplz.py`` runs them; otherwise ``lmplz`` is
looked for on ``PATH``. ``query`` is expected beside it.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from slue_ner.decoding.lm.ngram import NgramModel
from slue_ner.decoding.lm.ngram_file import read_model, write_model
from slue_ner.decoding.lm.ngram_training import train
from slue_ner.inference.language_models import SentenceOptions, read_sentences, score_text

GOLDEN = Path(__file__).parent / "golden"
LMPLZ = os.environ.get("LMPLZ") or shutil.which("lmplz")
PROMISED = 1e-4  # in log10

needs_lmplz = pytest.mark.skipif(
    LMPLZ is None, reason="no lmplz on PATH or in LMPLZ: golden values only"
)


def table(model: NgramModel) -> dict[tuple[str, ...], tuple[float, float]]:
    """Every n-gram with its log-probability and back-off weight."""
    parents = np.repeat(np.arange(len(model.word)), np.diff(model.first_child))
    grams: list[tuple[str, ...]] = [()]
    for parent, word in zip(parents, model.word[1:], strict=True):
        grams.append((*grams[parent], model.words[word]))
    return {
        gram: (float(log_prob), float(back_off))
        for gram, log_prob, back_off in zip(
            grams[1:], model.log_prob[1:], model.back_off[1:], strict=True
        )
    }


def assert_agrees(model: NgramModel, reference: NgramModel) -> None:
    ours, theirs = table(model), table(reference)
    assert ours.keys() == theirs.keys()
    for gram, values in theirs.items():
        assert ours[gram] == pytest.approx(values, abs=PROMISED), gram


def sentences(name: str, unit: str = "words") -> list[list[str]]:
    options = SentenceOptions(unit=unit)  # type: ignore[arg-type]
    return list(read_sentences([str(GOLDEN / name)], options))


@pytest.mark.parametrize(
    ("golden", "text", "unit", "order", "cut_offs"),
    [
        ("words_1", "text.txt", "words", 1, ()),
        ("words_3", "text.txt", "words", 3, ()),
        ("words_4_cut_off", "text.txt", "words", 4, (0, 0, 1)),
        ("characters_4_cut_off", "text.txt", "characters", 4, (0, 1, 2)),
        ("short_3", "short.txt", "words", 3, ()),
    ],
)
def test_a_model_is_what_lmplz_wrote(
    golden: str, text: str, unit: str, order: int, cut_offs: Sequence[int]
) -> None:
    model, _ = train(sentences(text, unit), order=order, cut_offs=cut_offs)
    assert_agrees(model, read_model(GOLDEN / f"{golden}.arpa"))


def test_perplexities_are_what_query_printed() -> None:
    printed = (GOLDEN / "words_3.query").read_text().splitlines()
    perplexity, of_known, unknown, tokens = (float(line.split("\t")[1]) for line in printed)
    score = score_text(
        GOLDEN / "words_3.arpa", [str(GOLDEN / "held_out.txt")], options=SentenceOptions()
    )
    assert score.perplexity == pytest.approx(perplexity, rel=1e-6)
    assert score.perplexity_of_known == pytest.approx(of_known, rel=1e-6)
    assert score.num_unknown == unknown
    assert score.num_words + score.num_sentences == tokens


def drawn_text(seed: int) -> list[list[str]]:
    """Words of falling frequency, in sentences of 0 to 20."""
    draw = random.Random(seed)
    words = [f"w{rank}" for rank in range(draw.choice([5, 60, 2000]))]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    num_sentences = draw.choice([3, 60, 1500])
    lengths = [1, *(draw.randint(0, 20) for _ in range(num_sentences))]
    return [draw.choices(words, weights, k=length) for length in lengths]


@needs_lmplz
@pytest.mark.parametrize("cut_offs", [(), (0, 1), (0, 0, 1), (0, 0, 1, 3)])
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_lmplz_estimates_the_same_model(
    tmp_path: Path, order: int, cut_offs: tuple[int, ...]
) -> None:
    for seed in range(3):
        text = drawn_text(seed)
        reference = lmplz(text, order, cut_offs[:order], tmp_path)
        model, _ = train(text, order=order, cut_offs=cut_offs[:order])
        assert_agrees(model, reference)


@needs_lmplz
@pytest.mark.parametrize("unit", ["words", "characters"])
def test_query_prints_the_same_perplexities(tmp_path: Path, unit: str) -> None:
    query = Path(str(LMPLZ)).parent / "query"
    if not query.is_file():
        pytest.skip("no query beside lmplz")
    model, _ = train(sentences("text.txt", unit), order=4)
    write_model(model, tmp_path / "model.arpa")
    text = "".join(" ".join(words) + "\n" for words in sentences("held_out.txt", unit))
    done = subprocess.run(
        [query, "-v", "summary", tmp_path / "model.arpa"],
        **{"input": text.encode(), "capture_output": True, "check": True},
    )
    printed = done.stdout.decode().splitlines()
    score = score_text(
        tmp_path / "model.arpa",
        [str(GOLDEN / "held_out.txt")],
        options=SentenceOptions(unit=unit),  # type: ignore[arg-type]
    )
    found = (score.perplexity, score.perplexity_of_known, score.num_unknown)
    assert found == pytest.approx([float(line.split("\t")[1]) for line in printed[:3]], rel=1e-5)


def lmplz(text: list[list[str]], order: int, cut_offs: Sequence[int], folder: Path) -> NgramModel:
    """The model that ``lmplz`` estimates."""
    path = folder / "reference.arpa"
    prune = ["--prune", *map(str, cut_offs)] if cut_offs else []
    options = ["-o", str(order), "--discount_fallback", "-S", "200M", "-T", str(folder / "lmplz")]
    lines = "".join(" ".join(sentence) + "\n" for sentence in text)
    done = subprocess.run(
        [str(LMPLZ), *options, *prune], input=lines.encode(), capture_output=True, check=True
    )
    path.write_bytes(done.stdout)
    return read_model(path)
