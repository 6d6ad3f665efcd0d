"""The last steps that every preparation shares: survey the audio, hold out tune, write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from slue_ner.core.listing import shown
from slue_ner.core.types import Progress, Utterance
from slue_ner.data.corpora.dataset import (
    ASIDE,
    SPLITS,
    UNTRANSCRIBED,
    PreparedDataset,
    check_unique_ids,
    write_dataset,
)
from slue_ner.data.corpora.mark_words import resolve_marks
from slue_ner.data.corpora.splits import with_dev, with_tune
from slue_ner.data.corpora.survey import Survey, survey_audio, unusable_audio
from slue_ner.data.corpora.word_fit import with_own_words
from slue_ner.data.loading.audio import SAMPLE_RATE, AudioError

_TRAINED_ON = ("fine-tune", "tune", *ASIDE)


def finish_dataset(
    out: Path,
    splits: Mapping[str, Sequence[Utterance]],
    *,
    source: Mapping[str, Any],
    warnings: Sequence[str] = (),
    own_words: bool = False,
    hold_out_dev: bool = False,
    tune_share: float = 0.1,
    seed: int = 0,
    marks: str = "keep",
    listen: bool = True,
    progress: Progress | None = None,
) -> PreparedDataset:
    """Turn transcribed utterances into a prepared data set.

    Args:
        out: folder to write to.
        splits: utterances by split with absolute audio paths; their lengths are filled in here.
        source: kind, revision and options, kept in ``dataset.json`` with what the survey found.
        warnings: sentences about what was left out so far.
        own_words: word times are not the manifest's yet, see ``with_own_words``.
        hold_out_dev: hold the share out as dev first.
        tune_share: of fine-tune to hold out as tune; 0 for none.
        seed: decides which speakers are held out.
        marks: what becomes of texts that cannot be written as symbols, see ``resolve_marks``.
        listen: decode every file, not only its header (see ``survey_audio``).
        progress: called with files done and in all.

    An utterance whose audio cannot be used is left out of what is trained on; in a split that is
    scored it stays, without audio, and counts as missed. The warnings name all of them.

    Raises:
        ValueError: when no audio of a split can be used, or an utterance does not fit its audio.
    """
    if Path(out).is_file():
        raise ValueError(f"{out} is a file; name a folder for the manifests")
    if not any(splits.values()):
        raise ValueError(f"{source['kind']}: no utterances found, so there is nothing to prepare")
    check_unique_ids(splits)
    resolved, marked = resolve_marks(splits, marks)
    if not resolved:
        raise ValueError(f"{source['kind']}: nothing is left to prepare; {marked[0]}")
    ordered = {name: resolved[name] for name in (*SPLITS, *ASIDE) if resolved.get(name)}
    with_tune(ordered, share=tune_share, seed=seed)  # a wrong share is known before audio is read
    every = [utterance for utterances in ordered.values() for utterance in utterances]
    paths = {utterance.id: utterance.audio for utterance in every if utterance.audio is not None}
    survey = survey_audio(paths, listen=listen, progress=progress)
    usable, unusable = _usable(ordered, survey)
    unmeasured = usable
    notes: list[str] = []
    for hold_out in (with_dev, with_tune) if hold_out_dev else (with_tune,):
        unmeasured, more = hold_out(unmeasured, share=tune_share, seed=seed)
        notes += more
    measured = {
        name: [_measured(utterance, survey) for utterance in utterances]
        for name, utterances in unmeasured.items()
    }
    if own_words:
        measured, more = with_own_words(measured)
        notes += more
    sentences = (
        *(*warnings, *marked, *_text_warnings(measured)),
        *(*survey.warnings(), *unusable, *notes),
    )
    record = {
        **source,
        "options": {
            **source.get("options", {}),
            "tune_share": tune_share,
            "seed": seed,
            "marks": marks,
            "listen": listen,
        },
        "converted": survey.num_converted,
        "silent": list(survey.silent),
        "unusable": survey.unusable,
        "warnings": list(sentences),
    }
    counts = write_dataset(out, measured, source=record)
    return PreparedDataset(Path(out), counts, sentences)


def _usable(
    splits: Mapping[str, list[Utterance]], survey: Survey
) -> tuple[dict[str, list[Utterance]], list[str]]:
    """The splits without audio that cannot be used, and a sentence about it if there is any."""
    bad = survey.unusable
    usable: dict[str, list[Utterance]] = {}
    fates = []
    for name, utterances in splits.items():
        num_bad = sum(utterance.id in bad for utterance in utterances)
        if num_bad == len(utterances):
            of_split = {u.id: bad[u.id] for u in utterances}
            raise AudioError(f"{name}: {unusable_audio(of_split, num_files=num_bad)}")
        if name in _TRAINED_ON:
            usable[name] = [u for u in utterances if u.id not in bad]
            fate = "left out"
        else:
            usable[name] = [replace(u, audio=None) if u.id in bad else u for u in utterances]
            fate = "kept without audio, to score as missed"
        if num_bad:
            fates.append(f"{num_bad} of {name} {fate}")
    if not bad:
        return usable, []
    num_files = len(bad) + len(survey.infos)
    return usable, [unusable_audio(bad, num_files=num_files, fate=f" ({'; '.join(fates)})")]


def _measured(utterance: Utterance, survey: Survey) -> Utterance:
    if utterance.audio is None:
        return utterance
    num_samples = survey.infos[utterance.id].num_samples
    return replace(utterance, num_samples=num_samples, sample_rate=SAMPLE_RATE)


def _text_warnings(splits: Mapping[str, Sequence[Utterance]]) -> list[str]:
    warnings = [
        f"split {name} has no entity at all; there is nothing to find or to score in it, and F1 "
        'will be 0 (say "split" in the lines to choose what is in it)'
        for name, utterances in splits.items()
        if name not in ASIDE and not any(utterance.entities for utterance in utterances)
    ]
    empty = [
        u.id
        for name, utterances in splits.items()
        for u in utterances
        if not u.text and name != UNTRANSCRIBED
    ]
    return (
        [*warnings, f"utterances with an empty transcript: {shown(empty)}"] if empty else warnings
    )
