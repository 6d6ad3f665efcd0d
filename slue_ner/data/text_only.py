"""Labelled text without audio as manifests: what language models and text NER read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from slue_ner.core.files import sha256
from slue_ner.data.dataset import PreparedDataset, clear_dataset, write_dataset
from slue_ner.data.labelled_text import labelled_splits


def prepare_text(
    paths: Sequence[Path],
    out: Path,
    *,
    leave_out: Iterable[Path] = (),
    tune_share: float = 0.1,
    seed: int = 0,
    marks: str = "keep",
) -> PreparedDataset:
    """Write manifests of text; their utterances have no audio.

    Args:
        paths: SLUE's ``.tsv`` files, manifests, or JSON lines, see ``read_labelled_text``.
        out: folder for the manifests.
        leave_out: manifests whose utterances will be tuned or scored on: what shares an id or a
            text with them is left out, so that no model has read it.
        tune_share: of fine-tune to hold out as tune, unless there is a tune split.
        seed: of what is held out.
        marks: what becomes of text that cannot be written as symbols, see ``settle_marks``.

    Raises:
        ValueError: naming the file and line.
    """
    out, leave_out = Path(out), [Path(path) for path in leave_out]
    splits, notes = labelled_splits(
        paths, leave_out=leave_out, tune_share=tune_share, seed=seed, marks=marks
    )
    if not splits:
        raise ValueError("no text is left; give other text, or leave fewer manifests out")
    source = {
        "kind": "text",
        "path": os.path.relpath(Path(paths[0]).resolve(), out.resolve()),
        "files": {Path(path).name: sha256(Path(path)) for path in paths},
        "left_out": {path.name: sha256(path) for path in leave_out},
        "options": {"tune_share": tune_share, "seed": seed, "marks": marks},
        "warnings": notes,
    }
    clear_dataset(out, source=source)
    return PreparedDataset(out, write_dataset(out, splits, source=source), tuple(notes))
