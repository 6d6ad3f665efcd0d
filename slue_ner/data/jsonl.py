"""Anyone's own data: JSON lines with audio, transcript and entities."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slue_ner.core.canonical import Changes
from slue_ner.core.files import sha256
from slue_ner.core.lines import json_line, numbered_lines
from slue_ner.core.records import read_manifest
from slue_ner.core.suggest import nearest
from slue_ner.core.types import Utterance
from slue_ner.data.dataset import SPLITS, PreparedDataset
from slue_ner.data.intake import finish_dataset
from slue_ner.data.own_record import TextRules, own_utterance
from slue_ner.data.survey import Progress, shown


def prepare_jsonl(
    source: Path,
    out: Path,
    *,
    text_is_normalized: bool = False,
    lower_case: bool = False,
    tune_share: float = 0.1,
    seed: int = 0,
    marks: str = "keep",
    listen: bool = True,
    progress: Progress | None = None,
) -> PreparedDataset:
    """Prepare a JSON-lines file, ``own_utterance`` says of what.

    A file whose first line carries ``"schema"`` is read as a finished manifest: its texts,
    times and positions are kept, only the audio is looked at again.

    Args:
        source: the file; its audio paths are relative to its folder.
        out: folder for the manifests.
        text_is_normalized: the texts are in SLUE's NER form already.
        lower_case: make capitals small first.
        tune_share: of fine-tune to hold out as tune, unless the file has a tune split.
        seed: decides which speakers are held out.
        marks: what becomes of texts that cannot be written as symbols, see ``settle_marks``.
        listen: decode every file, not only its header.
        progress: called with files done and in all.

    Raises:
        ValueError: as ``file:line: what``.
    """
    source, out = Path(source), Path(out)
    rules = TextRules(normalized=text_is_normalized, lower_case=lower_case)
    lines = _read_lines(source)
    notes: list[str] = []
    if lines and "schema" in lines[0][1]:
        if lower_case:
            raise ValueError(
                f"{source} is a manifest: its texts are kept as they are; leave lower_case out"
            )
        utterances, kept_as_is = read_manifest(source, note=notes.append), True
    else:
        changes = Changes()
        utterances, kept_as_is = _own_utterances(source, lines, rules, changes), text_is_normalized
        changes.tell(source.name, notes.append)
    splits: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        splits.setdefault(utterance.split, []).append(utterance)
    _check_splits(source, out, splits)
    return finish_dataset(
        out,
        splits,
        source={
            "kind": "jsonl",
            "path": os.path.relpath(source.resolve(), out.resolve()),
            "files": {source.name: sha256(source)},
            "options": {"text_is_normalized": text_is_normalized, "lower_case": lower_case},
        },
        warnings=[*notes, *_unusual_texts(utterances, kept_as_is=kept_as_is)],
        tune_share=tune_share,
        seed=seed,
        marks=marks,
        listen=listen,
        progress=progress,
    )


def _read_lines(source: Path) -> list[tuple[int, dict[str, Any]]]:
    hint = "give a file with one JSON object a line"
    return [
        (number, _parsed(source, number, line))
        for number, line in numbered_lines(source, hint=hint)
        if line.strip()
    ]


def _parsed(source: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = json_line(line)
    except ValueError as error:
        kind = "not JSON: " if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"{source}:{number}: {kind}{error}") from error
    if not isinstance(record, dict):
        raise ValueError(
            f"{source}:{number}: expected one JSON object a line, got {type(record).__name__}"
        )
    return record


def _own_utterances(
    source: Path,
    lines: Sequence[tuple[int, dict[str, Any]]],
    rules: TextRules,
    changes: Changes,
) -> list[Utterance]:
    line_of: dict[str, int] = {}
    utterances = []
    for number, record in lines:
        try:
            utterance = own_utterance(record, folder=source.parent, rules=rules, changes=changes)
            if utterance.id in line_of:
                raise ValueError(
                    f"the id was already used on line {line_of[utterance.id]}; ids must be unique"
                )
        except ValueError as error:
            raise ValueError(f"{source}:{number}: id {record.get('id')!r}: {error}") from error
        line_of[utterance.id] = number
        utterances.append(utterance)
    return utterances


def _check_splits(source: Path, out: Path, splits: dict[str, list[Utterance]]) -> None:
    for name in splits:
        if name not in SPLITS:
            raise ValueError(
                f"{source}: utterance {splits[name][0].id} is in split {name!r}; "
                f"{nearest(name, SPLITS)}"
            )
    for name in SPLITS:
        if (out / f"{name}.jsonl").resolve() == source.resolve():
            raise ValueError(
                f"{out}: the manifests would overwrite {source}; choose another folder"
            )


def _unusual_texts(utterances: Sequence[Utterance], *, kept_as_is: bool) -> list[str]:
    warnings = []
    capitals = [u.id for u in utterances if u.text != u.text.lower()]
    if capitals:
        way_out = "" if kept_as_is else " (--lower-case makes them small)"
        warnings.append(
            f"{len(capitals)} of {len(utterances)} texts hold capital letters; SLUE is "
            f"lower case{way_out}: {shown(capitals)}"
        )
    digits = [u.id for u in utterances if re.search(r"\d", u.text)]
    if digits:
        warnings.append(
            f"{len(digits)} of {len(utterances)} texts hold digits; speech is spelled out "
            f"in SLUE: {shown(digits)}"
        )
    return warnings
