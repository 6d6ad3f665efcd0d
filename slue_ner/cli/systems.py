"""The systems that ``slue-ner predict`` runs: its options and utterances to predictions."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console

from slue_ner.cli.console import progress_on
from slue_ner.cli.decoding import chosen_decoding
from slue_ner.core.time import FrameGrid, Seconds
from slue_ner.core.types import Prediction, Utterance
from slue_ner.decoding.beam import BeamDecoder
from slue_ner.decoding.emissions import EmissionsWriter, read_emissions
from slue_ner.decoding.frames import FrameDecoding
from slue_ner.pipelines.cascade import cascade, gold_text
from slue_ner.pipelines.ctc_decoding import CTCDecoding, say_cut
from slue_ner.pipelines.end_to_end import predict, predict_stored, weights_hash
from slue_ner.pipelines.frames import frame_config, load_frame_run, predict_frames
from slue_ner.pipelines.frames_file import read_decoding, tuned_decoding
from slue_ner.pipelines.recognisers import recognise
from slue_ner.pipelines.run_folder import load_run
from slue_ner.pipelines.stored_frames import predict_stored_frames
from slue_ner.pipelines.text_taggers import say_types, text_tagger
from slue_ner.tasks.building import VOCABULARY_FILE
from slue_ner.tasks.devices import pick_device
from slue_ner.text.vocabulary import Vocabulary

Say = Callable[[str], None]
System = Callable[[argparse.Namespace, Sequence[Utterance], Console], list[Prediction]]


def run_end_to_end(
    options: argparse.Namespace, utterances: Sequence[Utterance], console: Console
) -> list[Prediction]:
    """One CTC run, with or without entities; or its emissions in place of its model."""
    decoding = chosen_decoding(options)
    if options.emissions_from is not None:
        return _read_stored(options, utterances, decoding, console)
    run = load_run(options.run, weights=options.weights)
    store = _store(options, kind="ctc", symbols=run.vocabulary.symbols, grid=run.model.grid)
    say = _say_on(console)
    decoder = _decoder(decoding, run.vocabulary, say)
    with store as writer, _running(options, console, run.config.data.batch_seconds) as running:
        predictions = predict(
            run.model,
            utterances,
            vocabulary=run.vocabulary,
            emissions=None if writer is None else writer.add,
            decoder=decoder,
            **running,
        )
    say_cut(decoder, say)
    return predictions


def run_frames(
    options: argparse.Namespace, utterances: Sequence[Utterance], console: Console
) -> list[Prediction]:
    """One run with a frame head; or its emissions in place of its model."""
    if any((options.lm, options.character_lm, options.lexicon, options.hot_words)):
        raise ValueError("a frame head writes no words a language model could score; leave it out")
    decoding = None if options.decoding is None else read_decoding(Path(options.decoding))
    if options.emissions_from is not None:
        return _read_stored_frames(options, utterances, decoding or tuned_decoding(options.run))
    run = load_frame_run(options.run, weights=options.weights)
    store = _store(options, kind="frames", symbols=run.model.symbols, grid=run.model.grid)
    with store as writer, _running(options, console, run.config.data.batch_seconds) as running:
        return predict_frames(
            run.model,
            utterances,
            vocabulary=run.vocabulary,
            decoding=decoding or run.decoding,
            emissions=None if writer is None else writer.add,
            **running,
        )


def run_cascade(
    options: argparse.Namespace, utterances: Sequence[Utterance], console: Console
) -> list[Prediction]:
    """A recogniser, and text NER on what it wrote."""
    say = _say_on(console)
    tagger = text_tagger(options.text_ner, label_map=options.label_map, note=say)
    heard = run_words(options, utterances, console)
    predictions = cascade(heard, tagger, device=pick_device(options.device))
    say_types(tagger, say)
    return predictions


def run_words(
    options: argparse.Namespace, utterances: Sequence[Utterance], console: Console
) -> list[Prediction]:
    """Any recogniser: words with times, and no entities."""
    with _running(options, console, _RECOGNISER_BATCH_SECONDS) as running:
        return recognise(
            options.run,
            utterances,
            weights=options.weights,
            decoding=chosen_decoding(options),
            note=_say_on(console),
            ner_form=options.ner_form,
            **running,
        )


def run_gold_text(
    options: argparse.Namespace, utterances: Sequence[Utterance], console: Console
) -> list[Prediction]:
    """Text NER on what was really said."""
    say = _say_on(console)
    tagger = text_tagger(
        options.run, weights=options.weights, label_map=options.label_map, note=say
    )
    predictions = gold_text(utterances, tagger, device=pick_device(options.device))
    say_types(tagger, say)
    return predictions


SYSTEMS: dict[str, System] = {
    "end_to_end": run_end_to_end,
    "cascade": run_cascade,
    "gold_text": run_gold_text,
    "frames": run_frames,
    "words": run_words,
}

_RECOGNISER_BATCH_SECONDS: Seconds = 80.0


def _decoder(decoding: CTCDecoding | None, vocabulary: Vocabulary, say: Say) -> BeamDecoder | None:
    if decoding is None:
        return None
    return decoding.decoder(vocabulary.symbols, vocabulary.label_set, note=say)


def _say_on(console: Console) -> Say:
    return lambda sentence: console.print(sentence, highlight=False, markup=False)


def _read_stored(
    options: argparse.Namespace,
    utterances: Sequence[Utterance],
    decoding: CTCDecoding | None,
    console: Console,
) -> list[Prediction]:
    emissions = read_emissions(options.emissions_from)
    vocabulary = Vocabulary.load(options.run / VOCABULARY_FILE)
    emissions.check_model(
        symbols=vocabulary.symbols, model_hash=weights_hash(options.run, options.weights)
    )
    say = _say_on(console)
    decoder = _decoder(decoding, vocabulary, say)
    with progress_on(console, "decoding") as progress:
        predictions = predict_stored(
            emissions, utterances, vocabulary=vocabulary, decoder=decoder, progress=progress
        )
    say_cut(decoder, say)
    return predictions


def _read_stored_frames(
    options: argparse.Namespace, utterances: Sequence[Utterance], decoding: FrameDecoding
) -> list[Prediction]:
    _, task = frame_config(options.run)
    if task.ctc_weight:
        raise ValueError(
            f"{options.run} finds words by a CTC head, of which {options.emissions_from} holds "
            "nothing; leave --emissions-from out"
        )
    emissions = read_emissions(options.emissions_from)
    emissions.check_model(
        symbols=task.symbols, model_hash=weights_hash(options.run, options.weights)
    )
    return predict_stored_frames(emissions, utterances, decoding=decoding)


def _store(
    options: argparse.Namespace, *, kind: str, symbols: Sequence[str], grid: FrameGrid
) -> AbstractContextManager[EmissionsWriter | None]:
    if options.emissions is None:
        return nullcontext()
    model_hash = weights_hash(options.run, options.weights)
    return EmissionsWriter(
        options.emissions, kind=kind, symbols=symbols, grid=grid, model_hash=model_hash
    )


@contextmanager
def _running(
    options: argparse.Namespace, console: Console, batch_seconds: Seconds
) -> Iterator[dict[str, Any]]:
    """How to run any model that hears: device, batches, and progress on the console."""
    with progress_on(console, "predicting") as progress:
        yield {
            "batch_seconds": options.batch_seconds or batch_seconds,
            "device": pick_device(options.device),
            "num_workers": options.num_workers,
            "progress": progress,
        }
