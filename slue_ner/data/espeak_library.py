"""espeak-ng's shared library through ctypes, loaded afresh for every utterance."""

from __future__ import annotations

import _ctypes
import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from slue_ner.data.voices import Voice
from slue_ner.data.word_times import Mark, TimedPhone

# espeak-ng 1.52, speak_lib.h
_SYNCHRONOUS, _CHARS_UTF8 = 2, 1
_PHONEME_EVENTS, _DONT_EXIT = 0x0001, 0x8000
_WORD, _END, _PHONEME = 1, 5, 7
_RATE, _PITCH, _RANGE = 1, 3, 4
_BUFFER_MS = 1_000
_PHONES_SEPARATED_BY_UNDERSCORES = ord("_") << 8


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


@contextmanager
def fresh_library() -> Iterator[ctypes.CDLL]:
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
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else the clock seeds the noise
        yield library
    finally:
        library.espeak_Terminate()
        getattr(_ctypes, "dlclose" if hasattr(_ctypes, "dlclose") else "FreeLibrary")(
            library._handle
        )


def set_voice(library: ctypes.CDLL, voice: Voice) -> None:
    """Speak as ``voice`` from here on.

    Raises:
        ValueError: for an accent or variant that espeak-ng does not have.
    """
    name = f"{voice.base}+{voice.variant}"
    if library.espeak_SetVoiceByName(name.encode()) != 0:
        raise ValueError(
            f"voice {voice.id}: espeak-ng has no voice {name!r}; known accents and variants are "
            "slue_ner.data.voices.BASES and VARIANTS"
        )
    settings = ((_RATE, voice.rate), (_PITCH, voice.pitch), (_RANGE, voice.pitch_range))
    for parameter, value in settings:
        library.espeak_SetParameter(parameter, value, 0)


def synthesize(
    library: ctypes.CDLL, text: str
) -> tuple[NDArray[np.int16], list[Mark], list[TimedPhone], int]:
    """Say ``text``.

    Returns:
        Samples ``(S,)``, word marks, phones whose ends are still open, and the sample rate.
    """
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


def spell_phones(library: ctypes.CDLL, word: str) -> tuple[str, ...]:
    """How ``word`` sounds by itself in the accent the library is set to."""
    translate = library.espeak_TextToPhonemes
    translate.restype = ctypes.c_char_p
    rest = ctypes.c_char_p(word.encode())
    spoken = translate(ctypes.byref(rest), _CHARS_UTF8, _PHONES_SEPARATED_BY_UNDERSCORES)
    names = (spoken or b"").decode("utf-8", errors="replace").split("_")
    return tuple(name for name in names if name)
