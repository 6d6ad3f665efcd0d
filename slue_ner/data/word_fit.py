"""Word times made elsewhere, put to the words of a transcript."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from slue_ner.core.canonical import canonical
from slue_ner.core.types import EntitySpan, Utterance, Word
from slue_ner.text.normalize import ner_form

_SILENCES = ("<eps>", "<sil>", "sil", "sp")


def with_word_times(utterance: Utterance, words: Sequence[Word]) -> Utterance:
    """Give an utterance word times, and its entities the words and times that follow.

    Args:
        utterance: its positions decide which words an entity has.
        words: from an aligner, in order of time; silences may be among them.

    Raises:
        ValueError: saying which word differs from the text.
    """
    fitted = fit_words(utterance.text, words)
    spoken = [index for index, word in enumerate(fitted) if word.text]
    return replace(
        utterance,
        words=fitted,
        entities=tuple(
            _timed(entity, utterance.text, fitted, spoken) for entity in utterance.entities
        ),
    )


def fit_words(text: str, words: Sequence[Word]) -> tuple[Word, ...]:
    """Spell an aligner's words as the text does, which is in SLUE's NER form.

    A word that the NER form splits (``eu's`` to ``eu 's``) gives its time to the first part; the
    others last no time and stand at its end, as in SLUE's cascade and in ESPnet's references.
    Capitals and punctuation of the aligner's words do not matter, nor do ways to write one letter
    (see ``canonical``), and ``""``, ``sil``, ``sp``
    and ``<eps>`` are silences.

    Raises:
        ValueError: saying which word differs from the text.
    """
    expected = text.split()
    fitted: list[Word] = []
    position = 0
    for word in words:
        for number, part in enumerate(_parts(canonical(word.text).text, expected, position)):
            if part:
                if position == len(expected):
                    raise ValueError(f"the alignment goes on with {part!r} after the text's end")
                if part.casefold() != expected[position].casefold():
                    raise ValueError(
                        f"word {position + 1} is {part!r} in the alignment, "
                        f"{expected[position]!r} in the text"
                    )
                part = expected[position]
                position += 1
            start = word.start if number == 0 else word.end
            fitted.append(Word(part, start, word.end, estimated=word.estimated))
    if position < len(expected):
        raise ValueError(
            f"the alignment ends before word {position + 1} of the text, {expected[position]!r}"
        )
    return tuple(fitted)


def _parts(word: str, expected: Sequence[str], position: int) -> list[str]:
    if position < len(expected) and word.casefold() == expected[position].casefold():
        return [word]
    if word in _SILENCES:
        return [""]
    return ner_form(word, ())[0].split() or [""]


def _timed(
    entity: EntitySpan, text: str, words: Sequence[Word], spoken: Sequence[int]
) -> EntitySpan:
    first = len(text[: entity.start_char].split())
    last = len(text[: entity.end_char].split())
    word_range = (spoken[first], spoken[last - 1] + 1)
    return replace(
        entity,
        words=word_range,
        start=words[word_range[0]].start,
        end=words[word_range[1] - 1].end,
    )
