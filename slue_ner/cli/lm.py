"""``slue-ner lm``: n-gram language models, without torch."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slue_ner.inference.language_models import SentenceOptions

_TRAIN_EXAMPLE = """example:
  slue-ner lm train data/mine/fine-tune.jsonl --order 4 --output runs/mine/tagged.ngram
  slue-ner lm train data/mine/fine-tune.jsonl --order 7 --unit characters \\
      --output runs/mine/letters.ngram
  zcat news.txt.gz | slue-ner lm train - data/mine/fine-tune.jsonl --order 4 --cut-offs 0,0,1 \\
      --target plain --output runs/mine/news.arpa.gz
"""

_SCORE_EXAMPLE = """example:
  slue-ner lm score runs/mine/tagged.ngram data/mine/dev.jsonl
  slue-ner lm score runs/mine/letters.ngram data/mine/dev.jsonl --unit characters --json -
"""


def run(arguments: list[str]) -> int:
    """Train or score, as the sub-command says."""
    options = command_parser().parse_args(arguments)
    return _train(options) if options.what == "train" else _score(options)


def _train(options: argparse.Namespace) -> int:
    from slue_ner.core.files import check_writable
    from slue_ner.inference.language_models import train_language_model

    check_writable(options.output, inputs=map(Path, options.sources))
    start = time.perf_counter()
    trained = train_language_model(
        options.sources,
        options.output,
        order=options.order,
        options=_sentence_options(options),
        cut_offs=options.cut_offs,
        tell=lambda num_words: print(f"{num_words:,} {options.unit} read", flush=True),
    )
    print(f"{trained.num_sentences:,} sentences, {trained.num_words:,} {options.unit}")
    for note in trained.notes:
        print(f"note: {note}")
    for length, count in enumerate(trained.model.counts, start=1):
        print(f"{length}-grams: {count:,}")
    size = options.output.stat().st_size
    print(f"{options.output}: {size / 1e6:.1f} MB in {time.perf_counter() - start:.1f} s")
    return 0


def _score(options: argparse.Namespace) -> int:
    from slue_ner.core.files import write_json
    from slue_ner.inference.language_models import score_text

    notes = sys.stderr if options.json == "-" else sys.stdout
    score = score_text(
        options.lm,
        options.sources,
        options=_sentence_options(options),
        note=lambda sentence: print(f"note: {sentence}", file=notes),
    )
    if options.json == "-":
        json.dump(score.to_json(), sys.stdout, indent=2)
        print()
        return 0
    if options.json is not None:
        write_json(Path(options.json), score.to_json())
    print(f"{score.num_sentences:,} sentences, {score.num_words:,} {options.unit}")
    share = score.num_unknown / max(1, score.num_words)
    print(f"unknown {options.unit}: {score.num_unknown:,} ({100 * share:.2f} %)")
    print(f"perplexity: {score.perplexity:.4f}")
    print(f"perplexity without unknown {options.unit}: {score.perplexity_of_known:.4f}")
    return 0


def _sentence_options(options: argparse.Namespace) -> SentenceOptions:
    from slue_ner.inference.language_models import SentenceOptions

    return SentenceOptions(unit=options.unit, target=options.target, labels=options.labels)


def command_parser() -> argparse.ArgumentParser:
    """What its arguments are and what its help says."""
    parser = argparse.ArgumentParser(
        prog="slue-ner lm",
        description="N-gram language models for decoding: interpolated modified Kneser-Ney, "
        "equal to KenLM's lmplz; docs/language_models.md.",
        epilog=f"{_TRAIN_EXAMPLE}\n{_SCORE_EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choices = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    train = choices.add_parser(
        "train",
        help="estimate a model and write it as ARPA or in the compact form",
        epilog=_TRAIN_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    score = choices.add_parser(
        "score",
        help="perplexity of a text, with and without unknown words, and their number",
        epilog=_SCORE_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    score.add_argument("lm", type=Path, help="model, ARPA (of any program) or .ngram")
    score.add_argument("--json", metavar="PATH", help="write the score; - prints it alone")
    train.add_argument("--order", type=int, required=True, help="length of the longest n-grams")
    train.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help=".arpa, .arpa.gz or .ngram"
    )
    train.add_argument(
        "--cut-offs",
        type=_numbers,
        default=(),
        metavar="N,N,...",
        help="leave out n-grams of length 1, 2, ... that occur no more often; the last holds for "
        "all longer ones (0,0,1: trigrams and longer ones that occur once)",
    )
    for command in (train, score):
        _add_text(command)
    return parser


def _add_text(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="manifest (.jsonl), plain text of one sentence a line (packed or not), or - for stdin",
    )
    command.add_argument("--unit", choices=("words", "characters"), default="words")
    command.add_argument(
        "--target",
        choices=("tagged", "plain"),
        default="tagged",
        help="whether entities of manifests are written into the text, as in task.target "
        "(default: tagged)",
    )
    command.add_argument(
        "--labels",
        metavar="SET",
        default="combined",
        help="set of the entity marks, as in task.labels (default: combined)",
    )


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} should be numbers such as 0,0,1") from None
