"""Options of the commands that decode CTC emissions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slue_ner.inference.beam_decoding import CTCDecoding

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
    from slue_ner.cli.compose import config_folder

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
