"""Which words of an alignment are an entity's: the official string search, or its position."""

from __future__ import annotations

from collections.abc import Sequence

WordRange = tuple[int, int]
"""``[first, last)`` in the words of an alignment, silences included."""


def official_word_ranges(words: Sequence[str], phrases: Sequence[str]) -> list[WordRange | None]:
    """Search the phrases in the words as SLUE-2's published scores do.

    Phrases are searched by string from left to right, each after the one before, and the first
    occurrence is taken, whatever position was annotated. Silences (``""``) inside an occurrence
    belong to it. Source: slue-toolkit ``prepare/prepare_voxpopuli_nel.py``,
    ``update_alignment_dct``, which ends the program at a phrase that it does not find; here
    its range is ``None`` and the search goes on.

    Args:
        words: of the alignment, in order of time.
        phrases: as annotated in the transcript, in the order of the data set.
    """
    ranges: list[WordRange | None] = []
    first = 0
    for phrase in phrases:
        wanted = _cleaned(phrase).split(" ")
        found = next(
            (
                (start, last)
                for start in range(first, len(words))
                if (last := _end_of_match(words, start, wanted)) is not None
            ),
            None,
        )
        ranges.append(found)
        first = first if found is None else found[1]
    return ranges


def position_word_ranges(
    words: Sequence[str], text: str, spans: Sequence[tuple[int, int]]
) -> list[WordRange | None] | None:
    """Find the words that hold the characters ``[start, end)`` of the text.

    Letters and digits of the words, run together, must be those of the text; then it does not
    matter how either of them writes punctuation and apostrophes. A word that an entity covers
    in part (``eu`` in ``eu's``) belongs to it whole.

    Returns:
        A range for each span (``None`` for one without a letter or digit); ``None`` when the
        letters differ, so that no position can be mapped.
    """
    word_of = [index for index, word in enumerate(words) for _ in _letters(word)]
    if "".join(map(_letters, words)) != _letters(text):
        return None
    ranges: list[WordRange | None] = []
    for start, end in spans:
        before, inside = len(_letters(text[:start])), len(_letters(text[start:end]))
        found = word_of[before : before + inside]
        ranges.append((found[0], found[-1] + 1) if found else None)
    return ranges


def _end_of_match(words: Sequence[str], start: int, wanted: Sequence[str]) -> int | None:
    if words[start] != wanted[0]:
        return None
    position = start + 1
    for word in wanted[1:]:
        while position < len(words) and words[position] == "":
            position += 1
        if position == len(words) or words[position] != word:
            return None
        position += 1
    return position


def _cleaned(phrase: str) -> str:
    """``depunctuate`` of the official code, in its order."""
    for old, new in ((".", ""), ("' ", " "), ("'s", " 's"), ("  ", " ")):
        phrase = phrase.replace(old, new)
    return phrase


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
