"""Options that several commands share: how a model runs, on how many threads, and what reads it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from slue_ner.inference.beam_decoding import CTCDecoding
    from slue_ner.inference.localizing import KeptLocalizer


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


_FILES = ("lm", "character_lm", "lexicon", "hot_words")


def add_decoding_options(parser: argparse.ArgumentParser) -> None:
    """``--decoding`` and the files of a beam search."""
    parser.add_argument(
        "--decoding",
        metavar="FILE",
        help="beam search as a YAML file says (`slue-ner tune decoding` writes one) or one of "
        "configs/decoding by name; of a frame head what `slue-ner tune frames` wrote. "
        "Default: greedy, or as the run tuned itself",
    )
    parser.add_argument(
        "--lm",
        type=Path,
        metavar="FILE",
        help="beam search with this n-gram model over words (`slue-ner lm train`, or any ARPA)",
    )
    parser.add_argument(
        "--character-lm",
        type=Path,
        metavar="FILE",
        help="n-gram model over characters: alone, or for the spelling of words outside --lm",
    )
    parser.add_argument(
        "--lexicon", type=Path, metavar="FILE", help="words to choose from (default: of --lm)"
    )
    parser.add_argument(
        "--hot-words", type=Path, metavar="FILE", help="phrases to favour, one a line"
    )


def has_decoding_options(options: argparse.Namespace) -> bool:
    """Whether a beam search is asked for."""
    return any(getattr(options, name) is not None for name in ("decoding", *_FILES))


def chosen_decoding(options: argparse.Namespace) -> CTCDecoding | None:
    """What the options ask for; ``None`` decodes greedily.

    Raises:
        ValueError: for a file or a name that is not there, and for published weights without
            the language model that they weigh.
    """
    from dataclasses import replace

    from slue_ner.inference.beam_decoding import CTCDecoding, read_ctc_decoding

    if not has_decoding_options(options):
        return None
    named = options.decoding
    path = None if named is None else _path_of(named)
    if path is not None and path.parent == _published() and options.lm is None:
        raise ValueError(f"--decoding {named} holds the weights of a word model; give it with --lm")
    decoding = CTCDecoding() if path is None else read_ctc_decoding(path)
    files = {name: getattr(options, name) for name in _FILES if getattr(options, name) is not None}
    return replace(decoding, **files)


def _published() -> Path:
    from slue_ner.cli.config_groups import config_folder

    return config_folder() / "decoding"


def _path_of(named: str) -> Path:
    from slue_ner.core.suggest import nearest

    path = Path(named)
    if path.exists() or path.suffix:
        return path
    known = sorted(file.stem for file in _published().glob("*.yaml"))
    if named not in known:
        raise ValueError(
            f"--decoding {named} is neither a file nor in configs/decoding; {nearest(named, known)}"
        )
    return _published() / f"{named}.yaml"


TIMES, WORD_TIMES = "times", "word times"
"""Of entities, by a localizer; and of words, by forced alignment."""

_AS_DECODED = Path("none")
_HEARD = ("end_to_end", "cascade")

_HINT = (
    "give tune word times (`slue-ner prepare word-times` takes those of an aligner, `slue-ner "
    "align` makes some with a run that knows its own offset), then `slue-ner tune localizer "
    "--output {path}` finds the rule and the offset"
)


def chosen_localizer(
    options: argparse.Namespace, pipeline: str, console: Console
) -> KeptLocalizer | None:
    """The one of ``--localizer``, else the run's own; ``None`` leaves times as decoded."""
    from slue_ner.inference.localizing import read_localizer

    if options.localizer == _AS_DECODED:
        return None
    if options.localizer is not None:
        return read_localizer(options.localizer)
    if pipeline not in _HEARD:
        return None
    return kept_localizer(options.run, console, what=TIMES)


def kept_localizer(run_dir: Path, console: Console, *, what: str) -> KeptLocalizer | None:
    """What a run folder keeps, and a line about it; ``None`` of what is no run of its own."""
    from slue_ner.core.run_files import CONFIG_FILE, LOCALIZER_FILE
    from slue_ner.inference.localizing import run_localizer

    if not (run_dir / CONFIG_FILE).is_file():
        return None
    path = run_dir / LOCALIZER_FILE
    kept = run_localizer(run_dir)
    if kept is None:
        measured = False
        said = f"{what} are as the model emits them, which may be late: there is no {path}"
    elif what == WORD_TIMES:
        measured = kept.align_ms is not None
        said = f"{what} by {path}: {kept.alignment}"
    else:
        measured = kept.tuned_on is not None
        said = f"{what} by {path}: {kept}"
    hint = "" if measured else f"; {_HINT.format(path=path)}"
    console.print(said + hint, highlight=False, markup=False)
    return kept
