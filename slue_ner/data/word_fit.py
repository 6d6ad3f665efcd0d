"""Word times made elsewhere, put to the words of a transcript."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush

from slue_ner.core.canonical import canonical
from slue_ner.core.types import EntitySpan, Utterance, Word
from slue_ner.core.validation import check_utterance
from slue_ner.data.alignment_marks import is_mark, is_unknown_word, letters, may_be_a_word
from slue_ner.data.word_order import TimeChanges, settled
from slue_ner.text.normalize import ner_form


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
    if j < len(expected) and not letters(expected[j]):
        yield (i, j + 1), 2
    if i == len(words):
        return
    word = canonical(words[i].text).text
    if is_mark(word):
        yield (i + 1, j), int(is_unknown_word(word))
    if j == len(expected):
        return
    for parts in ([word], ner_form(word, ())[0].split()):
        if parts and _same(parts, expected[j : j + len(parts)]):
            yield (i + 1, j + len(parts)), 0
            if not is_mark(word):
                return
    if may_be_a_word(word):
        last = j + 1
        yield (i + 1, last), int(not is_unknown_word(word))
        while last < len(expected) and not expected[last][0].isalnum():  # the 's of an eu's
            last += 1
            yield (i + 1, last), 1
    if letters(word) and letters(expected[j]):
        stop = _end_of_run(expected, j, letters(word))
        if stop is not None:
            yield (i + 1, stop), 1
        heard = [word.text for word in words[i : i + len(expected[j])]]
        stop = _end_of_run(heard, 0, letters(expected[j]))
        if stop is not None:
            yield (i + stop, j + 1), 1


def _end_of_run(parts: Sequence[str], first: int, wanted: str) -> int | None:
    """Behind the last of the parts from ``first`` on that spell ``wanted`` together."""
    spelled = ""
    for index in range(first, len(parts)):
        spelled += letters(parts[index])
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
