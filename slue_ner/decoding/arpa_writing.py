"""Writing ARPA files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from gzip import GzipFile
from io import TextIOWrapper
from itertools import chain, repeat
from pathlib import Path
from typing import IO, cast

import numpy as np

from slue_ner.core.files import atomic_path
from slue_ner.decoding.ngram import NgramModel


def write_arpa(model: NgramModel, path: Path) -> None:
    """Write a model; what ``read_arpa`` reads back is equal to it.

    The label set stands in a comment, which KenLM and others pass over.
    """
    with atomic_path(path) as unfinished, unfinished.open("wb") as raw, ExitStack() as stack:
        packed: IO[bytes] = raw
        if path.suffix == ".gz":  # without name and time, so that equal models are equal files
            packed = cast(IO[bytes], stack.enter_context(GzipFile("", "wb", 6, raw, mtime=0)))
        file = stack.enter_context(TextIOWrapper(packed, "utf-8", newline="\n"))
        if model.labels is not None:
            file.write(f"# labels: {model.labels}\n\n")
        file.write("\\data\\\n")
        for length, count in enumerate(model.counts, start=1):
            file.write(f"ngram {length}={count}\n")
        phrases = [""]
        for length in range(1, model.order + 1):
            file.write(f"\n\\{length}-grams:\n")
            phrases = _phrases(model, length, phrases)
            file.writelines(_rows(model, length, phrases))
        file.write("\n\\end\\\n")


def _phrases(model: NgramModel, length: int, above: list[str]) -> list[str]:
    """The n-grams of a length as text, from those one shorter."""
    first, last = model.levels[length - 1]
    words = [model.words[word] for word in model.word[first:last].tolist()]
    if length == 1:
        return words
    nodes = slice(*model.levels[length - 2])
    num_children = np.diff(model.first_child)[nodes].tolist()
    parents = chain.from_iterable(map(repeat, above, num_children))
    return [f"{parent} {word}" for parent, word in zip(parents, words, strict=True)]


def _rows(model: NgramModel, length: int, phrases: list[str]) -> Iterator[str]:
    nodes = slice(*model.levels[length - 1])
    log_probs = model.log_prob[nodes].tolist()
    if length == model.order:
        return (f"{p:.9g}\t{phrase}\n" for p, phrase in zip(log_probs, phrases, strict=True))
    rows = zip(log_probs, phrases, model.back_off[nodes].tolist(), strict=True)
    return (f"{p:.9g}\t{phrase}\t{weight:.9g}\n" for p, phrase, weight in rows)
