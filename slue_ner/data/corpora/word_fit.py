"""Word times made elsewhere, put to the words of a transcript and to its entities.

Times are brought in order first, without overlap and inside the audio. Then the words are spelled
as the text does; silences and what an aligner did not know are found by their marks:

MFA and Kaldi: ``sil sp spn nsn <eps> <unk> !SIL <SIL> sil_S [noise] <spoken_noise>``; Gentle:
``<unk>``; WebMAUS: ``<p:> <usb> <nib>``; P2FA: ``{SL} {NS} {LG}``; Praat: ``#``; Switchboard:
``[laughter]``; NeMo: ``<b>``; HTK: ``!ENTER SENT-END``; Julius: ``silB silE``; TIMIT: ``h#``.
Case does not matter. A word of the transcript that looks the same is that word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import pairwise

from slue_ner.core.canonical import canonical
from slue_ner.core.listing import list_reasons
from slue_ner.core.time import Seconds
from slue_ner.core.types import EntitySpan, Utterance, Word
from slue_ner.core.validation import TIME_SLACK, check_utterance
from slue_ner.text.normalize import ner_form

_MOST_OVERRUN: Seconds = 0.1
"""A word may end so much after the audio and be cut; later, it is of another recording."""

_SAME: Seconds = 1e-6
_BRACKETED = re.compile(
    r"<[^<>]*>|\[[^\[\]]*\]|\{[^{}]*\}|\(+[^()]*\)+|\+\+[^+]*\+\+|![a-z]+|h#|sil_?[bies]",
    re.IGNORECASE,
)
_NAMES = frozenset(
    ("sil", "ssil", "sp", "spn", "nsn", "eps", "pau", "silence", "noise", "unk")
) | frozenset(("sent-start", "sent-end"))
_UNKNOWN = frozenset(("unk", "oov", "unknown"))
_UNCLEAR = frozenset(("spn", "spoken_noise", "spoken-noise", "usb", "nib", "gbg", "garbage"))
_AROUND = "<>[]{}()!+*:#_ "


@dataclass(frozen=True, slots=True)
class TimeChanges:
    """What was changed, in one utterance or added up over many.

    Attributes:
        num_overlaps: pairs of words that overlapped.
        num_overlapping: utterances with such a pair.
        most_overlap: longest time that two words had in common.
        num_truncated: utterances whose last words ended after the audio.
        num_sorted: utterances whose words were not in order of time.
    """

    num_overlaps: int = 0
    num_overlapping: int = 0
    most_overlap: Seconds = 0.0
    num_truncated: int = 0
    num_sorted: int = 0

    def __add__(self, other: TimeChanges) -> TimeChanges:
        """The changes of both."""
        return TimeChanges(
            self.num_overlaps + other.num_overlaps,
            self.num_overlapping + other.num_overlapping,
            max(self.most_overlap, other.most_overlap),
            self.num_truncated + other.num_truncated,
            self.num_sorted + other.num_sorted,
        )

    def notes(self) -> list[str]:
        """Sentences for the user; none where nothing was changed."""
        notes = []
        if self.num_overlaps:
            notes.append(
                f"{self.num_overlaps} pairs of words in {self.num_overlapping} utterances "
                f"overlapped, by {1000 * self.most_overlap:.0f} ms at most; each pair now meets "
                "in the middle of what it shared"
            )
        if self.num_truncated:
            notes.append(
                f"{self.num_truncated} utterances had words or entities that end up to "
                f"{1000 * _MOST_OVERRUN:.0f} ms after the audio; they now end with it"
            )
        if self.num_sorted:
            notes.append(f"the words of {self.num_sorted} utterances were put in order of time")
        return notes


def with_word_times(utterance: Utterance, words: Sequence[Word]) -> tuple[Utterance, TimeChanges]:
    """Give an utterance word times, and its entities the words and times that follow.

    An entity that begins inside of an aligner's word (``EU`` in ``non-EU``) has that word from
    its beginning, as one that ends inside (``eu`` in ``eu's``) has it to its end.

    Args:
        utterance: its positions decide which words an entity has.
        words: from an aligner; silences may be among them.

    Returns:
        The utterance, and what ``settled`` changed in the times.

    Raises:
        ValueError: saying which word differs from the text or is not in the audio.
    """
    duration = None if utterance.num_samples is None else utterance.duration
    ordered, changes = settled(words, duration=duration)
    pieces = _fitted(utterance.text, ordered)
    spoken = [index for index, piece in enumerate(pieces) if piece.word.text]
    timed = replace(
        utterance,
        words=tuple(piece.word for piece in pieces),
        entities=tuple(
            _timed(entity, utterance.text, pieces, spoken) for entity in utterance.entities
        ),
    )
    check_utterance(timed)
    return timed, changes


def with_entity_times(utterance: Utterance) -> tuple[Utterance, TimeChanges]:
    """One utterance; errors as ``with_word_times``."""
    timed, changes = with_word_times(utterance, utterance.words or ())
    entities = tuple(
        new if old.start is None else replace(new, start=old.start, end=old.end)
        for old, new in zip(utterance.entities, timed.entities, strict=True)
    )
    return replace(timed, entities=entities), changes


def with_own_words(
    splits: Mapping[str, Sequence[Utterance]],
) -> tuple[dict[str, list[Utterance]], list[str]]:
    """Put the words of every utterance to its text, and give its entities their words and times.

    Times that an entity has of its own stay, cut as words are where they end a little after the
    audio. An utterance whose words are not those of its text goes without word times (``null``, not
    known).

    Args:
        splits: utterances whose audio has been measured.

    Returns:
        The utterances, and notes about what was changed and which words could not be used.
    """
    timed: dict[str, list[Utterance]] = {}
    every = TimeChanges()
    misfits: dict[str, str] = {}
    for split, utterances in splits.items():
        timed[split] = []
        for utterance in utterances:
            utterance, is_cut = _cut(utterance)
            changes = TimeChanges()
            if utterance.words is not None:
                try:
                    utterance, changes = with_entity_times(utterance)
                except ValueError as error:
                    misfits[utterance.id] = str(error)
                    utterance = replace(utterance, words=None)
            every += replace(changes, num_truncated=int(is_cut or changes.num_truncated > 0))
            timed[split].append(utterance)
    notes = every.notes()
    if misfits:
        notes.append(
            f"the words of {len(misfits)} utterances could not be used, so that these have no "
            f"word times:{list_reasons(misfits)}"
        )
    return timed, notes


def fit_words(text: str, words: Sequence[Word]) -> tuple[Word, ...]:
    """Spell an aligner's words as the text does, which is in SLUE's NER form.

    Only letters and digits have to agree, whatever their case and however they are written (see
    ``canonical``). A word of the aligner that is several in the text (``eu's`` and ``eu 's``) gives
    its time to the first; the others last no time and stand at its end, as in SLUE's cascade and in
    ESPnet's references. Several that are one in the text give it their time from the first to the
    last. Marks of silence become ``""``; a mark of an unknown word is the word of the text at its
    place.

    Raises:
        ValueError: saying which word differs from the text.
    """
    return tuple(piece.word for piece in _fitted(text, words))


def settled(
    words: Sequence[Word], *, duration: Seconds | None = None
) -> tuple[list[Word], TimeChanges]:
    """Put words in order, share out overlaps and cut what lies after the audio.

    Two words that overlap meet in the middle of what they share; a silence gives way to a
    word. Words that touch, gaps and words of no length stay as they are.

    Args:
        words: of an aligner, in any order.
        duration: of the audio; ``None`` when it is not known.

    Raises:
        ValueError: for three words at one time, or one that is not in the audio.
    """
    is_sorted = all(one.start <= other.start for one, other in pairwise(words))
    ordered = list(words) if is_sorted else sorted(words, key=lambda word: (word.start, word.end))
    inside, is_cut = _inside(ordered, duration)
    spoken, overlaps = _shared_out([word for word in inside if not is_mark(word.text)])
    changes = TimeChanges(
        num_overlaps=len(overlaps),
        num_overlapping=int(bool(overlaps)),
        most_overlap=max(overlaps, default=0.0),
        num_truncated=int(is_cut),
        num_sorted=int(not is_sorted),
    )
    return _between(inside, spoken), changes


def is_mark(word: str) -> bool:
    """Whether this is a name of silence, noise or an unknown word, or has no letter at all."""
    return not _letters(word) or _bracketed(word) or _name(word) in _NAMES


def _cut(utterance: Utterance) -> tuple[Utterance, bool]:
    """Entities that end a little after the audio end with it, as words do; whether one did."""
    duration = utterance.duration
    late = [
        entity.end is not None and TIME_SLACK < entity.end - duration <= _MOST_OVERRUN
        for entity in utterance.entities
    ]
    if utterance.num_samples is None or not any(late):
        return utterance, False
    entities = tuple(
        replace(entity, start=min(entity.start or 0.0, duration), end=duration)
        if is_late
        else entity
        for entity, is_late in zip(utterance.entities, late, strict=True)
    )
    return replace(utterance, entities=entities), True


@dataclass(frozen=True, slots=True)
class _Piece:
    """A fitted word.

    Attributes:
        is_rest: its time went to the piece before it.
        is_unspoken: a symbol of the text that the aligner has not heard; it lasts no time.
    """

    word: Word
    is_rest: bool = False
    is_unspoken: bool = False


def _fitted(text: str, words: Sequence[Word]) -> list[_Piece]:
    expected = text.split()
    pieces: list[_Piece] = []
    for (i, j), (i_next, j_next) in _steps(words, expected):
        heard, meant = words[i:i_next], expected[j:j_next]
        if not heard:
            now = pieces[-1].word.end if pieces else 0.0
            pieces.append(_Piece(Word(meant[0], now, now), is_unspoken=True))
            continue
        start, end = heard[0].start, heard[-1].end
        estimated = any(word.estimated for word in heard)
        first, *rest = meant or [""]
        pieces.append(_Piece(Word(first, start, end, estimated=estimated)))
        for part in rest:
            pieces.append(_Piece(Word(part, end, end, estimated=estimated), is_rest=True))
    return pieces


_Place = tuple[int, int]
"""So many words of the aligner and so many words of the text are behind."""


def _steps(words: Sequence[Word], expected: Sequence[str]) -> list[tuple[_Place, _Place]]:
    """The cheapest way through both, a step for every group of words that belong together."""
    goal = (len(words), len(expected))
    queue: list[tuple[_Place, int]] = [((0, 0), 0)]
    costs: dict[_Place, int] = {(0, 0): 0}
    before: dict[_Place, _Place] = {}
    while queue:  # every step goes forward, so a place is final when it is taken out
        place, cost = heappop(queue)
        if cost > costs[place]:
            continue
        for following, more in _ways_on(place, words, expected):
            if cost + more < costs.get(following, cost + more + 1):
                costs[following] = cost + more
                before[following] = place
                heappush(queue, (following, cost + more))
    if goal not in costs:
        raise ValueError(_difference(max(costs), words, expected))
    steps = []
    while goal != (0, 0):
        steps.append((before[goal], goal))
        goal = before[goal]
    return steps[::-1]


def _ways_on(
    place: _Place, words: Sequence[Word], expected: Sequence[str]
) -> Iterator[tuple[_Place, int]]:
    """Where a group of words can end that begins here, and how far-fetched it is."""
    i, j = place
    if j < len(expected) and not _letters(expected[j]):
        yield (i, j + 1), 2
    if i == len(words):
        return
    word = canonical(words[i].text).text
    if is_mark(word):
        yield (i + 1, j), int(_is_unknown_word(word))
    if j == len(expected):
        return
    for parts in ([word], ner_form(word, ())[0].split()):
        if parts and _same(parts, expected[j : j + len(parts)]):
            yield (i + 1, j + len(parts)), 0
            if not is_mark(word):
                return
    if _may_be_a_word(word):
        last = j + 1
        yield (i + 1, last), int(not _is_unknown_word(word))
        while last < len(expected) and not expected[last][0].isalnum():  # the 's of an eu's
            last += 1
            yield (i + 1, last), 1
    if _letters(word) and _letters(expected[j]):
        stop = _end_of_run(expected, j, _letters(word))
        if stop is not None:
            yield (i + 1, stop), 1
        heard = [word.text for word in words[i : i + len(expected[j])]]
        stop = _end_of_run(heard, 0, _letters(expected[j]))
        if stop is not None:
            yield (i + stop, j + 1), 1


def _end_of_run(parts: Sequence[str], first: int, wanted: str) -> int | None:
    """Behind the last of the parts from ``first`` on that spell ``wanted`` together."""
    spelled = ""
    for index in range(first, len(parts)):
        spelled += _letters(parts[index])
        if spelled == wanted:
            return index + 1
        if not wanted.startswith(spelled):
            return None
    return None


def _same(one: Sequence[str], other: Sequence[str]) -> bool:
    return [word.casefold() for word in one] == [word.casefold() for word in other]


def _difference(place: _Place, words: Sequence[Word], expected: Sequence[str]) -> str:
    i, j = place
    if i == len(words):
        return f"the alignment ends before word {j + 1} of the text, {expected[j]!r}"
    if j == len(expected):
        return f"the alignment goes on with {words[i].text!r} after the text's end"
    return f"word {j + 1} is {words[i].text!r} in the alignment, {expected[j]!r} in the text"


def _timed(
    entity: EntitySpan, text: str, pieces: Sequence[_Piece], spoken: Sequence[int]
) -> EntitySpan:
    first = spoken[len(text[: entity.start_char].split())]
    last = spoken[len(text[: entity.end_char].split()) - 1] + 1
    while pieces[first].is_rest:
        first -= 1
    own = pieces[first:last]
    heard = [piece.word for piece in own if not piece.is_unspoken] or [own[0].word]
    return replace(entity, words=(first, last), start=heard[0].start, end=heard[-1].end)


def _inside(words: Sequence[Word], duration: Seconds | None) -> tuple[list[Word], bool]:
    if duration is None:
        return list(words), False
    inside: list[Word] = []
    is_cut = False
    for word in words:
        if word.end > duration + TIME_SLACK:
            if is_mark(word.text):
                if word.start >= duration:
                    continue
            elif word.start > duration or word.end > duration + _MOST_OVERRUN:
                raise ValueError(
                    f"word {word.text!r} is at {word.start:.2f} to {word.end:.2f}s "
                    f"but the audio lasts {duration:.2f}s"
                )
            else:
                is_cut = True
            word = replace(word, end=duration)
        inside.append(word)
    return inside, is_cut


def _shared_out(words: Sequence[Word]) -> tuple[list[Word], list[Seconds]]:
    spoken: list[Word] = []
    overlaps: list[Seconds] = []
    for word in words:
        if spoken and word.start < spoken[-1].end - _SAME:
            before = spoken[-1]
            last = min(before.end, word.end)
            border = (word.start + last) / 2
            if word.start < before.start:
                raise ValueError(
                    f"three words are spoken at {word.start:.2f}s, among them {before.text!r} "
                    f"and {word.text!r}; which comes first cannot be told"
                )
            overlaps.append(last - word.start)
            spoken[-1] = replace(before, end=border)
            word = replace(word, start=border)
        spoken.append(word)
    return spoken, overlaps


def _between(words: Sequence[Word], spoken: Sequence[Word]) -> list[Word]:
    """The words with the new times, and marks of silence cut to the gaps between them."""
    starts = [word.start for word in spoken]
    placed: list[Word] = []
    position = 0
    for word in words:
        if not is_mark(word.text):
            placed.append(spoken[position])
            position += 1
            continue
        first = max(word.start, placed[-1].end if placed else 0.0)
        last = min([word.end, *starts[position : position + 1]])
        if first < last or (first, last) == (word.start, word.end):
            placed.append(replace(word, start=first, end=last))
    return placed


def _may_be_a_word(word: str) -> bool:
    """Whether the mark may stand for a word that the aligner did not know."""
    return _name(word) in _UNKNOWN | _UNCLEAR


def _is_unknown_word(word: str) -> bool:
    """Whether the mark says that there was a word, and not perhaps a noise."""
    return _name(word) in _UNKNOWN


def _letters(text: str) -> str:
    """Letters and digits, run together, whatever their case."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFC", text.casefold())))


def _bracketed(word: str) -> bool:
    return _BRACKETED.fullmatch(word.strip()) is not None


def _name(word: str) -> str:
    return word.casefold().strip(_AROUND)
