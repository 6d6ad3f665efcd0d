"""Rows of a comparison as Markdown, CSV, JSON, or a table on the terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.table import Table
from rich.text import Text

from slue_ner.analysis.columns import COLUMNS, Column
from slue_ner.analysis.rows import Row
from slue_ner.core.files import write_text
from slue_ner.core.records import SCHEMA


def to_markdown(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """A table in percent; the command stands as code, to be copied."""
    lines = [[column.title for column in columns], ["---"] * len(columns)]
    for row in rows:
        cells = [(column, _in_one_line(column.text(row))) for column in columns]
        lines.append(
            [f"`{cell}`" if column is COLUMNS["command"] else cell for column, cell in cells]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _in_one_line(text: str) -> str:
    """A cell of Markdown, which ends at a bar and at the end of a line."""
    return " ".join(text.split()).replace("|", "\\|")


def to_terminal(rows: Sequence[Row], columns: Sequence[Column]) -> Table:
    """A table in percent; names fold to the width there is, intervals stand below their rates."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column in columns:
        overflow: Literal["ellipsis", "fold"] = "ellipsis" if column.is_score else "fold"
        table.add_column(column.title, no_wrap=column.is_score, overflow=overflow)
    for row in rows:
        # Text, because a run may be named after an override in brackets, which rich would style
        table.add_row(*(Text(column.text(row).replace(" [", "\n[")) for column in columns))
    return table


def to_csv(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """Fields as numbers: rates are fractions, their intervals have fields of their own."""
    records = _records(rows, columns)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]) if records else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().rstrip("\n")


def to_json(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """The same fields as CSV: ``{"schema": 1, "rows": [...]}``; ``null`` is "not known"."""
    content = {"schema": SCHEMA, "rows": _records(rows, columns)}
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


def write_into(path: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- NAME -->`` and ``<!-- /NAME -->`` in a file.

    All else stays as it is, ends of lines too.

    Raises:
        ValueError: unless the file has the two marks once each, in this order.
    """
    try:
        content = path.read_bytes().decode("utf-8") if path.is_file() else ""
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found_first, rest = content.partition(first)
    between, found_last, after = rest.partition(last)
    if not found_first or not found_last or last in before:
        raise ValueError(f"{path} needs the lines {first} and {last} around the table")
    if first in between + after or last in after:
        raise ValueError(
            f"{path} has the marks {first} and {last} more than once; give each table a name of "
            "its own for --block"
        )
    end = "\r\n" if "\r\n" in content else "\n"
    table = end.join(["", *text.split("\n"), ""])
    write_text(path, f"{before}{first}{table}{last}{after}")


def _records(rows: Sequence[Row], columns: Sequence[Column]) -> list[dict[str, Any]]:
    return [
        {key: value for column in columns for key, value in column.numbers(row).items()}
        for row in rows
    ]
