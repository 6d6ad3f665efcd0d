"""Word times for manifests that have none: the output of any aligner, beside the transcripts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from slue_ner.core.files import sha256
from slue_ner.core.records import read_manifest
from slue_ner.core.types import Utterance, Word
from slue_ner.data.dataset import SPLITS, PreparedDataset, check_unique_ids, write_dataset
from slue_ner.data.survey import shown
from slue_ner.data.time_sources import read_word_times
from slue_ner.data.word_fit import with_word_times

_NUM_SHOWN = 3


def prepare_word_times(manifest: Path, out: Path, *, source: Path) -> PreparedDataset:
    """Copy manifests with the word times of another file or folder.

    An utterance gets all of its words and the words and times of its entities, or stays as it
    was; the notes say how many of which split got them, and which ids have other words.

    Args:
        manifest: a manifest, or the folder of a prepared data set.
        out: another folder; its manifests point at the same audio.
        source: see ``read_word_times``.

    Raises:
        ValueError: naming the file and line, or when not one utterance gets times.
    """
    out = Path(out)
    paths = _manifests(Path(manifest))
    for path in paths:
        if path.parent.resolve() == out.resolve():
            raise ValueError(
                f"{out}: the new manifest would overwrite {path}; choose another folder"
            )
    splits: dict[str, list[Utterance]] = {}
    for path in paths:
        for utterance in read_manifest(path):
            splits.setdefault(utterance.split, []).append(utterance)
    check_unique_ids(splits)
    ids = [utterance.id for utterances in splits.values() for utterance in utterances]
    times, others = read_word_times(source, ids)
    timed, misfits = _with_times(splits, times)
    if len(times) == len(misfits):
        reason = f": {_shown_misfits(misfits)}" if misfits else ""
        raise ValueError(f"{source} has times for not one of {manifest}'s utterances{reason}")
    notes = _notes(splits, times, misfits, others)
    counts = write_dataset(
        out,
        timed,
        source={
            "kind": "word-times",
            "path": os.path.relpath(Path(manifest).resolve(), out.resolve()),
            "files": {path.name: sha256(path) for path in paths},
            "times": os.path.relpath(Path(source).resolve(), out.resolve()),
            "warnings": notes,
        },
    )
    return PreparedDataset(out, counts, tuple(notes))


def _manifests(manifest: Path) -> list[Path]:
    if not manifest.is_dir():
        return [manifest]
    paths = [path for name in SPLITS if (path := manifest / f"{name}.jsonl").is_file()]
    if not paths:
        raise ValueError(f"{manifest}: no {', '.join(f'{name}.jsonl' for name in SPLITS)} in it")
    return paths


def _with_times(
    splits: Mapping[str, Sequence[Utterance]], times: Mapping[str, Sequence[Word]]
) -> tuple[dict[str, list[Utterance]], dict[str, str]]:
    """The utterances, with times where these fit, and by id why others do not fit."""
    timed: dict[str, list[Utterance]] = {}
    misfits: dict[str, str] = {}
    for split, utterances in splits.items():
        timed[split] = []
        for utterance in utterances:
            if utterance.id in times:
                try:
                    utterance = with_word_times(utterance, times[utterance.id])
                except ValueError as error:
                    misfits[utterance.id] = str(error)
            timed[split].append(utterance)
    return timed, misfits


def _notes(
    splits: Mapping[str, Sequence[Utterance]],
    times: Mapping[str, Sequence[Word]],
    misfits: Mapping[str, str],
    others: list[str],
) -> list[str]:
    notes = []
    for split, utterances in splits.items():
        num_timed = sum(u.id in times and u.id not in misfits for u in utterances)
        notes.append(f"{num_timed} of {len(utterances)} utterances of {split} got word times")
    if misfits:
        notes.append(
            f"{len(misfits)} utterances got none because the aligned words are not the text's: "
            + _shown_misfits(misfits)
        )
    if others:
        notes.append(f"{len(others)} ids with times are in no manifest: {shown(others)}")
    return notes


def _shown_misfits(misfits: Mapping[str, str]) -> str:
    sentences = [f"{id_} ({reason})" for id_, reason in misfits.items()]
    more = len(sentences) - _NUM_SHOWN
    return "; ".join(sentences[:_NUM_SHOWN]) + (f"; and {more} more" if more > 0 else "")
