"""Labelled text without audio: SLUE's TSV files, manifests, or JSON lines.

Language models and text NER read it as manifests; a synthetic corpus speaks it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from slue_ner.core.canonical import Changes
from slue_ner.core.canonical_records import Note, warn
from slue_ner.core.files import sha256
from slue_ner.core.groups import speaker_name
from slue_ner.core.lines import json_object, numbered_lines
from slue_ner.core.listing import shown
from slue_ner.core.records import read_manifest
from slue_ner.core.suggest import nearest
from slue_ner.core.types import Utterance
from slue_ner.data.corpora.dataset import SPLITS, PreparedDataset, clear_dataset, write_dataset
from slue_ner.data.corpora.mark_words import resolve_marks
from slue_ner.data.corpora.slue_tsv import read_slue_tsv
from slue_ner.data.corpora.splits import with_tune
from slue_ner.text.normalize import LabeledSpan, asr_form, check_spans, ner_form
from slue_ner.text.published import canonical_spans

_KEYS = ("id", "text", "entities", "split", "speaker")
_ENTITY_KEYS = ("label", "start_char", "end_char", "phrase")


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
        marks: what becomes of text that cannot be written as symbols, see ``resolve_marks``.

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


def labelled_splits(
    paths: Iterable[Path],
    *,
    leave_out: Iterable[Path] = (),
    tune_share: float,
    seed: int,
    marks: str,
) -> tuple[dict[str, list[Utterance]], list[str]]:
    """Labelled text by split, with a tune split, marks resolved and empty texts left out.

    Args:
        paths: as ``read_labelled_text``.
        leave_out: manifests, of which no id and no text may be among the result.
        tune_share: of fine-tune to hold out as tune, unless there is a tune split.
        seed: of what is held out.
        marks: see ``resolve_marks``.

    Returns:
        The splits, empty ones left out, and what a user should know about them.

    Raises:
        ValueError: as ``read_labelled_text``.
    """
    notes: list[str] = []
    splits = read_labelled_text(paths, note=notes.append)
    heard = [utterance for path in leave_out for utterance in read_manifest(path)]
    if heard:
        splits, note = _without(splits, heard)
        notes.append(note)
    resolved, marked = resolve_marks(splits, marks)
    splits, warnings = with_tune(resolved, share=tune_share, seed=seed)
    notes += [*marked, *warnings]
    empty = [u.id for utterances in splits.values() for u in utterances if not u.text]
    if empty:
        notes.append(f"{len(empty)} utterances without a word are left out: {shown(empty)}")
    said = {split: [u for u in utterances if u.text] for split, utterances in splits.items()}
    return {split: utterances for split, utterances in said.items() if utterances}, notes


def read_labelled_text(paths: Iterable[Path], *, note: Note = warn) -> dict[str, list[Utterance]]:
    """Read labelled text, by split.

    A ``.tsv`` file has SLUE's columns. A ``.jsonl`` file is a manifest when its first line
    carries ``"schema"`` (its text is in the NER form already and is kept), or holds objects
    ``{"id", "text", "entities": [{"label", "start_char", "end_char"}]}`` with published text
    and, if wanted, ``split`` (else fine-tune) and ``speaker``.

    Args:
        paths: the files.
        note: told what bringing the texts to canonical form changed.

    Returns:
        Utterances without audio or times, in the order of the files.

    Raises:
        ValueError: as ``file:line: what`` for a bad line, a file of another kind, a split of
            another name, an id used twice, or no text at all.
    """
    splits: dict[str, list[Utterance]] = {}
    file_of: dict[str, Path] = {}
    for path in map(Path, paths):
        for utterance in _read(path, note):
            if utterance.split not in SPLITS:
                raise ValueError(
                    f"{path}: utterance {utterance.id}: unknown split {utterance.split!r}; "
                    f"{nearest(utterance.split, SPLITS)}"
                )
            if utterance.id in file_of:
                raise ValueError(
                    f"{path}: utterance {utterance.id} is in {file_of[utterance.id]} too; "
                    "ids must be unique"
                )
            file_of[utterance.id] = path
            splits.setdefault(utterance.split, []).append(utterance)
    if not splits:
        raise ValueError("there is no text; give a .tsv or .jsonl file with lines")
    return {split: splits[split] for split in SPLITS if split in splits}


def _without(
    splits: Mapping[str, Sequence[Utterance]], others: Sequence[Utterance]
) -> tuple[dict[str, list[Utterance]], str]:
    """What shares neither id nor text with ``others``."""
    ids, texts = {other.id for other in others}, {other.text for other in others}
    kept = {
        split: [u for u in utterances if u.id not in ids and u.text not in texts]
        for split, utterances in splits.items()
    }
    total, left = (sum(map(len, of.values())) for of in (splits, kept))
    return kept, f"{total - left} of {total} texts are in manifests to leave out"


def _read(path: Path, note: Note) -> Sequence[Utterance]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if path.suffix == ".tsv":
        return read_slue_tsv(path, split=None, note=note)
    if path.suffix != ".jsonl":
        raise ValueError(f"{path}: labelled text is read from .tsv or .jsonl files")
    records = _read_lines(path)
    if records and "schema" in records[0][1]:
        return [_without_audio(utterance) for utterance in read_manifest(path, note=note)]
    utterances = []
    changes = Changes()
    for number, record in records:
        try:
            utterances.append(_utterance(record, changes))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}:{number}: {error}") from error
    changes.tell(path.name, note)
    return utterances


def _read_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    records = []
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            records.append((number, json_object(line)))
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from error
    return records


def _without_audio(utterance: Utterance) -> Utterance:
    entities = tuple(replace(e, words=None, start=None, end=None) for e in utterance.entities)
    return replace(
        utterance, audio=None, num_samples=None, words=None, phones=None, entities=entities
    )


def _utterance(record: dict[str, Any], changes: Changes) -> Utterance:
    _check_keys(record, _KEYS, required=("id", "text"))
    raw_text = record["text"]
    if not isinstance(raw_text, str) or not isinstance(record["id"], str) or not record["id"]:
        raise ValueError("'id' and 'text' should be strings, the id not empty")
    if raw_text != raw_text.lower():
        raise ValueError(
            f"text {raw_text[:60]!r} has capitals; give it lower-cased, numbers spelled out"
        )
    split = "fine-tune" if record.get("split") is None else record["split"]
    if not isinstance(split, str):
        raise ValueError(f"field 'split' should be a string, got {split!r}")
    entities_of = [] if record.get("entities") is None else record["entities"]
    if not isinstance(entities_of, list):
        raise ValueError(f"field 'entities' should be a list, got {entities_of!r}")
    spans = [_span(entity) for entity in entities_of]
    check_spans(raw_text, spans)
    read, spans = canonical_spans(raw_text, spans, where=record["id"], changes=changes)
    text, entities = ner_form(read, spans, whole_words=True)
    return Utterance(
        id=record["id"],
        split=split,
        audio=None,
        num_samples=None,
        sample_rate=16_000,
        text=text,
        speaker=speaker_name(record.get("speaker")),
        asr_text=asr_form(read),
        raw_text=raw_text,
        entities=entities,
    )


def _span(entity: Any) -> LabeledSpan:
    if not isinstance(entity, dict):
        raise ValueError(f"an entity should be an object with a label, got {entity!r}")
    _check_keys(entity, _ENTITY_KEYS, required=("label", "start_char", "end_char"))
    start, end = entity["start_char"], entity["end_char"]
    if type(start) is not int or type(end) is not int:
        raise ValueError(
            f"entity {entity['label']}: start_char and end_char should be whole numbers, got "
            f"{start!r} and {end!r}"
        )
    return entity["label"], start, end - start


def _check_keys(record: dict[str, Any], known: Sequence[str], *, required: Sequence[str]) -> None:
    for key in record:
        if key not in known:
            raise ValueError(f"unknown field {key!r}; {nearest(key, known)}")
    for key in required:
        if key not in record:
            raise ValueError(f"field {key!r} is missing")
