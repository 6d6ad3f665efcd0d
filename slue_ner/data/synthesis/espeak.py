"""Speak words with espeak-ng and learn when each of them was said.

The synthesiser reports where every word and every phone begins, to the sample, but it runs
function words together (``in the`` is one word to it), and a possessive belongs to its noun.
Such a unit is divided between its words at a phone border. Positions are characters of the spoken
text, times are samples of the synthesiser; its shared library is used through ctypes and loaded
afresh for every utterance.
"""

from __future__ import annotations

import _ctypes
import ctypes
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise

import numpy as np
import soxr
from numpy.typing import NDArray

from slue_ner.core.types import Word
from slue_ner.data.loading.audio import SAMPLE_RATE
from slue_ner.data.synthesis.voices import Voice

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

LONGEST_CLOSURE = 1_300
"""A word mark comes this many samples (59 ms) or less before the first phone is heard: the
closure of a stop. A longer wait is a pause."""

_STRESS = "',%="
_VOWELS = frozenset("aeiouAEIOUVQ03@")
_VOICING = frozenset(("sz", "td", "fv", "TD", "kg", "pb"))
_INSERTED = 1.0
_MOST_COST_PER_PHONE = 0.55

# espeak-ng 1.52, speak_lib.h
_SYNCHRONOUS, _CHARS_UTF8 = 2, 1
_PHONEME_EVENTS, _DONT_EXIT = 0x0001, 0x8000
_WORD, _END, _PHONEME = 1, 5, 7
_RATE, _PITCH, _RANGE = 1, 3, 4
_BUFFER_MS = 1_000
_PHONES_SEPARATED_BY_UNDERSCORES = ord("_") << 8

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


@dataclass(frozen=True, slots=True)
class Mark:
    """The synthesiser begins a word here."""

    position: int
    sample: int


