"""Anyone's own data: JSON lines with audio, transcript and entities."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from slue_ner.core.canonical import Changes
from slue_ner.core.files import sha256
from slue_ner.core.lines import json_object, lines_or_errors
from slue_ner.core.listing import refuse, shown
from slue_ner.core.records import read_manifest
from slue_ner.core.suggest import nearest
from slue_ner.core.types import Utterance
from slue_ner.core.validation import check_utterance
from slue_ner.data.dataset import SPLITS, UNLABELLED, PreparedDataset
from slue_ner.data.intake import finish_dataset
from slue_ner.data.own_record import TextRules, own_utterance
from slue_ner.data.survey import Progress
from slue_ner.data.word_fit import TimeChanges, with_entity_times


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
    """Prepare a JSON-lines file; docs/own_data.md says what may stand in it.

    A file whose first line carries ``"schema"`` is read as a finished manifest: its texts,
    times and positions are kept, only the audio is looked at again. Where its words overlap,
    or have not reached its entities, they are treated as in any other file.

    Args:
        source: the file; its audio paths are relative to its folder.
        out: folder for the manifests.
        text_is_normalized: the texts are in SLUE's NER form already.
        lower_case: make capitals small first.
        tune_share: of fine-tune to hold out as tune, unless the file has a tune split; where
            no line says its split, the same share is held out as dev first.
        seed: decides which speakers are held out.
        marks: what becomes of texts that cannot be written as symbols, see ``settle_marks``.
        listen: decode every file, not only its header.
        progress: called with files done and in all.

    Raises:
        ValueError: as ``file:line: what``, all such lines at once.
    """
    source, out = Path(source), Path(out)
    rules = TextRules(normalized=text_is_normalized, lower_case=lower_case)
    lines = _read_lines(source)
    is_manifest = bool(lines) and isinstance(lines[0][1], dict) and "schema" in lines[0][1]
    if is_manifest:
        if lower_case:
            raise ValueError(
                f"{source} is a manifest: its texts are kept as they are; leave lower_case out"
            )
        utterances, notes = _from_manifest(source)
        hold_out_dev = False
    else:
        changes = Changes()
        utterances, notes = _own_utterances(source, lines, rules, changes, share=tune_share)
        changes.tell(source.name, notes.append)
        hold_out_dev = not _any_has("split", lines)
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
        warnings=[
            *notes,
            *_unusual_texts(utterances, kept_as_is=is_manifest or text_is_normalized),
        ],
        own_words=not is_manifest,
        hold_out_dev=hold_out_dev,
        tune_share=tune_share,
        seed=seed,
        marks=marks,
        listen=listen,
        progress=progress,
    )


_Line = tuple[int, "dict[str, Any] | ValueError"]
"""Its number, and what it holds or why that cannot be read."""


def _read_lines(source: Path) -> list[_Line]:
    hint = "give a file with one JSON object a line"
    return [
        (number, _parsed(line))
        for number, line in lines_or_errors(source, hint=hint)
        if isinstance(line, ValueError) or line.strip()
    ]


def _parsed(line: str | ValueError) -> dict[str, Any] | ValueError:
    if isinstance(line, ValueError):
        return line
    try:
        return json_object(line)
    except ValueError as error:
        return error


def _any_has(key: str, lines: Sequence[_Line]) -> bool:
    return any(isinstance(line, dict) and line.get(key) is not None for _, line in lines)


def _own_utterances(
    source: Path, lines: Sequence[_Line], rules: TextRules, changes: Changes, *, share: float
) -> tuple[list[Utterance], list[str]]:
    """The utterances of all lines, those without known entities apart, and what to say of it."""
    line_of: dict[str, int] = {}
    utterances: list[Utterance] = []
    unlabelled: list[str] = []
    problems: list[str] = []
    for number, line in lines:
        named = ""
        try:
            if isinstance(line, ValueError):
                raise line
            named = f"id {line.get('id')!r}: "
            utterance = own_utterance(line, folder=source.parent, rules=rules, changes=changes)
            if utterance.id in line_of:
                raise ValueError(
                    f"the id was already used on line {line_of[utterance.id]}; ids must be unique"
                )
        except ValueError as error:
            problems.append(f"{source}:{number}: {named}{error}")
            continue
        line_of[utterance.id] = number
        if line.get("entities") is None:
            unlabelled.append(utterance.id)
        utterances.append(utterance)
    refuse(problems, f"of {len(lines)} lines")
    notes = _held_out(utterances, lines, share)
    if len(unlabelled) == len(utterances):
        notes += [_NO_ENTITIES] if utterances else []
    elif unlabelled:
        notes.append(
            f"{len(unlabelled)} of {len(utterances)} lines do not say which entities they have "
            f'and go to {UNLABELLED}.jsonl (write "entities": [] where there is none): '
            f"{shown(unlabelled)}"
        )
        unknown = set(unlabelled)
        utterances = [replace(u, split=UNLABELLED) if u.id in unknown else u for u in utterances]
    return utterances, notes


_NO_ENTITIES = (
    "no line says which entities it has: this data can train and score recognition "
    "(task=ctc_plain), not entities"
)


def _held_out(utterances: Sequence[Utterance], lines: Sequence[_Line], share: float) -> list[str]:
    if share == 0 or _any_has("split", lines) or not utterances:
        return []
    percent = f"{100 * share:g} %"
    notes = [
        f"no line says its split: {percent} are held out as dev, {percent} of the rest as tune"
    ]
    if not _any_has("speaker", lines):
        notes.append("no line names a speaker: one voice may be in several splits")
    return notes


def _from_manifest(source: Path) -> tuple[list[Utterance], list[str]]:
    """A finished manifest, with words that have not reached its entities put to these."""
    every = [TimeChanges()]

    def mended(utterance: Utterance) -> Utterance:
        if utterance.words is None:
            return utterance
        try:
            check_utterance(utterance)
            if all(entity.words is not None for entity in utterance.entities):
                return utterance
        except ValueError:
            pass  # the check comes again after this
        try:
            timed, changes = with_entity_times(utterance)
        except ValueError:
            return utterance
        every[0] += changes
        return timed

    notes: list[str] = []
    utterances = read_manifest(source, mended=mended, note=notes.append)
    return utterances, [*notes, *every[0].notes()]


def _check_splits(source: Path, out: Path, splits: dict[str, list[Utterance]]) -> None:
    for name in splits:
        if name not in (*SPLITS, UNLABELLED):
            raise ValueError(
                f"{source}: utterance {splits[name][0].id} is in split {name!r}; "
                f"{nearest(name, SPLITS)}"
            )
    for name in (*SPLITS, UNLABELLED):
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
