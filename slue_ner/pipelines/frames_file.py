"""How frames are read, as tuned: a small JSON file in a run folder or beside predictions."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from slue_ner.core.config import from_mapping
from slue_ner.core.files import read_json, write_json
from slue_ner.core.records import SCHEMA
from slue_ner.decoding.frames import FrameDecoding

FRAMES_FILE = "frames.json"
"""Thresholds and lengths tuned by a run of ``task=frames``, in its folder."""


def tuned_decoding(run_dir: Path) -> FrameDecoding:
    """How a run tuned its frames to be read; the defaults before that."""
    path = run_dir / FRAMES_FILE
    return read_decoding(path) if path.is_file() else FrameDecoding()


def write_decoding(
    path: Path,
    decoding: FrameDecoding,
    *,
    tuned_on: str | None = None,
    frame_f1: float | None = None,
    label_frame_f1: float | None = None,
) -> None:
    """Write thresholds and lengths as JSON, with remarks on where they come from."""
    scores = {"frame_f1": frame_f1, "label_frame_f1": label_frame_f1}
    values = {"decoding": asdict(decoding), "tuned_on": tuned_on, **scores}
    write_json(path, {"schema": SCHEMA, **values})


def read_decoding(path: Path) -> FrameDecoding:
    """Read what ``write_decoding`` wrote.

    Raises:
        ValueError: naming the file and what is wrong in it.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; `slue-ner tune frames` writes one")
    record = read_json(path)
    if not isinstance(record, dict) or "decoding" not in record:
        raise ValueError(
            f"{path} is neither what a run of task=frames nor what `slue-ner tune frames` writes"
        )
    return from_mapping(FrameDecoding, record["decoding"], where=f"{path}: decoding")
