"""Word times for manifests that have none: the output of any aligner, beside the transcripts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from slue_ner.core.files import sha256
from slue_ner.core.listing import list_reasons, shown
from slue_ner.core.records import read_manifest
from slue_ner.core.types import Utterance, Word
from slue_ner.data.corpora.aligner_files import WordTimes, read_word_times
from slue_ner.data.corpora.dataset import (
    ASIDE,
    SPLITS,
    PreparedDataset,
    check_unique_ids,
    write_dataset,
)
from slue_ner.data.corpora.word_fit import TimeChanges, is_mark, with_word_times


def prepare_word_times(manifest: Path, out: Path, *, source: Path) -> PreparedDataset:
    """Copy manifests with the word times of another file or folder.

    An utterance gets all of its words and the words and times of its entities, or stays as it
    was; the notes say how many of which split got them, and by file why others did not.

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
    times = read_word_times(source, ids)
    timed, misfits, changes = _with_times(splits, times)
    misfits = {**misfits, **times.problems}
    num_timed = sum(id_ in times.tiers and id_ not in misfits for id_ in ids)
    if not num_timed:
        reason = f":{list_reasons(misfits)}" if misfits else ""
        raise ValueError(f"{source} has times for not one of {manifest}'s utterances{reason}")
    notes = [*_counts(splits, times, misfits), *changes.notes(), *_left_out(misfits, times)]
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
    names = (*SPLITS, *ASIDE)
    paths = [path for name in names if (path := manifest / f"{name}.jsonl").is_file()]
    if not paths:
        raise ValueError(f"{manifest}: no {', '.join(f'{name}.jsonl' for name in SPLITS)} in it")
    return paths


def _with_times(
    splits: Mapping[str, Sequence[Utterance]], times: WordTimes
) -> tuple[dict[str, list[Utterance]], dict[str, str], TimeChanges]:
    """The utterances, with times where these fit, and by id why others do not fit."""
    timed: dict[str, list[Utterance]] = {}
    misfits: dict[str, str] = {}
    every = TimeChanges()
    for split, utterances in splits.items():
        timed[split] = []
        for utterance in utterances:
            if utterance.id in times.tiers:
                try:
                    utterance, changes = _fitting(utterance, times.tiers[utterance.id])
                    every += changes
                except ValueError as error:
                    misfits[utterance.id] = f"{times.files[utterance.id]}: {error}"
            timed[split].append(utterance)
    return timed, misfits, every


def _fitting(
    utterance: Utterance, tiers: Mapping[str, Sequence[Word]]
) -> tuple[Utterance, TimeChanges]:
    """The utterance with the words of the one tier that has its text, or of all together."""
    fitting: dict[str, tuple[Utterance, TimeChanges]] = {}
    reasons: list[str] = []
    together = [word for words in tiers.values() for word in words if not is_mark(word.text)]
    for name, words in tiers.items():
        try:
            fitting[name] = with_word_times(utterance, words)
        except ValueError as error:
            reasons.append(str(error))
    if not fitting and len(tiers) == 1:
        raise ValueError(reasons[0])
    if not fitting:  # speakers who take turns
        try:
            return with_word_times(utterance, together)
        except ValueError:
            names = ", ".join(map(repr, tiers))
            raise ValueError(
                f"none of the tiers {names}, nor all together, has the text: {reasons[0]}"
            ) from None
    (name, found), *others = fitting.items()
    for other, differing in others:
        if differing[0] != found[0]:
            raise ValueError(f"tiers {name!r} and {other!r} both have the text, at other times")
    return found


def _counts(
    splits: Mapping[str, Sequence[Utterance]], times: WordTimes, misfits: Mapping[str, str]
) -> list[str]:
    notes = []
    for split, utterances in splits.items():
        num_timed = sum(u.id in times.tiers and u.id not in misfits for u in utterances)
        notes.append(f"{num_timed} of {len(utterances)} utterances of {split} got word times")
    return notes


def _left_out(misfits: Mapping[str, str], times: WordTimes) -> list[str]:
    notes = []
    if misfits:
        notes.append(
            f"{len(misfits)} could not be used, so that these utterances stay as they were:"
            + list_reasons(misfits)
        )
    if times.latin:
        notes.append(
            f"{len(times.latin)} files are neither UTF-8 nor UTF-16 and were read as Windows' "
            f"Latin-1: {shown(times.latin)}"
        )
    if times.others:
        others = shown(times.others)
        notes.append(f"{len(times.others)} ids with times are in no manifest: {others}")
    return notes
