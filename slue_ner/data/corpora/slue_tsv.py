"""Rows of SLUE's TSV files, with errors that name the file and the line."""

from __future__ import annotations

import ast
import csv
from collections.abc import Callable, Iterator
from pathlib import Path

from slue_ner.core.canonical import Changes
from slue_ner.core.canonical_records import Note, warn
from slue_ner.core.groups import speaker_name
from slue_ner.core.suggest import nearest
from slue_ner.core.types import Utterance
from slue_ner.text.normalize import LabeledSpan, asr_form, check_spans, ner_form
from slue_ner.text.published import canonical_spans

COLUMNS = (
    "id",
    "raw_text",
    "normalized_text",
    "speaker_id",
    "split",
    "raw_ner",
    "normalized_ner",
)
_IGNORED_COLUMNS = ("index", "local_path", "raw_combined_ner", "normalized_combined_ner")


def read_slue_tsv(path: Path, *, split: str | None, note: Note = warn) -> list[Utterance]:
    """Read a labelled SLUE-VoxPopuli TSV.

    Args:
        path: tab separated, with a header and without quoting.
        split: what the ``split`` column must say in every row; ``None`` takes what it says.
        note: told what bringing the texts to canonical form changed; SLUE's own are canonical.

    Returns:
        Utterances without audio, in file order.

    Raises:
        ValueError: as ``file:line: what`` for a wrong column, a row of another width, a literal
            that does not parse, a span that does not fit the text, or an id used twice.
    """
    line_of: dict[str, int] = {}
    utterances = []
    changes = Changes()
    for number, row in _read_rows(path):
        where = f"{path}:{number}"
        id_ = row["id"]
        if id_ in line_of:
            raise ValueError(
                f"{where}: id {id_!r} was already used on line {line_of[id_]}; ids must be unique"
            )
        line_of[id_] = number
        if split is not None and row["split"] != split:
            raise ValueError(f"{where}: id {id_}: split is {row['split']!r}, expected {split!r}")
        try:
            utterances.append(_utterance(row, changes))
        except ValueError as error:
            raise ValueError(f"{where}: id {id_}: {error}") from error
    changes.tell(path.name, note)
    return utterances


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    def meant(header: list[str]) -> bool:
        _check_header(path, header)
        return True

    return tsv_rows(path, meant)


def tsv_rows(
    path: Path, meant: Callable[[list[str]], bool]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and fields by column of each row, read as SLUE writes them, without quotes.

    Args:
        path: the file.
        meant: told the header, says whether the rows are wanted; there are none if not.

    Raises:
        ValueError: as ``file:line: what`` for a row of another length and for a file that is
            no UTF-8.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        try:
            header = next(reader, [])
            if not meant(header):
                return
            for fields in reader:
                if not fields:
                    continue
                if len(fields) != len(header):
                    raise ValueError(
                        f"{path}:{reader.line_num}: {len(fields)} columns, but the header has "
                        f"{len(header)}; a text may hold a tab or a line break"
                    )
                yield reader.line_num, dict(zip(header, fields, strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path}:{reader.line_num + 1}: not a UTF-8 TSV: {error}") from error


def _check_header(path: Path, header: list[str]) -> None:
    missing = [name for name in COLUMNS if name not in header]
    unknown = [name for name in header if name not in (*COLUMNS, *_IGNORED_COLUMNS)]
    if unknown:
        raise ValueError(
            f"{path}:1: unknown column {unknown[0]!r}; {nearest(unknown[0], missing or COLUMNS)}"
        )
    if missing:
        raise ValueError(
            f"{path}:1: column {missing[0]!r} is missing; SLUE's columns are {', '.join(COLUMNS)}"
        )
    if len(set(header)) != len(header):
        raise ValueError(f"{path}:1: a column occurs twice in {', '.join(header)}")


def _utterance(row: dict[str, str], changes: Changes) -> Utterance:
    if not row["id"] or "/" in row["id"] or "\0" in row["id"]:
        raise ValueError("an id names an audio file: it must not be empty or hold '/'")
    published, spans = row["normalized_text"], _spans(row["normalized_ner"])
    check_spans(published, spans)
    published, spans = canonical_spans(published, spans, where=row["id"], changes=changes)
    text, entities = ner_form(published, spans)
    return Utterance(
        id=row["id"],
        split=row["split"],
        audio=None,
        num_samples=None,
        sample_rate=16_000,
        text=text,
        speaker=speaker_name(row["speaker_id"]),
        asr_text=asr_form(published),
        raw_text=row["raw_text"],
        entities=entities,
    )


def _spans(literal: str) -> list[LabeledSpan]:
    """Spans of a Python literal ``[[label, start, length], ...]``; ``None`` is no entities."""
    try:
        value = ast.literal_eval(literal.strip())
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"normalized_ner {literal[:80]!r} is not a Python literal; expected None or "
            "[['GPE', 12, 6], ...] (label, start, length)"
        ) from error
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise ValueError(f"normalized_ner should be a list or None, got {literal[:80]!r}")
    spans = []
    for item in value:
        match item:
            case [str(label), int(start), int(length)] if bool not in (type(start), type(length)):
                spans.append((label, start, length))
            case _:
                raise ValueError(
                    f"normalized_ner holds {item!r}; expected [label, start, length] "
                    "with whole numbers"
                )
    return spans
