"""Who says what: voices and audio files for utterances that are still text."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from slue_ner.core.groups import group_of
from slue_ner.core.types import Utterance
from slue_ner.data.spoken import Script
from slue_ner.data.voices import draw_voices


def cast_voices(
    splits: Mapping[str, Sequence[Utterance]], *, num_voices: int, num_accents: int, seed: int
) -> list[Script]:
    """Give every utterance a voice and an audio file.

    Splits get voices in proportion to their size and share none. Utterances of one known
    speaker (or debate) keep one voice.

    Raises:
        ValueError: for fewer voices than splits.
    """
    if num_voices < len(splits):
        raise ValueError(
            f"{num_voices} voices are too few: {len(splits)} splits need one of their own each"
        )
    total = sum(map(len, splits.values()))
    shares = {
        split: max(1, round((num_voices - len(splits)) * len(utterances) / total) + 1)
        for split, utterances in splits.items()
    }
    voices = draw_voices(shares, seed=seed, num_accents=num_accents)
    scripts: list[Script] = []
    used: set[str] = set()
    for split, utterances in splits.items():
        groups = list(dict.fromkeys(group_of(utterance) for utterance in utterances))
        random.Random(f"cast {seed} {split}").shuffle(groups)
        voice_of = {group: voices[split][i % shares[split]] for i, group in enumerate(groups)}
        for utterance in utterances:
            name = _file_name(utterance.id, used)
            voice = voice_of[group_of(utterance)]
            scripts.append(Script(utterance, voice, Path("audio", split, name)))
    return scripts


def _file_name(utterance_id: str, used: set[str]) -> str:
    """A name that every file system takes; ids that would share one are numbered."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", utterance_id)[:120].lstrip(".") or "utterance"
    name, number = stem, 1
    while name.lower() in used:
        number += 1
        name = f"{stem}-{number}"
    used.add(name.lower())
    return f"{name}.wav"
