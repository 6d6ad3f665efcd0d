"""``slue-ner export``: the encoder of a run as a transformers checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

_EXAMPLE = """example:
  slue-ner export runs/mine runs/mine_encoder --half
  slue-ner train encoder=checkpoint encoder.source=runs/mine_encoder data.root=data/more name=more
"""


def run(arguments: list[str]) -> int:
    """Write the folder and say how large it is."""
    options = command_parser().parse_args(arguments)
    from slue_ner.systems.encoder_export import export_encoder

    export_encoder(options.run, options.out, weights=options.weights, half=options.half)
    size = sum(path.stat().st_size for path in options.out.iterdir() if path.is_file())
    print(f"encoder of {options.run} written into {options.out}, {size / 1e6:.1f} MB")
    return 0


def command_parser() -> argparse.ArgumentParser:
    """What its arguments are and what its help says."""
    parser = argparse.ArgumentParser(
        prog="slue-ner export",
        description="Write a run's encoder in transformers' format, with a card of its facts.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--weights", choices=("best", "last"), default="best")
    parser.add_argument("--half", action="store_true", help="float16 instead of float32")
    return parser
