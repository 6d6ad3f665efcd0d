"""How a model runs over the audio of a manifest: options of ``predict`` and ``align``."""

from __future__ import annotations

import argparse


def add_running_options(parser: argparse.ArgumentParser) -> None:
    """Size of batches and loader processes; they change speed and memory, not results."""
    parser.add_argument(
        "--batch-seconds", type=float, help="padded seconds of audio a batch (default: as trained)"
    )
    parser.add_argument("--num-workers", type=int, default=0, help="loader processes")


def check_running(options: argparse.Namespace) -> None:
    """Refuse numbers with which nothing can run.

    Raises:
        ValueError: naming the option.
    """
    seconds = options.batch_seconds
    if seconds is not None and not seconds > 0:  # NaN is not, either
        raise ValueError(f"--batch-seconds should be above 0, got {seconds:g}")
    if options.num_workers < 0:
        raise ValueError(f"--num-workers should not be negative, got {options.num_workers}")
