"""Where words begin and end inside a text, for phrases and for entities given by position."""

from __future__ import annotations

import re
import unicodedata

from slue_ner.core.characters import JOINERS, without_spaces

_LEFT_OUT = ".,!?;"  # by the NER form, so they separate nothing
_PREFIXING = ("HEBREW", "ARABIC", "SYRIAC")
"""Scripts with spaces in which a preposition or an article is written onto the name."""


def is_inside_word(text: str, position: int) -> bool:
    """Whether both neighbours of a place in a text are letters, digits, or marks on them.

    A combining mark (an accent, a vowel sign or point) and a joiner belong to the letter before
    them. Hyphens, apostrophes and signs stand between words: ``eu`` ends inside ``eu's``.
    """
    return 0 < position < len(text) and all(map(_of_word, text[position - 1 : position + 1]))


def find_words(phrase: str, text: str, position: int) -> tuple[int, int] | None:
    """The first place from ``position`` on where a phrase stands as whole words, in any case.

    Args:
        phrase: words between white space.
        text: to look in.
        position: index in ``text``.
    """
    pattern = re.compile(r"\s+".join(map(re.escape, phrase.split())), re.IGNORECASE)
    while (match := pattern.search(text, position)) is not None:
        if not any(is_inside_word(text, place) for place in match.span()):
            return match.span()
        position = match.start() + 1
    return None


def check_border(text: str, position: int, *, whole_words: bool = False) -> None:
    """Refuse a border of an entity at which a space would have to be put into a word.

    Args:
        text: as published.
        position: where an entity starts or ends.
        whole_words: of any script. Else a word is cut, as SLUE's official code does, unless its
            script has no spaces or writes prepositions onto names.

    Raises:
        ValueError: showing the word.
    """
    outside = text[:position].rstrip(_LEFT_OUT)[-1:] + text[position:].lstrip(_LEFT_OUT)[:1]
    if len(outside) == 2 and " " not in outside and any(map(without_spaces, outside)):
        raise ValueError(
            f"it would put a space into {_around(text, position)}, a script without spaces; "
            "write spaces between the words of the text, or leave the entity out"
        )
    if not is_inside_word(text, position):
        return
    if whole_words or any(map(_of_prefixing_script, text[position - 1 : position + 1])):
        raise ValueError(
            f"it would cut the word {_around(text, position)} in two; let the entity cover whole "
            "words, or write a space there"
        )


def _of_word(char: str) -> bool:
    return char.isalnum() or char in f"_{JOINERS}" or unicodedata.category(char)[0] == "M"


def _of_prefixing_script(char: str) -> bool:
    return unicodedata.name(char, "").startswith(_PREFIXING)


def _around(text: str, position: int) -> str:
    """The stretch without white space around a place, at most 20 characters to either side."""
    before, after = text[:position].split(" ")[-1][-20:], text[position:].split(" ")[0][:20]
    return repr(before + after)
