"""Who says what: utterances that are still text get voices, and are spoken to audio files."""

from __future__ import annotations

import io
import multiprocessing
import random
import re
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from slue_ner.core.groups import group_of
from slue_ner.core.types import EntitySpan, Progress, Utterance, Word
from slue_ner.data.loading.audio import SAMPLE_RATE
from slue_ner.data.synthesis.espeak import speak
from slue_ner.data.synthesis.voices import Voice, draw_voices

_CHUNK = 8


@dataclass(frozen=True, slots=True)
class Script:
    """What to say, who says it, and where it goes.

    Attributes:
        utterance: without audio or times.
        voice: its id becomes the speaker.
        audio: path relative to the data set's folder, ending in ``.wav``.
    """

    utterance: Utterance
    voice: Voice
    audio: Path


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


def speak_scripts(
    scripts: Sequence[Script],
    out: Path,
    *,
    num_workers: int = 1,
    progress: Progress | None = None,
) -> list[Utterance]:
    """Speak every script to a 16-bit wav file and give its words and entities their times.

    The files and the result do not depend on the number of workers.

    Args:
        scripts: in the order of the result.
        out: the data set's folder.
        num_workers: processes; 1 speaks in this one.
        progress: called with utterances done and in all.

    Raises:
        ValueError: naming an utterance that cannot be spoken.
        OSError: naming a file that cannot be written.
    """
    for folder in {script.audio.parent for script in scripts}:
        _make_folder(out / folder)
    job = partial(speak_script, out=out)
    spoken: list[Utterance] = []
    for utterance in _map(job, scripts, num_workers):
        spoken.append(utterance)
        if progress is not None:
            progress(len(spoken), len(scripts))
    return spoken


def speak_script(script: Script, *, out: Path) -> Utterance:
    """Speak one script; see ``speak_scripts``."""
    utterance = script.utterance
    try:
        speech = speak(utterance.text.split(" "), script.voice)
    except ValueError as error:
        raise ValueError(f"utterance {utterance.id}: {error}") from error
    samples = np.round(speech.waveform * 32_767).astype(np.int16)
    _write_wav(out / script.audio, samples)
    return replace(
        utterance,
        audio=script.audio,
        num_samples=len(samples),
        sample_rate=SAMPLE_RATE,
        speaker=script.voice.id,
        words=speech.words,
        phones=speech.phones,
        entities=tuple(_timed(entity, speech.words) for entity in utterance.entities),
    )


def _map(
    job: partial[Utterance], scripts: Sequence[Script], num_workers: int
) -> Iterable[Utterance]:
    if num_workers == 1:
        return map(job, scripts)
    return _map_in_pool(job, scripts, num_workers)


def _map_in_pool(
    job: partial[Utterance], scripts: Sequence[Script], num_workers: int
) -> Iterator[Utterance]:
    with _deaf_to_interrupts():
        pool = multiprocessing.get_context("spawn").Pool(num_workers)
    with pool:
        yield from pool.imap(job, scripts, chunksize=_CHUNK)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started in the block ignore Ctrl-C, which goes to the whole process group.

    The pool ends its workers, each of which would print a traceback. Only the main thread may
    say so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, heard)


def _timed(entity: EntitySpan, words: Sequence[Word]) -> EntitySpan:
    """Find the entity's words by its characters; both index the words joined by spaces."""
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word.text) + 1)
    assert entity.start_char is not None and entity.end_char is not None
    first, last = starts.index(entity.start_char), starts.index(entity.end_char + 1)
    return replace(entity, words=(first, last), start=words[first].start, end=words[last - 1].end)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from error


def _write_wav(path: Path, samples: np.ndarray) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    try:
        path.write_bytes(buffer.getvalue())
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> OSError:
    return OSError(
        f"cannot write {path}: {error.strerror or error}; free some space or choose a folder "
        "you may write to, then run the same command again"
    )


def _file_name(utterance_id: str, used: set[str]) -> str:
    """A name that every file system takes; ids that would share one are numbered."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", utterance_id)[:120].lstrip(".") or "utterance"
    name, number = stem, 1
    while name.lower() in used:
        number += 1
        name = f"{stem}-{number}"
    used.add(name.lower())
    return f"{name}.wav"