@dataclass(frozen=True, slots=True)
class TimedPhone:
    """A phone that fills samples ``[start, end)``."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class WordSamples:
    """A word that fills samples ``[start, end)``; ``estimated`` when its borders are a guess."""

    start: float
    end: float
    estimated: bool = False


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
    with _LOCK, _fresh_library() as library:
        _set_voice(library, voice)
        samples, marks, phones, rate = _synthesize(library, text)
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


def time_phones(
    phones: Sequence[TimedPhone], marks: Sequence[Mark], *, last: int
) -> list[TimedPhone]:
    """Give phones an end and leave pauses out.

    A phone lasts until the next phone, pause or word begins. Phones that begin at one instant
    share the time up to the next one equally.

    Args:
        phones: in order; ends are ignored, a name that starts with ``_`` is a pause.
        marks: beginnings of words, in order.
        last: number of samples.
    """
    starts = [phone.start for phone in phones]
    for mark in marks:
        index = bisect_right(starts, mark.sample - 1)
        if index < len(starts) and starts[index] - mark.sample <= LONGEST_CLOSURE:
            starts[index] = mark.sample
    borders = sorted({*starts, *(mark.sample for mark in marks), last})
    timed: list[TimedPhone] = []
    first = 0
    while first < len(phones):
        group = [i for i in range(first, len(phones)) if starts[i] == starts[first]]
        first += len(group)
        start = starts[group[0]]
        end = borders[min(bisect_right(borders, start), len(borders) - 1)]
        sounding = [i for i in group if phones[i].name and not phones[i].name.startswith("_")]
        shares = _shares(start, end, [1] * len(sounding))
        for i, (phone_start, phone_end) in zip(sounding, shares, strict=True):
            name = phones[i].name.lstrip(_STRESS) or phones[i].name
            timed.append(TimedPhone(name, phone_start, phone_end))
    return [phone for phone in timed if phone.end > phone.start]


def time_words(
    starts: Sequence[int],
    marks: Sequence[Mark],
    phones: Sequence[TimedPhone],
    own_phones: Sequence[Sequence[str]],
) -> list[WordSamples]:
    """Give every word its own positive stretch of time.

    Words between two marks are a unit. A unit of several words is divided where its phones,
    aligned with what each word sounds like alone, pass from one word to the next. If they do
    not resemble each other, the words are marked as estimated; if a word has no phone left,
    the unit is divided in proportion and all its words are estimated.

    Args:
        starts: where each word begins in the spoken text.
        marks: beginnings of words according to the synthesiser.
        phones: timed phones, at least one.
        own_phones: phones of each word spoken alone.
    """
    spans: list[WordSamples] = []
    for (first, last), unit in _units(starts, marks, phones):
        if last - first == 1:
            spans.append(WordSamples(unit[0].start, unit[-1].end))
        else:
            spans += _divide(unit, own_phones[first:last])
    return spans


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
        _OWN_PHONES[base, word] = _spell_phones(library, word.lstrip("'"))
    return _OWN_PHONES[base, word]


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
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else the clock seeds the noise
        yield library
    finally:
        library.espeak_Terminate()
        getattr(_ctypes, "dlclose" if hasattr(_ctypes, "dlclose") else "FreeLibrary")(
            library._handle
        )


def _set_voice(library: ctypes.CDLL, voice: Voice) -> None:
    """Speak as ``voice`` from here on.

    Raises:
        ValueError: for an accent or variant that espeak-ng does not have.
    """
    name = f"{voice.base}+{voice.variant}"
    if library.espeak_SetVoiceByName(name.encode()) != 0:
        raise ValueError(
            f"voice {voice.id}: espeak-ng has no voice {name!r}; known accents and variants are "
            "slue_ner.data.synthesis.voices.BASES and VARIANTS"
        )
    settings = ((_RATE, voice.rate), (_PITCH, voice.pitch), (_RANGE, voice.pitch_range))
    for parameter, value in settings:
        library.espeak_SetParameter(parameter, value, 0)


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


def _synthesize(
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


def _spell_phones(library: ctypes.CDLL, word: str) -> tuple[str, ...]:
    """How ``word`` sounds by itself in the accent the library is set to."""
    translate = library.espeak_TextToPhonemes
    translate.restype = ctypes.c_char_p
    rest = ctypes.c_char_p(word.encode())
    spoken = translate(ctypes.byref(rest), _CHARS_UTF8, _PHONES_SEPARATED_BY_UNDERSCORES)
    names = (spoken or b"").decode("utf-8", errors="replace").split("_")
    return tuple(name for name in names if name)


def _units(
    starts: Sequence[int], marks: Sequence[Mark], phones: Sequence[TimedPhone]
) -> list[tuple[tuple[int, int], list[TimedPhone]]]:
    """Word ranges ``[first, last)`` that cover all words, each with at least one phone."""
    firsts: list[tuple[int, float]] = []
    for mark in marks:
        word = max(0, bisect_right(starts, mark.position) - 1)
        if not firsts or word > firsts[-1][0]:
            firsts.append((word, mark.sample))
    edges = [edge for _, edge in firsts[1:]]
    members: list[list[TimedPhone]] = [[] for _ in firsts] or [[]]
    for phone in phones:
        members[bisect_right(edges, phone.start)].append(phone)
    kept = [(word, unit) for (word, _), unit in zip(firsts, members, strict=False) if unit]
    words = [0, *(word for word, _ in kept[1:]), len(starts)]
    units = [unit for _, unit in kept] or [list(phones)]
    return list(zip(pairwise(words), units, strict=True))


def _divide(unit: Sequence[TimedPhone], own_phones: Sequence[Sequence[str]]) -> list[WordSamples]:
    own = tuple(tuple(phone.lstrip(_STRESS) for phone in word) for word in own_phones)
    borders, costs = _align(own, tuple(phone.name for phone in unit))
    if all(first < last for first, last in pairwise(borders)):
        return [
            WordSamples(unit[a].start, unit[b - 1].end, cost > _MOST_COST_PER_PHONE * (b - a))
            for (a, b), cost in zip(pairwise(borders), costs, strict=True)
        ]
    weights = [max(1, len(word)) for word in own]
    return [
        WordSamples(start, end, estimated=True)
        for start, end in _shares(unit[0].start, unit[-1].end, weights)
    ]


def _shares(start: float, end: float, weights: Sequence[int]) -> list[tuple[float, float]]:
    """Adjoining parts of ``[start, end)`` in proportion to the weights."""
    total = max(1, sum(weights))
    borders = [start + (end - start) * done / total for done in accumulate(weights, initial=0)]
    return list(pairwise(borders))


@lru_cache(maxsize=4_096)
def _align(
    own: tuple[tuple[str, ...], ...], heard: tuple[str, ...]
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Cheapest alignment of the words' own phones with the phones heard.

    Returns:
        Borders ``(b0, ..., bk)``, word ``j`` owning ``heard[bj:bj+1]``, and each word's cost.
    """
    said = [phone for word in own for phone in word]
    word_of = [index for index, word in enumerate(own) for _ in word]
    table = [[_INSERTED * j for j in range(len(heard) + 1)]]
    for i, phone in enumerate(said, start=1):
        row = [_INSERTED * i]
        for j, other in enumerate(heard, start=1):
            substituted = table[i - 1][j - 1] + _distance(phone, other)
            row.append(min(substituted, table[i - 1][j] + _INSERTED, row[-1] + _INSERTED))
        table.append(row)
    owners = [0] * len(heard)
    costs = [0.0] * len(own)
    i, j = len(said), len(heard)
    while i or j:
        word = word_of[max(0, i - 1)] if said else 0
        if i and j and table[i][j] == table[i - 1][j - 1] + _distance(said[i - 1], heard[j - 1]):
            costs[word] += _distance(said[i - 1], heard[j - 1])
            owners[j - 1] = word
            i, j = i - 1, j - 1
        elif i and table[i][j] == table[i - 1][j] + _INSERTED:
            costs[word] += _INSERTED
            i -= 1
        else:
            costs[word] += _INSERTED
            owners[j - 1] = word
            j -= 1
    borders = [sum(owner < word for owner in owners) for word in range(len(own))]
    return (*borders, len(heard)), tuple(costs)


def _distance(phone: str, other: str) -> float:
    """0 for the same sound, up to 1.6 for a vowel against a consonant."""
    if phone == other:
        return 0.0
    vowels = (phone[:1] in _VOWELS) + (other[:1] in _VOWELS)
    if vowels == 1:
        return 1.6
    if phone.rstrip("0123456789#:") == other.rstrip("0123456789#:"):
        return 0.1
    if vowels == 2:
        return 0.4
    return 0.25 if "".join(sorted((phone, other))) in _VOICING else 0.9
