"""All utterances that a run is trained on, from however many manifests."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from slue_ner.core.records import read_manifest
from slue_ner.core.types import Utterance
from slue_ner.data.corpora.dataset import check_transcribed
from slue_ner.data.loading.loaders import DataOptions


def read_training(options: DataOptions) -> list[Utterance]:
    """The utterances of every training manifest.

    ``options.hours`` limits those with labels. Those of ``options.unlabelled`` come without
    transcript, entities, words and phones. An id that two manifests share gets a number in the
    later one.
    """
    utterances = [u for path in options.train_manifests for u in read_manifest(path)]
    check_transcribed(utterances)
    if options.hours is not None:
        utterances = _part(utterances, options.hours)
    utterances += [_unlabelled(u) for path in options.unlabelled for u in read_manifest(Path(path))]
    taken = {utterance.id for utterance in utterances}
    counts: dict[str, int] = {}
    for i, utterance in enumerate(utterances):
        number = counts[utterance.id] = counts.get(utterance.id, 0) + 1
        while number > 1 and (id := f"{utterance.id}#{number}") in taken:
            number = counts[utterance.id] = number + 1
        if number > 1:
            taken.add(id)
            utterances[i] = replace(utterance, id=id)
    return utterances


def read_tuning(options: DataOptions, *, num_ranks: int) -> list[Utterance]:
    """The utterances that checkpoints are chosen on.

    Raises:
        ValueError: when there are fewer than ``num_ranks``.
    """
    tune = read_manifest(options.tune_manifest)
    check_transcribed(tune)
    if len(tune) < num_ranks:
        raise ValueError(
            f"data.tune={options.tune} holds {len(tune)} utterances, which are too few to "
            f"choose a checkpoint on with {num_ranks} devices; prepare the data with a larger share"
        )
    return tune


def _part(utterances: list[Utterance], hours: float) -> list[Utterance]:
    """About ``hours`` of the utterances, at least one, in their order; a larger part holds it."""
    order = list(range(len(utterances)))
    random.Random("hours").shuffle(order)
    chosen: list[int] = []
    seconds = 0.0
    for index in order:
        if chosen and seconds >= 3600 * hours:
            break
        chosen.append(index)
        seconds += utterances[index].duration
    return [utterances[index] for index in sorted(chosen)]


def _unlabelled(utterance: Utterance) -> Utterance:
    return replace(
        utterance,
        text="",
        asr_text=None,
        raw_text=None,
        words=None,
        phones=None,
        entities=(),
    )
