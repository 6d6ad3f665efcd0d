"""Corpora of the fixtures with something changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.core.types import Utterance


def change_corpus(
    corpus: Path, folder: Path, split: str, change: Callable[[int, Utterance], Utterance]
) -> str:
    """Copy the manifests of a corpus, those of ``split`` changed; the override that names it."""
    for name in ("fine-tune", "tune", "dev"):
        utterances = read_manifest(corpus / f"{name}.jsonl")
        if name == split:
            utterances = [change(i, utterance) for i, utterance in enumerate(utterances)]
        write_manifest(folder / f"{name}.jsonl", utterances)
    return f"data.root={folder}"
