"""``slue-ner localize``: other times for the entities of a predictions file, without the model."""

from __future__ import annotations

import argparse
from pathlib import Path

_EXAMPLE = """example:
  slue-ner localize runs/mine/dev.jsonl --with runs/mine/localizer.yaml \\
      --output runs/mine/dev_localized.jsonl
"""


def run(arguments: list[str]) -> int:
    """Apply a tuned localizer."""
    options = command_parser().parse_args(arguments)
    from slue_ner.core.files import check_writable
    from slue_ner.core.records import check_no_manifest, read_predictions, write_predictions
    from slue_ner.inference.localizing import localize_all, read_localizer

    check_writable(options.output, inputs=(options.localizer,))
    check_no_manifest(options.output)
    localizer = read_localizer(options.localizer)
    localized = localize_all(read_predictions(options.predictions), localizer.options)
    write_predictions(options.output, localized)
    print(f"{len(localized)} predictions -> {options.output}")
    return 0


def command_parser() -> argparse.ArgumentParser:
    """What its arguments are and what its help says."""
    parser = argparse.ArgumentParser(
        prog="slue-ner localize",
        description="Give the entities of a predictions file the times that a tuned localizer "
        "finds for them.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("predictions", type=Path, help="predictions file with tokens")
    parser.add_argument(
        "--with",
        dest="localizer",
        type=Path,
        required=True,
        metavar="YAML",
        help="what `slue-ner tune localizer` wrote",
    )
    parser.add_argument("--output", type=Path, required=True, help="predictions file to write")
    return parser
