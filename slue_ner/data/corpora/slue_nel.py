"""SLUE-2 named entity localization (``vp_nel``): word and entity times for dev and test."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from slue_ner.core.files import sha256
from slue_ner.core.listing import shown
from slue_ner.core.records import read_manifest
from slue_ner.core.types import EntitySpan, Progress, Utterance
from slue_ner.data.corpora.dataset import PreparedDataset
from slue_ner.data.corpora.hub_parquet import has_parquet
from slue_ner.data.corpora.preparation import finish_dataset
from slue_ner.data.corpora.slue_nel_rows import (
    CONFIG,
    KIND,
    NelRow,
    is_official,
    read_hub_rows,
    read_official_rows,
)
from slue_ner.data.corpora.slue_nel_utterance import NelUtterance, nel_utterance

_SPLITS = ("dev", "test")


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
    known = None if ner is None else _read_ner(ner)
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


def join_ner(
    nel: Mapping[str, Sequence[Utterance]], ner: Mapping[str, Utterance]
) -> tuple[dict[str, list[Utterance]], list[str]]:
    """Put word and entity times of the NEL utterances to the NER utterances of the same id.

    Entities are those of NEL, with NER's label where both have one at the same place, and those
    of NER that overlap none of them: types that NEL leaves out stay, without times. Where the
    texts differ, NEL's is taken. What only one of the two has is left out.

    Returns:
        Utterances by split, and sentences about what was left out or differs.

    Raises:
        ValueError: when the two have no id in common.
    """
    joined: dict[str, list[Utterance]] = {}
    notes: list[str] = []
    texts, entities, untimed = [], [], 0
    for split, utterances in nel.items():
        common = [utterance for utterance in utterances if utterance.id in ner]
        joined[split] = [_joined(utterance, ner[utterance.id]) for utterance in common]
        notes += _only_in_one(split, utterances, ner)
        for utterance, result in zip(common, joined[split], strict=True):
            untimed += sum(entity.start is None for entity in result.entities)
            if utterance.text != ner[utterance.id].text:
                texts.append(utterance.id)
            elif not _spans(utterance) <= _spans(ner[utterance.id]):
                entities.append(utterance.id)
    if not any(joined.values()):
        raise ValueError(
            "no id of the NEL data is in the NER manifests; prepare both from the same corpus"
        )
    if texts:
        notes.append(f"{len(texts)} texts differ from NER's, NEL's are taken: {shown(texts)}")
    if entities:
        notes.append(
            f"{len(entities)} utterances have entities that NER does not have at that place, "
            f"they are taken from NEL: {shown(entities)}"
        )
    if untimed:
        notes.append(f"{untimed} entities are in NER alone and have no times")
    return joined, notes


def _read_ner(folder: Path) -> dict[str, Utterance]:
    """Utterances by id of dev and test of a prepared data set.

    Raises:
        ValueError: when there is not one of these manifests.
    """
    paths = [path for split in _SPLITS if (path := Path(folder) / f"{split}.jsonl").is_file()]
    if not paths:
        raise ValueError(
            f"{folder}: no dev.jsonl or test.jsonl; give the folder "
            "that `slue-ner prepare slue-voxpopuli` wrote"
        )
    return {utterance.id: utterance for path in paths for utterance in read_manifest(path)}


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
    for split in _SPLITS:
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


def _joined(nel: Utterance, ner: Utterance) -> Utterance:
    """One utterance of both, see ``join_ner``."""
    if nel.text != ner.text:
        return replace(
            nel,
            audio=ner.audio,
            num_samples=ner.num_samples,
            sample_rate=ner.sample_rate,
            speaker=ner.speaker,
        )
    known = {(entity.start_char, entity.end_char): entity for entity in ner.entities}
    timed = [
        replace(entity, label=known.get((entity.start_char, entity.end_char), entity).label)
        for entity in nel.entities
    ]
    others = [e for e in ner.entities if not any(_overlap(e, entity) for entity in timed)]
    others = [replace(entity, words=None, start=None, end=None) for entity in others]
    entities = sorted([*timed, *others], key=lambda entity: entity.start_char or 0)
    return replace(ner, split=nel.split, words=nel.words, entities=tuple(entities))


def _only_in_one(split: str, nel: Sequence[Utterance], ner: Mapping[str, Utterance]) -> list[str]:
    ids = {utterance.id for utterance in nel}
    only_nel = [utterance.id for utterance in nel if utterance.id not in ner]
    only_ner = [u.id for u in ner.values() if u.split == split and u.id not in ids]
    return [
        f"{len(only)} utterances of {split} are in {name} alone and left out: {shown(only)}"
        for name, only in (("NEL", only_nel), ("NER", only_ner))
        if only
    ]


def _spans(utterance: Utterance) -> set[tuple[int | None, int | None]]:
    return {(entity.start_char, entity.end_char) for entity in utterance.entities}


def _overlap(one: EntitySpan, other: EntitySpan) -> bool:
    assert one.start_char is not None and other.end_char is not None
    assert one.end_char is not None and other.start_char is not None
    return one.start_char < other.end_char and other.start_char < one.end_char
