"""The systems that ``slue-ner predict`` runs: its options and utterances to predictions."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console

from slue_ner.cli.console import progress_on
from slue_ner.cli.shared_options import chosen_decoding
from slue_ner.core.time import FrameGrid, Seconds
from slue_ner.core.types import Prediction, Utterance
from slue_ner.decoding.beam.search import BeamDecoder
from slue_ner.decoding.emissions import EmissionsWriter, StoredEmissions, read_emissions
from slue_ner.inference.beam_decoding import CTCDecoding, note_truncated
from slue_ner.inference.emitting import Keep
from slue_ner.inference.frame_reading import (
    FramePredictor,
    check_of_frames,
    decode_frames,
    read_decoding,
    tuned_decoding,
)
from slue_ner.inference.tagging import cascade, topline
from slue_ner.inference.transcribing import decode
from slue_ner.models.device import pick_device
from slue_ner.systems.recognisers import recognise
from slue_ner.systems.text_taggers import say_types, text_tagger
from slue_ner.tasks.frame_task import FrameClassification
from slue_ner.tasks.run import Run
from slue_ner.text.vocabulary import Vocabulary
from slue_ner.training.run_folder import RunFolder

Say = Callable[[str], None]
System = Callable[[argparse.Namespace, Sequence[Utterance], Console], list[Prediction]]


def run_end_to_end(
    options: argparse.Namespace, utterances: Sequence[Utterance], console: Console
) -> list[Prediction]:
    """One CTC run, with or without entities; or its emissions in place of its model."""
    decoding = chosen_decoding(options)
    folder = RunFolder(options.run)
    say = _say_on(console)
    if options.emissions_from is not None:
        stored = read_emissions(options.emissions_from)
        vocabulary = folder.vocabulary()
        _check_own(stored, folder, vocabulary.symbols, options)
        stored.check_holds_any(utterances)
        decoder = _decoder(decoding, vocabulary, say)
        with progress_on(console, "decoding") as progress:
            predictions = decode(
                stored,
                utterances,
                vocabulary=vocabulary,
                decoder=decoder,
                marks_apart=options.marks_apart,
                progress=progress,
            )
        note_truncated(decoder, say)
        return predictions
    predictor = Run.open(options.run).recogniser(weights=options.weights)
    vocabulary = predictor.vocabulary
    store = _store(
        options, folder, kind="ctc", symbols=vocabulary.symbols, grid=predictor.model.grid
    )
    decoder = _decoder(decoding, vocabulary, say)
    with store as writer, progress_on(console, "predicting") as progress:
        emitted = predictor.emit(utterances, keep=_add(writer), **_running(options))
        predictions = decode(
            emitted,
            utterances,
            vocabulary=vocabulary,
            decoder=decoder,
            marks_apart=options.marks_apart,
            progress=progress,
        )
    note_truncated(decoder, say)
    return predictions


def run_frames(
    options: argparse.Namespace, utterances: Sequence[Utterance], console: Console
) -> list[Prediction]:
    """One run with a frame head; or its emissions in place of its model."""
    if any((options.lm, options.character_lm, options.lexicon, options.hot_words)):
        raise ValueError("a frame head writes no words a language model could score; leave it out")
    decoding = None if options.decoding is None else read_decoding(Path(options.decoding))
    run = Run.open(options.run)
    task = run.task
    if not isinstance(task, FrameClassification):
        raise ValueError(f"{options.run} has no frame head; train one with task=frames")
    if options.emissions_from is not None:
        if task.ctc_weight:
            raise ValueError(
                f"{options.run} finds words by a CTC head, of which {options.emissions_from} holds "
                "nothing; leave --emissions-from out"
            )
        stored = read_emissions(options.emissions_from)
        _check_own(stored, run.folder, task.symbols, options)
        stored.check_holds_any(utterances)
        check_of_frames(stored)
        return decode_frames(
            stored, utterances, decoding=decoding or tuned_decoding(run.folder.path)
        )
    predictor = run.predictor(weights=options.weights)
    assert isinstance(predictor, FramePredictor)
    store = _store(
        options, run.folder, kind="frames", symbols=task.symbols, grid=predictor.model.grid
    )
    with store as writer, progress_on(console, "predicting") as progress:
        emitted = predictor.emit(utterances, keep=_add(writer), **_running(options))
        return decode_frames(
            emitted,
            utterances,
            decoding=decoding or predictor.decoding,
            vocabulary=predictor.vocabulary,
            progress=progress,
        )


def run_own(
    options: argparse.Namespace, utterances: Sequence[Utterance], console: Console
) -> list[Prediction]:
    """A run of any other task, as it predicts itself."""
    predictor = Run.open(options.run).predictor(weights=options.weights)
    return predictor.predict(utterances, device=pick_device(options.device))


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
    with progress_on(console, "predicting") as progress:
        return recognise(
            options.run,
            utterances,
            weights=options.weights,
            decoding=chosen_decoding(options),
            note=_say_on(console),
            ner_form=options.ner_form,
            progress=progress,
            **_running(options, _RECOGNISER_BATCH_SECONDS),
        )


def run_topline(
    options: argparse.Namespace, utterances: Sequence[Utterance], console: Console
) -> list[Prediction]:
    """Text NER on what was really said."""
    say = _say_on(console)
    tagger = text_tagger(
        options.run, weights=options.weights, label_map=options.label_map, note=say
    )
    predictions = topline(utterances, tagger, device=pick_device(options.device))
    say_types(tagger, say)
    return predictions


SYSTEMS: dict[str, System] = {
    "end_to_end": run_end_to_end,
    "cascade": run_cascade,
    "topline": run_topline,
    "frames": run_frames,
    "words": run_words,
    "own": run_own,
}

_RECOGNISER_BATCH_SECONDS: Seconds = 80.0


def _decoder(decoding: CTCDecoding | None, vocabulary: Vocabulary, say: Say) -> BeamDecoder | None:
    if decoding is None:
        return None
    return decoding.decoder(vocabulary.symbols, vocabulary.label_set, note=say)


def _say_on(console: Console) -> Say:
    return lambda sentence: console.print(sentence, highlight=False, markup=False)


def _check_own(
    stored: StoredEmissions,
    folder: RunFolder,
    symbols: Sequence[str],
    options: argparse.Namespace,
) -> None:
    """Refuse emissions of other weights than the run's."""
    stored.check_model(symbols=symbols, model_hash=folder.weights_hash(options.weights))


def _store(
    options: argparse.Namespace,
    folder: RunFolder,
    *,
    kind: str,
    symbols: Sequence[str],
    grid: FrameGrid,
) -> AbstractContextManager[EmissionsWriter | None]:
    if options.emissions is None:
        return nullcontext()
    model_hash = folder.weights_hash(options.weights)
    return EmissionsWriter(
        options.emissions, kind=kind, symbols=symbols, grid=grid, model_hash=model_hash
    )


def _add(writer: EmissionsWriter | None) -> Keep | None:
    return None if writer is None else writer.add


def _running(options: argparse.Namespace, batch_seconds: Seconds | None = None) -> dict[str, Any]:
    """How to run any model that hears: device and batches."""
    return {
        "batch_seconds": options.batch_seconds or batch_seconds,
        "device": pick_device(options.device),
        "num_workers": options.num_workers,
    }
