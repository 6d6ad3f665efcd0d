"""A prepared data set on disk: one manifest per split beside a ``dataset.json``."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from slue_ner.core.files import read_json, sha256, write_json
from slue_ner.core.groups import known_speaker
from slue_ner.core.listing import refuse
from slue_ner.core.records import SCHEMA, write_manifest
from slue_ner.core.time import Seconds
from slue_ner.core.types import Utterance
from slue_ner.core.validation import check_utterance

SPLITS = ("fine-tune", "tune", "dev", "test")
"""Trained on, tuned on, reported, reported once."""

UNLABELLED = "unlabelled"
"""A manifest of utterances whose entities are not known; no split."""

UNTRANSCRIBED = "untranscribed"
"""A manifest of utterances of which nobody knows what was said; no split."""

ASIDE = (UNLABELLED, UNTRANSCRIBED)
"""Beside the splits: neither tuned on nor scored."""

DATASET_FILE = "dataset.json"


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """What one split holds.

    Attributes:
        seconds: audio in all.
        num_speakers: distinct ones; ``None`` when no speaker is known.
        num_entities: per label, most frequent first.
        sha256: of the manifest.
    """

    num_utterances: int
    seconds: Seconds
    num_speakers: int | None
    num_entities: dict[str, int]
    sha256: str


@dataclass(frozen=True, slots=True)
class PreparedDataset:
    """What a preparation made, and what its user should know about it."""

    folder: Path
    splits: dict[str, SplitCounts]
    warnings: tuple[str, ...]


def write_dataset(
    out: Path, splits: Mapping[str, Sequence[Utterance]], *, source: Mapping[str, Any]
) -> dict[str, SplitCounts]:
    """Write ``<split>.jsonl`` for every split, then ``dataset.json``.

    ``dataset.json`` comes last, so a folder without one is an interrupted preparation.

    Args:
        out: folder; made when absent.
        splits: utterances by split; absolute audio paths become relative to ``out``, relative
            ones already are.
        source: how to make the data again: kind, revision, options.

    Raises:
        ValueError: for an utterance that is not valid or is in two splits, or a folder that
            holds manifests of something else.
    """
    out = Path(out)
    _check_splits(splits)
    clear_dataset(out, source=source)
    _check_leftovers(out, splits)
    counts = {}
    for name, utterances in splits.items():
        path = out / f"{name}.jsonl"
        write_manifest(path, (_relative_to(out, utterance) for utterance in utterances))
        counts[name] = _count(path, utterances)
    write_json(
        out / DATASET_FILE,
        {
            "schema": SCHEMA,
            "source": dict(source),
            "splits": {name: asdict(count) for name, count in counts.items()},
        },
    )
    return counts


def clear_dataset(out: Path, *, source: Mapping[str, Any]) -> None:
    """Remove ``dataset.json`` and the manifests it lists, so that a preparation starts over.

    Call it before the first file of a new preparation is written. Audio is left alone.

    Args:
        out: folder of the data set.
        source: of the new preparation; only one of the same origin is started over.

    Raises:
        ValueError: when ``dataset.json`` is not one of ours, or of data from elsewhere.
    """
    path = out / DATASET_FILE
    if not path.exists():
        return
    record = read_json(path)
    if not isinstance(record, dict) or record.get("schema") != SCHEMA or "splits" not in record:
        raise ValueError(f"{path} was not written by `slue-ner prepare`; choose another folder")
    there = record.get("source") or {}
    if not _same_origin(out, there, source):
        origin = there.get("path") or there.get("id")
        raise ValueError(
            f"{out} holds manifests of {there.get('kind')}{f' from {origin}' if origin else ''}; "
            f"choose another folder, or remove {path} to replace them"
        )
    path.unlink()
    for name in record["splits"]:
        _check_name(name)
        (out / f"{name}.jsonl").unlink(missing_ok=True)


def _same_origin(out: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """Whether a data set comes from where another one came from; data may have moved since."""
    if there.get("kind") != here.get("kind") or there.get("id") != here.get("id"):
        return False
    old, new = there.get("path"), here.get("path")
    return old == new or not (isinstance(old, str) and (out / old).exists())


def check_unique_ids(splits: Mapping[str, Sequence[Utterance]]) -> None:
    """Raise ``ValueError`` for an id that is used twice, within a split or across splits."""
    split_of: dict[str, str] = {}
    for name, utterances in splits.items():
        for utterance in utterances:
            if utterance.id in split_of:
                raise ValueError(
                    f"utterance {utterance.id}: the id is used in {split_of[utterance.id]} "
                    f"and again in {name}; ids must be unique"
                )
            split_of[utterance.id] = name


def check_manifests(root: str | Path, splits: Sequence[str]) -> None:
    """Refuse a folder of manifests that lacks one of ``splits``.

    Raises:
        ValueError: naming it and those there are.
    """
    folder = Path(root)
    if folder.is_file():
        raise ValueError(f"data.root={root} is a file; give the folder that it is in")
    if not folder.is_dir():
        raise ValueError(f"data.root={root}: no such folder; run `slue-ner prepare` first")
    for split in splits:
        if not (folder / f"{split}.jsonl").is_file():
            found = ", ".join(sorted(path.stem for path in folder.glob("*.jsonl"))) or "none"
            raise ValueError(
                f"data.root={root} has no {split}.jsonl (splits found: {found}); run "
                "`slue-ner prepare` first, or name other splits in data.evaluate"
            )


def check_more(manifests: Sequence[str]) -> None:
    """Refuse manifests of ``data.also_train`` and ``data.unlabelled`` that are not there.

    Raises:
        ValueError: naming the first.
    """
    for name in manifests:
        if not Path(name).is_file():
            raise ValueError(
                f"{name} of data.also_train or data.unlabelled does not exist; run "
                "`slue-ner prepare` first"
            )


def check_labelled(utterances: Sequence[Utterance]) -> None:
    """Refuse to learn entities from utterances of which nobody knows them.

    Raises:
        ValueError: naming the first and what such utterances are good for.
    """
    if unknown := _ids_of(utterances, UNLABELLED):
        raise ValueError(
            f"the entities of {len(unknown)} utterances of {UNLABELLED}.jsonl, first {unknown[0]}, "
            "are not known, so they teach none; use that file as data.unlabelled of task=pretrain, "
            "as data.also_train of task=ctc_plain, or in `slue-ner lm train --target plain`"
        )


def check_has_entities(utterances: Sequence[Utterance]) -> None:
    """Refuse to learn entities where there is none.

    Raises:
        ValueError: saying what this data can teach.
    """
    if not any(utterance.entities for utterance in utterances):
        raise ValueError(
            f"none of the {len(utterances)} training utterances has an entity, so none can be "
            "learnt; label some, or train a recogniser with task=ctc_plain"
        )


def check_transcribed(utterances: Sequence[Utterance]) -> None:
    """Refuse to compare anything with utterances of which nobody knows what was said.

    Raises:
        ValueError: naming the first and what such utterances are good for.
    """
    if unknown := _ids_of(utterances, UNTRANSCRIBED):
        raise ValueError(
            f"what is said in {len(unknown)} utterances of {UNTRANSCRIBED}.jsonl, first "
            f"{unknown[0]}, is not known: that file is for `slue-ner predict`, or data.unlabelled "
            "of task=pretrain"
        )


def _ids_of(utterances: Sequence[Utterance], split: str) -> list[str]:
    return [utterance.id for utterance in utterances if utterance.split == split]


def _check_splits(splits: Mapping[str, Sequence[Utterance]]) -> None:
    check_unique_ids(splits)
    problems: list[str] = []
    for name, utterances in splits.items():
        _check_name(name)
        if not utterances:
            raise ValueError(f"split {name} has no utterances; leave it out")
        for utterance in utterances:
            try:
                check_utterance(utterance)
            except ValueError as error:
                problems.append(str(error))
            if utterance.split != name:
                raise ValueError(
                    f"utterance {utterance.id}: says split {utterance.split!r} "
                    f"but is listed under {name!r}"
                )
    refuse(problems, "utterances")


def _check_name(split: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", split):
        raise ValueError(f"split {split!r} cannot name a file; use letters, digits, '-' and '_'")


def _check_leftovers(out: Path, splits: Mapping[str, Sequence[Utterance]]) -> None:
    for name in (*SPLITS, *ASIDE):
        path = out / f"{name}.jsonl"
        if name not in splits and path.exists():
            raise ValueError(
                f"{path} is in the way: this data set has no split {name}; "
                "remove the file or choose another folder"
            )


def _relative_to(out: Path, utterance: Utterance) -> Utterance:
    audio = utterance.audio
    if audio is None or not audio.is_absolute():
        return utterance
    # ".." leaves the target of a symbolic link, so both ends must be free of links
    folder = Path(os.path.relpath(audio.parent.resolve(), out.resolve()))
    return replace(utterance, audio=folder / audio.name)


def _count(path: Path, utterances: Sequence[Utterance]) -> SplitCounts:
    speakers = set(map(known_speaker, utterances)) - {None}
    labels = Counter(e.label for utterance in utterances for e in utterance.entities if e.label)
    return SplitCounts(
        num_utterances=len(utterances),
        seconds=sum(utterance.duration for utterance in utterances),
        num_speakers=len(speakers) or None,
        num_entities=dict(sorted(labels.items(), key=lambda item: (-item[1], item[0]))),
        sha256=sha256(path),
    )
