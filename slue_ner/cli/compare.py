"""``slue-ner compare``: finished runs as one Markdown table."""

from __future__ import annotations

import argparse
from pathlib import Path

_EXAMPLE = """example:
  slue-ner compare runs/quickstart runs/lora
  slue-ner compare runs/so762 --into recipes/so762/README.md --block results
"""


def run(arguments: list[str]) -> int:
    """Print the table, or write it into a page between two marks."""
    options = _parser().parse_args(arguments)
    from slue_ner.analysis.compare import compare, to_markdown, write_into

    table = to_markdown(compare(options.runs))
    if options.into is None:
        print(table)
        return 0
    write_into(options.into, options.block, table)
    print(f"table of {len(options.runs)} runs written into {options.into}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="slue-ner compare",
        description="Finished runs side by side: what was trained, what it scored, what it cost.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", type=Path, nargs="+", help="run folders")
    parser.add_argument("--into", type=Path, metavar="FILE", help="page to write the table into")
    parser.add_argument("--block", default="results", help="name of the marks around the table")
    return parser
