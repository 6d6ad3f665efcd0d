"""Speak words with espeak-ng and learn when each of them was said.

The synthesiser reports where every word and every phone begins, to the sample, but it runs
function words together (``in the`` is one word to it), and a possessive belongs to its noun.
Such a unit is divided between its words at a phone border, see ``word_times``.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from slue_ner.core.types import Word
from slue_ner.data.audio import SAMPLE_RATE
from slue_ner.data.espeak_library import fresh_library, set_voice, spell_phones, synthesize
from slue_ner.data.voices import Voice
from slue_ner.data.word_times import time_phones, time_words

_LEAD_SECONDS = 0.1
_TRAIL_SECONDS = 0.25

_CONTRACTIONS = {
    "'s": ("z",),
    "'t": ("t",),
    "'d": ("d",),
    "'m": ("m",),
    "'ll": ("l",),
    "'ve": ("v",),
    "'re": ("@",),
}
"""How a piece sounds at the end of a word; alone, espeak-ng would spell it."""

_LOCK = threading.Lock()
_OWN_PHONES: dict[tuple[str, str], tuple[str, ...]] = {}


@dataclass(frozen=True, slots=True)
class Speech:
    """Spoken words.

    Attributes:
        waveform: float32 in [-1, 1], ``(S,)``, mono at 16 kHz.
        words: one per word asked for, in order, each with a positive length.
        phones: espeak-ng's ASCII phone names without stress marks; pauses are gaps.
    """

    waveform: NDArray[np.float32]
    words: tuple[Word, ...]
    phones: tuple[Word, ...]


def speak(words: Sequence[str], voice: Voice) -> Speech:
    """Say ``words``; the result depends on the arguments alone, not on what was said before.

    A word that starts with an apostrophe (``'s``, ``'clock``) is said as part of the word
    before it and still gets its own time. Speech stands between 0.1 s and 0.25 s of silence.

    Args:
        words: no white space inside; numbers are best spelled out.
        voice: the speaker.

    Raises:
        ValueError: for no words, a word that is empty or holds white space, words without any
            sound, an unknown voice, or a missing ``espeakng-loader``.
    """
    if not words:
        raise ValueError("speak needs at least one word, got none")
    for word in words:
        if not word or word.split() != [word]:
            raise ValueError(f"speak needs words without white space, got {word!r}")
    text, starts = _spoken_text(words)
    with _LOCK, fresh_library() as library:
        set_voice(library, voice)
        samples, marks, phones, rate = synthesize(library, text)
        own_phones = [_own_phones(library, word, voice.base) for word in words]
    timed = time_phones(phones, marks, last=len(samples))
    if not timed:
        raise ValueError(f"espeak-ng finds nothing to say in {text!r}; give words with letters")
    spans = time_words(starts, marks, timed, own_phones)
    lead = round(_LEAD_SECONDS * SAMPLE_RATE)
    waveform = soxr.resample(samples.astype(np.float32) / 32_768, rate, SAMPLE_RATE)
    limit = (lead + len(waveform)) / SAMPLE_RATE
    trail = round(_TRAIL_SECONDS * SAMPLE_RATE)
    waveform = np.pad(np.clip(waveform, -1, 1), (lead, trail))

    def seconds(sample: float) -> float:
        return min(limit, lead / SAMPLE_RATE + sample / rate)

    return Speech(
        waveform,
        tuple(
            Word(word, seconds(span.start), seconds(span.end), estimated=span.estimated)
            for word, span in zip(words, spans, strict=True)
        ),
        tuple(Word(phone.name, seconds(phone.start), seconds(phone.end)) for phone in timed),
    )


def _spoken_text(words: Sequence[str]) -> tuple[str, list[int]]:
    """The text to say and where each word starts in it, in characters."""
    text, starts = "", []
    for word in words:
        text += " " if text and not word.startswith("'") else ""
        starts.append(len(text))
        text += word
    return text, starts


def _own_phones(library: ctypes.CDLL, word: str, base: str) -> tuple[str, ...]:
    if word in _CONTRACTIONS:
        return _CONTRACTIONS[word]
    if (base, word) not in _OWN_PHONES:
        _OWN_PHONES[base, word] = spell_phones(library, word.lstrip("'"))
    return _OWN_PHONES[base, word]
