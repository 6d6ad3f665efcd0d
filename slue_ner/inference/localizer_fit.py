"""The localizer that a CTC run fits on its tune split when training ends, and keeps.

Nothing in CTC training keeps a model from emitting symbols late by a constant time, so times are
right only after a rule and an offset have been fitted where word times are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from slue_ner.core.records import read_manifest
from slue_ner.core.time import Seconds
from slue_ner.core.types import EntitySpan, Prediction, Utterance
from slue_ner.decoding.localizers import LocalizerOptions
from slue_ner.evaluation.boundary_errors import boundary_errors, equal_words
from slue_ner.inference.aligning import Aligner
from slue_ner.inference.localizing import (
    KeptLocalizer,
    check_tuning_split,
    move_words,
    read_localizer,
    tune,
    write_localizer,
)
from slue_ner.inference.transcribing import CTCPredictor, decode

AS_DECODED = KeptLocalizer(options=LocalizerOptions())
"""For a run whose tune split has no word times: how late it is was not measured."""


def fit_localizer(
    predictor: CTCPredictor,
    manifest: Path,
    path: Path,
    *,
    device: torch.device | str,
    console: Console,
) -> KeptLocalizer:
    """Fit rule and offset on tune and keep them; once for a run.

    A tagged run is fitted by the entities it finds. A plain one finds none: every second word
    stands for one, where it was recognised. The offset of forced alignment is fitted beside it,
    on the words of the transcripts, and stands in for the other where no entity was found right.
    Utterances without word times take no part; where none has any, times stay as decoded, and
    the console says so.

    Args:
        predictor: with the run's best weights.
        manifest: its tune split.
        path: the file to keep them in; when it is there already nothing is done.
        device: where to run.
        console: where the result goes.
    """
    if path.is_file():
        return read_localizer(path)
    timed = [u for u in read_manifest(manifest) if u.words is not None]
    try:
        check_tuning_split(timed)
        if not timed:
            raise ValueError(f"no utterance of {manifest.name} has word times")
        tuned_on = f"{len(timed)} utterances of {manifest.name}"
        fitted, reason = _fit(predictor, timed, device=device, tuned_on=tuned_on)
    except ValueError as error:  # hours of training should not end here
        fitted, reason = AS_DECODED, str(error)
    write_localizer(path, fitted)
    said = f"localizer: {fitted}"
    if fitted.align_ms is not None:
        said += f"; alignment {fitted.alignment}"
    console.print(said, highlight=False, markup=False)
    if reason:
        console.print(f"the localizer is not searched: {reason}", highlight=False, markup=False)
    return fitted


def _fit(
    predictor: CTCPredictor,
    timed: Sequence[Utterance],
    *,
    device: torch.device | str,
    tuned_on: str,
) -> tuple[KeptLocalizer, str]:
    """What suits the references best, and why it was not searched by frame F1, if it was not."""
    vocabulary = predictor.vocabulary
    aligner = Aligner(vocabulary, predictor.model.grid)
    texts = {utterance.id: utterance.text for utterance in timed}
    aligned: list[Prediction] = []

    def align(id: str, log_probs: np.ndarray) -> None:
        try:
            words = aligner.time(texts[id], log_probs).words
        except ValueError:  # the text does not fit into the audio: nothing to learn from
            return
        aligned.append(Prediction(id, texts[id], words=words))

    emitted = predictor.emit(timed, device=device, keep=align)
    predictions = decode(emitted, timed, vocabulary=vocabulary)
    measured = _aligning_error(aligned, timed)
    offset, error_ms = measured or (AS_DECODED.align_offset, None)
    try:
        if vocabulary.labels is None:
            best = tune(*_words_as_entities(timed, predictions))[0]
        else:
            best = tune(timed, predictions)[0]
        if best.frames.tp:
            fitted = best.kept(tuned_on)
            return replace(fitted, align_offset=offset, align_ms=error_ms), ""
        reason = f"nothing that was found in {tuned_on} overlaps with what is there"
    except ValueError as error:
        reason = str(error)
    if measured is None:
        return AS_DECODED, reason
    late = KeptLocalizer(options=LocalizerOptions(offset=measured[0]), tuned_on=tuned_on)
    late = replace(late, align_offset=offset, align_ms=error_ms)
    return late, f"{reason}; its offset is that of the aligned words"


def _aligning_error(
    aligned: Sequence[Prediction], references: Sequence[Utterance]
) -> tuple[Seconds, float] | None:
    """The offset of forced alignment and the median error it leaves; ``None`` without words."""
    try:
        errors = boundary_errors(aligned, references)
    except ValueError:
        return None
    offset = round(-(errors.bias_start_ms + errors.bias_end_ms) / 2000, 2)
    moved = [move_words(prediction, offset) for prediction in aligned]
    return offset, boundary_errors(moved, references).median_ms


def _words_as_entities(
    references: Sequence[Utterance], predictions: Sequence[Prediction]
) -> tuple[list[Utterance], list[Prediction]]:
    """Every second word of a reference, and the same words as they were recognised.

    Neighbours would hide each other's errors: where one ends late, the other starts late.
    """
    gold: list[Utterance] = []
    found: list[Prediction] = []
    for reference, prediction in zip(references, predictions, strict=True):
        theirs, ours = reference.words or (), prediction.words or ()
        spoken = [index for index, word in enumerate(theirs) if word.text]
        pairs = [
            (i, j)
            for i, j in equal_words(ours, theirs)
            if spoken.index(j) % 2 == 0 and not theirs[j].estimated
        ]
        gold.append(
            replace(
                reference,
                entities=tuple(
                    EntitySpan(None, w.text, words=(j, j + 1), start=w.start, end=w.end)
                    for j, w in ((j, theirs[j]) for _, j in pairs)
                ),
            )
        )
        found.append(
            replace(
                prediction,
                entities=tuple(EntitySpan(None, ours[i].text, words=(i, i + 1)) for i, _ in pairs),
            )
        )
    return gold, found
