"""The one way to write a text: what looks alike is spelled alike.

Every reader of transcripts and predictions brings them to this form and says what it changed
(``Changes``); scorers compare and never normalise. A canonical text is

- in Unicode's composed form (NFC), where an accent is part of its letter;
- with the typewriter's apostrophe for each of its look-alikes, and for an accent or a prime that
  stands between two letters (``it`s``);
- words with single spaces between them: any white space is one. A zero-width space is one between
  letters of a script without spaces, where Unicode gives it this meaning, and nothing elsewhere;
- without invisible characters: controls, soft hyphens, byte order marks, marks of direction.

Joiners and variation selectors stay where they change what is read: a joiner beside a virama,
between letters of a script that joins them (Persian) or between symbols (emoji), a selector behind
a symbol, a digit of a keycap or a letter without case.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from slue_ner.core.characters import (
    ALWAYS_APOSTROPHES,
    APOSTROPHES_IN_WORDS,
    IS_NEVER_SEEN,
    IS_SELECTOR,
    IS_SPACE,
    IS_TAG,
    JOINERS,
    ODD,
    ZERO_WIDTH_SPACE,
    is_letter,
    joins,
    next_seen,
    selects,
    without_spaces,
)

COMPOSITION = "letters and accents composed"
APOSTROPHES = "apostrophes"
WHITE_SPACE = "white space"
INVISIBLE = "invisible characters"


@dataclass(frozen=True, slots=True)
class Canonical:
    """A text in canonical form, and where its characters came from.

    Attributes:
        text: canonical.
        kinds: what was changed, in the order above; empty when nothing was.
    """

    text: str
    kinds: tuple[str, ...] = ()
    _firsts: tuple[int, ...] | None = None  # place of each old character in ``text``
    _lasts: tuple[int, ...] | None = None  # and the place behind it

    def moved(self, start: int, end: int) -> tuple[int, int]:
        """Where characters ``[start, end)`` of the old text are in ``text``, spaces aside."""
        if self._firsts is None or self._lasts is None or not 0 <= start < end <= len(self._lasts):
            return start, end
        return self._firsts[start], max(self._firsts[start], self._lasts[end - 1])


def canonical(text: str) -> Canonical:
    """Write a text in the one form; a canonical text comes back as it is."""
    if ODD.search(text) is None and (text.isascii() or unicodedata.is_normalized("NFC", text)):
        return Canonical(text)
    kept, sources, kinds = _visible(text)
    composed = _composed(kept)
    if composed is not None:
        kinds.add(COMPOSITION)
    pieces = list(kept) if composed is None else composed
    firsts, lasts = _places(pieces, kept, sources, len(text))
    written = "".join(pieces)
    order = (COMPOSITION, APOSTROPHES, WHITE_SPACE, INVISIBLE)
    changed = tuple(kind for kind in order if kind in kinds) if written != text else ()
    return Canonical(written, changed, firsts, lasts)


def lower_case(text: str) -> Canonical:
    """A canonical text in small letters, which are chosen by word: a final sigma is one.

    A dotted capital I becomes an i without a second dot. Letters that have a composed form only
    when they are small are composed, so positions may move.
    """
    lowered = text.replace("\u0130", "i").lower()
    assert len(lowered) == len(text)  # the dotted I is the only letter that would become two
    return canonical(lowered)


@dataclass
class Changes:
    """What a reader had to change: how many texts, in what, and the first of them.

    Attributes:
        num_changed: records with a text that was not canonical.
        kinds: of these, how many were changed in what.
    """

    num_changed: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    _first: str | None = None
    _here: tuple[str, set[str]] = field(default_factory=lambda: ("", set()))

    def of(self, where: str, text: str) -> Canonical:
        """``canonical`` of a text, and count what it changes.

        Args:
            where: the record or line; texts of one that follow each other count once.
            text: any.
        """
        found = canonical(text)
        if found.kinds:
            if self._here[0] != where or not self.num_changed:
                self._here = (where, set())
                self.num_changed += 1
            self.kinds.update(kind for kind in found.kinds if kind not in self._here[1])
            self._here[1].update(found.kinds)
            if self._first is None:
                self._first = f"{where}: {_shown(text)} is read as {_shown(found.text)}"
        return found

    def note(self, what: str) -> str | None:
        """One sentence about all changes; ``None`` without any.

        Args:
            what: was read, a file for example.
        """
        if not self.num_changed:
            return None
        kinds = ", ".join(f"{kind} in {count}" for kind, count in self.kinds.most_common())
        texts = "1 text was" if self.num_changed == 1 else f"{self.num_changed} texts were"
        return f"{what}: {texts} brought to canonical form ({kinds}), first {self._first}"

    def tell(self, what: str, note: Callable[[str], None]) -> None:
        """Call ``note`` with the sentence, if there is one."""
        if (sentence := self.note(what)) is not None:
            note(sentence)


def _shown(text: str) -> str:
    """A text with everything that cannot be seen escaped."""
    composed = unicodedata.is_normalized("NFC", text)
    shown = "".join(
        char if _can_be_seen(char, composed=composed) else ascii(char)[1:-1] for char in text
    )
    return f"'{shown[:60]}...'" if len(shown) > 60 else f"'{shown}'"


def _can_be_seen(char: str, *, composed: bool) -> bool:
    if not char.isprintable() or IS_NEVER_SEEN.match(char) or IS_SELECTOR.match(char):
        return False
    return composed or unicodedata.category(char)[0] != "M"


def _visible(text: str) -> tuple[str, list[int], set[str]]:
    """The characters that stay, single spaces between words, the source of each, and changes."""
    kept: list[str] = []
    sources: list[int] = []
    kinds: set[str] = set()
    pending: int | None = None  # source of a space that is written before the next character
    for index, char in enumerate(text):
        if char == ZERO_WIDTH_SPACE or IS_NEVER_SEEN.match(char):
            kinds.add(INVISIBLE)
            if char == ZERO_WIDTH_SPACE and kept and without_spaces(kept[-1]):
                follower = next_seen(text, index)
                if pending is None and follower and without_spaces(follower):
                    pending = index
            continue
        if IS_SPACE.match(char):
            if char != " " or pending is not None or not kept:
                kinds.add(WHITE_SPACE)
            if kept and pending is None:
                pending = index
            continue
        before = kept[-1] if kept and pending is None else ""
        if char in JOINERS or char == "\u180e":
            stays = joins(before, next_seen(text, index), char)
        elif IS_SELECTOR.match(char):
            stays = selects(before, next_seen(text, index))
        elif IS_TAG.match(char):
            stays = before == "\U0001f3f4" or bool(before and IS_TAG.match(before))
        else:
            stays = True
        if not stays:
            kinds.add(INVISIBLE)
            continue
        if char in ALWAYS_APOSTROPHES or (
            char in APOSTROPHES_IN_WORDS and is_letter(before) and is_letter(next_seen(text, index))
        ):
            kinds.add(APOSTROPHES)
            char = "'"
        if pending is not None:
            kept.append(" ")
            sources.append(pending)
            pending = None
        kept.append(char)
        sources.append(index)
    if pending is not None:
        kinds.add(WHITE_SPACE)
    return "".join(kept), sources, kinds


def _composed(text: str) -> list[str] | None:
    """NFC of each letter with all its marks, in place; ``None`` where nothing changes."""
    if unicodedata.is_normalized("NFC", text):
        return None
    pieces = [""] * len(text)
    first = 0
    for index in range(1, len(text) + 1):
        if index < len(text) and _goes_on(text[index]):
            continue
        pieces[first] = unicodedata.normalize("NFC", text[first:index])
        if pieces[first] == text[first:index]:
            pieces[first:index] = list(text[first:index])
        first = index
    return pieces


def _goes_on(char: str) -> bool:
    """Whether a character may become one with those before it: a mark, or a jamo of Hangul."""
    return unicodedata.category(char)[0] == "M" or 0x1160 <= ord(char) <= 0x11FF


def _places(
    pieces: Sequence[str], kept: str, sources: Sequence[int], length: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The place of each character of the old text in the new one, and the place behind it.

    What was left out, and white space, lies between its neighbours. The marks of a letter that was
    composed have its place.
    """
    firsts, lasts = [-1] * length, [-1] * length
    place = first = 0
    for piece, char, source in zip(pieces, kept, sources, strict=True):
        if piece:
            first = place
            place += len(piece)
        if char != " ":
            firsts[source], lasts[source] = first, place
    following = len("".join(pieces))
    for index in range(length - 1, -1, -1):
        if firsts[index] < 0:
            firsts[index] = following
        following = firsts[index]
    preceding = 0
    for index in range(length):
        if lasts[index] < 0:
            lasts[index] = preceding
        preceding = lasts[index]
    return tuple(firsts), tuple(lasts)
