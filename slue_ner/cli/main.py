"""The ``slue-ner`` command. Torch is imported only by the commands that need it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from slue_ner import __version__
from slue_ner.cli.notes import notes_on_stderr
from slue_ner.cli.standard_streams import READER_GONE, standard_streams
from slue_ner.core.cores import wait_without_spinning
from slue_ner.core.suggest import nearest

COMMANDS = {
    "quickstart": "make a small spoken corpus, train on it, score it: five minutes on two cores",
    "tour": "every adaptation strategy on that corpus, compared: half an hour on two cores",
    "prepare": "turn a data set into manifests: SLUE-VoxPopuli, your own JSONL, synthetic speech",
    "train": "train a model from a config; -m sweeps over several",
    "predict": "find the entities in the audio of a manifest with a trained run",
    "tune": "decoding with a language model, times of entities, frames: searched on a tuning split",
    "localize": "apply a tuned localizer to a predictions file",
    "align": "when each word was spoken, by forced alignment of a known text",
    "lm": "language models of words or characters: train one, and the perplexity of a text",
    "score": "compare predictions with a manifest: F1, label F1, WER, with intervals",
    "show": "what was said and what was predicted, in colour, worst first",
    "compare": "finished runs side by side: terminal, Markdown, CSV, JSON",
    "export": "the encoder of a run as a transformers checkpoint",
    "completion": "a script for the TAB key in bash, zsh or fish",
}

_HELP = """usage: slue-ner COMMAND ...

Train, adapt and compare models that find named entities in speech.

commands:
{commands}

Each command has its own help: slue-ner COMMAND --help
example: slue-ner train data.root=data/mine encoder=wavlm_base_plus adaptation=lora
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 0 when it succeeded.

    Errors that a user can mend are one sentence on stderr and status 1 (2 for a wrong command
    line); set ``SLUE_NER_TRACEBACK=1`` to see where they were raised.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with standard_streams():
            return _run(arguments)
    except KeyboardInterrupt:
        again = "interrupted; the same command starts again"
        print(f"{_name(arguments)}: {again}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return READER_GONE
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get("SLUE_NER_TRACEBACK"):
            raise
        print(f"{_name(arguments)}: {_sentence(error)}", file=sys.stderr)
        return 1


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        rows = "\n".join(f"  {name:<12}{summary}" for name, summary in COMMANDS.items())
        print(_HELP.format(commands=rows), end="")
        return 0
    if arguments[0] == "--version":
        print(f"slue-ner {__version__}")
        return 0
    command, *rest = arguments
    if command not in COMMANDS:
        print(
            f"slue-ner: unknown command {command!r}; {nearest(command, COMMANDS)}", file=sys.stderr
        )
        return 2
    # the hub's client logs every failed request before we say in one sentence what it means
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    wait_without_spinning()
    with notes_on_stderr():
        status: int = import_module(f"slue_ner.cli.{command}").run(rest)
    return status


def _name(arguments: Sequence[str]) -> str:
    return " ".join(["slue-ner", *(a for a in arguments[:1] if a in COMMANDS)])


def _sentence(error: Exception) -> str:
    """Its own, or what the system says of a stream without a name, which is standard output."""
    if isinstance(error, OSError) and error.strerror is not None and error.filename is None:
        return f"cannot write standard output: {error.strerror}"
    return str(error)
