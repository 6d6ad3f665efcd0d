"""``slue-ner compare``: finished runs and scored predictions in one table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

_EXAMPLE = """example:
  slue-ner compare runs/quickstart runs/lora
  slue-ner compare runs/strategies --split dev --seeds --sort f1
  slue-ner compare runs/strategies --columns run,f1,seconds --format csv > runs/strategies.csv
  slue-ner compare runs/so762 --into runs/so762.md --block results
  slue-ner compare runs/e2e runs/cascade.json runs/gold.json   # written by `slue-ner score --json`
"""


def run(arguments: list[str]) -> int:
    """Print the table, or write it into a page between two marks; notes go to stderr."""
    options = command_parser().parse_args(arguments)
    format = options.format or _default_format(options)
    if options.into is not None and format != "markdown":
        raise ValueError(f"--into writes Markdown, not {format}; leave one of the two out")
    from slue_ner.analysis.columns import COLUMNS, TERMINAL, choose, filled

    names = TERMINAL if format == "terminal" else list(COLUMNS)
    columns = choose(names if options.columns is None else options.columns.split(","))
    from slue_ner.analysis.compare import compare
    from slue_ner.analysis.rows import ranked
    from slue_ner.analysis.seeds import fold_seeds
    from slue_ner.analysis.tables import to_csv, to_json, to_markdown, to_terminal, write_into

    rows, notes = compare(options.runs, splits=options.split)
    for note in notes:
        print(f"slue-ner compare: {note}", file=sys.stderr)
    if not rows:
        raise ValueError("there is nothing to compare: no finished run has a scored split")
    if options.seeds:
        rows = fold_seeds(rows)
    if options.sort is not None:
        rows = ranked(rows, options.sort)
    if options.columns is None and format in ("terminal", "markdown"):
        columns = filled(columns, rows)
    if format == "terminal":
        from slue_ner.cli.console import stdout

        stdout().print(to_terminal(rows, columns))
        return 0
    text = {"markdown": to_markdown, "csv": to_csv, "json": to_json}[format](rows, columns)
    if options.into is None:
        print(text)
        return 0
    write_into(options.into, options.block, text)
    print(f"table of {len(rows)} rows written into {options.into}")
    return 0


def _default_format(options: argparse.Namespace) -> str:
    return "terminal" if options.into is None and sys.stdout.isatty() else "markdown"


def command_parser() -> argparse.ArgumentParser:
    """What its arguments are and what its help says."""
    from slue_ner.analysis.columns import COLUMNS

    parser = argparse.ArgumentParser(
        prog="slue-ner compare",
        description="Finished runs and scored predictions side by side: what was trained, what it "
        "scored, what it cost.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        help="run folders, folders that hold some (a sweep), or files of `slue-ner score --json`",
    )
    parser.add_argument(
        "--split",
        action="append",
        default=[],
        metavar="NAME",
        help="may be repeated (default: all)",
    )
    parser.add_argument(
        "--seeds",
        action="store_true",
        help="fold runs that differ in their seed alone: mean and standard deviation of the "
        "scores, mean of the times, highest memory",
    )
    parser.add_argument(
        "--sort", choices=("f1", "wer", "name"), help="best first (default: as given)"
    )
    parser.add_argument("--columns", metavar="A,B", help="some of " + ", ".join(COLUMNS))
    parser.add_argument(
        "--format",
        choices=("terminal", "markdown", "csv", "json"),
        help="csv and json hold fractions and unrounded numbers (default: terminal on a terminal, "
        "else markdown)",
    )
    parser.add_argument("--into", type=Path, metavar="FILE", help="page to write the table into")
    parser.add_argument("--block", default="results", help="name of the marks around the table")
    return parser
