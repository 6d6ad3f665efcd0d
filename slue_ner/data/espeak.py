"""Speak words with espeak-ng and learn when each of them was said.

The synthesiser reports where every word and every phone begins, to the sample, but it runs
function words together (``in the`` is one word to it), and a possessive belongs to its noun.
Such a unit is divided between its words at a phone border, see ``word_times``.
"""

from __future__ import annotations

import _ctypes
import ctypes
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from slue_ner.core.types import Word
from slue_ner.data.voices import Voice
from slue_ner.data.word_times import Mark, TimedPhone, time_phones, time_words

SAMPLE_RATE = 16_000

# espeak-ng 1.52, speak_lib.h
_SYNCHRONOUS, _CHARS_UTF8 = 2, 1
_PHONEME_EVENTS, _DONT_EXIT = 0x0001, 0x8000
_WORD, _END, _PHONEME = 1, 5, 7
_RATE, _PITCH, _RANGE = 1, 3, 4
_BUFFER_MS = 1_000
_PHONES_SEPARATED_BY_UNDERSCORES = ord("_") << 8
_LEAD_SECONDS = 0.1

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


class _EventId(ctypes.Union):
    _fields_ = (
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


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
    before it and still gets its own time. Speech starts after 0.1 s of silence.

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
    with _LOCK, _fresh_library() as library:
        _set_voice(library, voice)
        samples, marks, phones, rate = _synthesize(library, text)
        own_phones = [_own_phones(library, word, voice.base) for word in words]
    if not phones:
        raise ValueError(f"espeak-ng finds nothing to say in {text!r}; give words with letters")
    timed = time_phones(phones, marks, last=len(samples))
    spans = time_words(starts, marks, timed, own_phones)
    lead = round(_LEAD_SECONDS * SAMPLE_RATE)
    waveform = soxr.resample(samples.astype(np.float32) / 32_768, rate, SAMPLE_RATE)
    waveform = np.concatenate([np.zeros(lead, np.float32), np.clip(waveform, -1, 1)])
    limit = len(waveform) / SAMPLE_RATE

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


@contextmanager
def _fresh_library() -> Iterator[ctypes.CDLL]:
    """The library as it is when it has never spoken.

    espeak-ng keeps its place in the flutter and noise tables, and the last formants, in static
    variables that ``espeak_Terminate`` leaves alone, so the same words sound different after
    other words. Unloading it is what resets them; that costs about 3 ms.
    """
    try:
        import espeakng_loader
    except ImportError as error:
        raise ValueError(
            "the speech synthesiser is not installed; run `pip install slue-ner[synth]`"
        ) from error
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        data = espeakng_loader.get_data_path().encode()
        options = _PHONEME_EVENTS | _DONT_EXIT
        if library.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, data, options) <= 0:
            raise ValueError(
                f"espeak-ng does not start with the data in {data.decode()}; "
                "run `pip install --force-reinstall espeakng-loader`"
            )
        yield library
        library.espeak_Terminate()
    finally:
        unload = getattr(_ctypes, "dlclose", None) or _ctypes.FreeLibrary
        unload(library._handle)


def _set_voice(library: ctypes.CDLL, voice: Voice) -> None:
    name = f"{voice.base}+{voice.variant}"
    if library.espeak_SetVoiceByName(name.encode()) != 0:
        raise ValueError(
            f"voice {voice.id}: espeak-ng has no voice {name!r}; known accents and variants are "
            "slue_ner.data.voices.BASES and VARIANTS"
        )
    settings = ((_RATE, voice.rate), (_PITCH, voice.pitch), (_RANGE, voice.pitch_range))
    for parameter, value in settings:
        library.espeak_SetParameter(parameter, value, 0)


def _synthesize(
    library: ctypes.CDLL, text: str
) -> tuple[NDArray[np.int16], list[Mark], list[TimedPhone], int]:
    """Samples, word marks and phones (ends still open), and the synthesiser's sample rate."""
    chunks: list[bytes] = []
    marks: list[Mark] = []
    phones: list[TimedPhone] = []

    def collect(samples: int | None, num_samples: int, events: Sequence[_Event]) -> int:
        if samples and num_samples > 0:
            chunks.append(ctypes.string_at(samples, 2 * num_samples))
        for event in events:  # a pointer: the list ends where the type is 0
            if event.type == 0:
                break
            if event.type == _WORD:
                marks.append(Mark(event.text_position - 1, event.sample))
            elif event.type == _PHONEME:
                name = event.id.string.decode("utf-8", errors="replace")
                phones.append(TimedPhone(name, event.sample, event.sample))
        return 0

    callback = _CALLBACK(collect)
    library.espeak_SetSynthCallback(callback)
    encoded = text.encode()
    status = library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _CHARS_UTF8, None, None)
    if status != 0:
        raise ValueError(f"espeak-ng refused to say {text!r} (status {status})")
    samples = np.frombuffer(b"".join(chunks), dtype=np.int16)
    return samples, marks, phones, library.espeak_ng_GetSampleRate()


def _own_phones(library: ctypes.CDLL, word: str, base: str) -> tuple[str, ...]:
    """How ``word`` sounds by itself in the accent the library is set to."""
    if word in _CONTRACTIONS:
        return _CONTRACTIONS[word]
    key = (base, word)
    if key not in _OWN_PHONES:
        translate = library.espeak_TextToPhonemes
        translate.restype = ctypes.c_char_p
        rest = ctypes.c_char_p(word.lstrip("'").encode())
        spoken = translate(ctypes.byref(rest), _CHARS_UTF8, _PHONES_SEPARATED_BY_UNDERSCORES)
        names = (spoken or b"").decode("utf-8", errors="replace").split("_")
        _OWN_PHONES[key] = tuple(name for name in names if name)
    return _OWN_PHONES[key]
