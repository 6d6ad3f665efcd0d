"""SLUE-2 named entity localization (``vp_nel``): word and entity times for dev and test."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slue_ner.core.files import sha256
from slue_ner.core.listing import shown
from slue_ner.core.types import Utterance
from slue_ner.data.dataset import PreparedDataset
from slue_ner.data.hub_parquet import has_parquet
from slue_ner.data.intake import finish_dataset
from slue_ner.data.slue_nel_files import is_official, read_official_rows
from slue_ner.data.slue_nel_hub import CONFIG, KIND, read_hub_rows
from slue_ner.data.slue_nel_join import join_ner, read_ner
from slue_ner.data.slue_nel_row import NelRow, NelUtterance, nel_utterance
from slue_ner.data.survey import Progress


def prepare_slue_nel(
    source: str | Path,
    out: Path,
    *,
    ner: Path | None = None,
    match: str = "official",
    revision: str | None = None,
    listen: bool = True,
    progress: Progress | None = None,
) -> PreparedDataset:
    """Prepare SLUE-2's NEL data, whose ``validation`` becomes dev; there is no training split.

    Args:
        source: the data set's id on the hub (``asapp/slue-phase-2``), a folder of its parquet
            files, or the official distribution, zipped or not (see ``read_official_rows``).
        out: folder for the manifests, and for audio when ``ner`` does not give it.
        ner: folder of SLUE-VoxPopuli's NER manifests, which give audio, speaker, published text
            and raw labels by id (see ``join_ner``). Without it NEL stands alone.
        match: how an entity's words are found, see ``nel_utterance``.
        revision: commit, branch or tag on the hub; the newest when ``None``.
        listen: decode every audio file, not only its header.
        progress: called with rows or files done and in all.

    Raises:
        ValueError: for files of another form or a bad row, naming file and row or line.
    """
    out = Path(out)
    if ner is not None and Path(ner).resolve() == out.resolve():
        raise ValueError(f"{out} holds the NER manifests; choose another folder")
    known = None if ner is None else read_ner(ner)
    rows, origin = _rows(source, out, with_audio=ner is None, revision=revision, progress=progress)
    splits, notes = _labelled(rows, match)
    if ner is not None and known is not None and splits:
        origin["ner"] = os.path.relpath(Path(ner).resolve(), out.resolve())
        splits, more = join_ner(splits, known)
        notes += more
    return finish_dataset(
        out,
        splits,
        source={"kind": KIND, **origin, "options": {"match": match}},
        warnings=notes,
        tune_share=0,
        listen=listen,
        progress=progress,
    )


def _rows(
    source: str | Path,
    out: Path,
    *,
    with_audio: bool,
    revision: str | None,
    progress: Progress | None,
) -> tuple[dict[str, list[NelRow]], dict[str, Any]]:
    path = Path(source)
    if path.is_file() or (path.is_dir() and not has_parquet(path, config=CONFIG)):
        if not is_official(path):
            raise ValueError(
                f"{source}: neither a zip file nor a folder with {CONFIG} parquet files or TSV "
                "files; give one of these, or the hub's id asapp/slue-phase-2"
            )
        if revision is not None:
            raise ValueError(f"revision {revision!r} is for the hub; {source} is a file or folder")
        rows, files = read_official_rows(path, out, with_audio=with_audio)
        origin: dict[str, Any] = {"path": os.path.relpath(path.resolve(), out.resolve())}
    else:
        rows, files, origin = read_hub_rows(
            source, out, with_audio=with_audio, revision=revision, progress=progress
        )
    return rows, {**origin, "files": {file.name: sha256(file) for file in files}}


def _labelled(
    rows: Mapping[str, Sequence[NelRow]], match: str
) -> tuple[dict[str, list[Utterance]], list[str]]:
    """Utterances of the splits that have entities, and sentences about what is odd in them."""
    splits: dict[str, list[Utterance]] = {}
    notes: list[str] = []
    for split in ("dev", "test"):
        if not any(row.entities for row in rows.get(split, ())):
            what = (
                "not one of its rows has entities (blind)" if split in rows else "it is not there"
            )
            notes.append(f"split {split} is left out: {what}")
            continue
        made = [_made(row, match) for row in rows[split]]
        splits[split] = [one.utterance for one in made]
        notes += _search_notes(split, made)
    return splits, notes


def _made(row: NelRow, match: str) -> NelUtterance:
    try:
        return nel_utterance(row, match=match)
    except ValueError as error:
        raise ValueError(f"utterance {row.id}: {error}") from error


def _search_notes(split: str, made: Sequence[NelUtterance]) -> list[str]:
    notes = []
    not_found = [f"{one.utterance.id} {one.not_found!r}" for one in made if one.not_found]
    if not_found:
        notes.append(
            f"{len(not_found)} utterances of {split} have an entity that the official search, "
            "which would end there, does not find; from it on the words at the annotated "
            f"positions are taken: {shown(not_found)}"
        )
    lost = [f"{one.utterance.id} {p!r}" for one in made for p in one.without_words]
    if lost:
        notes.append(
            f"{len(lost)} entities of {split} have no words, because the aligned words are not "
            f"the transcript's: {shown(lost)}"
        )
    unaligned = [one.utterance.id for one in made if one.utterance.words is None]
    if unaligned:
        notes.append(
            f"{len(unaligned)} utterances of {split} have no word times: {shown(unaligned)}"
        )
    return notes
