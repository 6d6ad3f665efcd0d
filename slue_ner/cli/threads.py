"""``--threads`` of the commands that compute, and what it is by default: the one place that sets
threads for them.
"""

from __future__ import annotations

import argparse
import os


def add_threads_option(parser: argparse.ArgumentParser, what: str = "CPU threads") -> None:
    """``--threads``, see ``use_threads``."""
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help=f"{what} (default: the cores that other processes leave free)",
    )


def use_threads(options: argparse.Namespace) -> int:
    """Make torch compute with so many threads, and say how many for work that is not torch's.

    By default the cores that are free; where ``OMP_NUM_THREADS`` is set, what it says.

    Raises:
        ValueError: for fewer than one.
    """
    if options.threads is not None and options.threads < 1:
        raise ValueError(f"--threads should be at least 1, got {options.threads}")
    import torch

    from slue_ner.core.cores import num_free_cores

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(num_free_cores())
    return torch.get_num_threads()
