"""A small corpus with exact word times, in which what is named is a tone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from slue_ner.core.records import write_manifest
from slue_ner.core.types import EntitySpan, Utterance, Word


def write_timed_corpus(folder: Path) -> Path:
    """Write fine-tune (16), tune (4) and dev (4), of 0.9 to 1.4 s each; returns the folder."""
    random = np.random.default_rng(1)
    for split, count in (("fine-tune", 16), ("tune", 4), ("dev", 4)):
        utterances = []
        for number in range(count):
            name, place = ("ana", "rome") if number % 2 else ("bo", "york")
            seconds = 0.9 + 0.5 * number / count
            borders = np.cumsum(random.uniform(0.1, 0.2, 4)).round(3).tolist()
            first, second, third, fourth = borders
            time = np.arange(int(16_000 * seconds)) / 16_000
            wave = 0.02 * random.standard_normal(len(time))
            wave += 0.3 * np.sin(2 * np.pi * 400 * time) * ((first <= time) & (time < second))
            wave += 0.3 * np.sin(2 * np.pi * 1500 * time) * ((third <= time) & (time < fourth))
            audio = folder / split / f"{number:02}.wav"
            audio.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(audio, wave, 16_000)
            start = len(name) + 4
            utterances.append(
                Utterance(
                    id=f"{split}_{number:02}",
                    split=split,
                    audio=audio,
                    num_samples=len(wave),
                    sample_rate=16_000,
                    speaker=f"s{number % 4}",
                    text=f"{name} in {place}",
                    words=(
                        Word(name, first, second),
                        Word("in", second, third),
                        Word(place, third, fourth),
                    ),
                    entities=(
                        EntitySpan("PERSON", name, 0, len(name), (0, 1), first, second),
                        EntitySpan("GPE", place, start, start + len(place), (2, 3), third, fourth),
                    ),
                )
            )
        write_manifest(folder / f"{split}.jsonl", utterances)
    return folder
