"""Classes of characters that a canonical text tells apart, and what invisible ones mean where."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right

ALWAYS_APOSTROPHES = "\u2018\u2019\u201b\u02bc\u055a\u1fbd\uff07\x91\x92"
"""The last two are what the quotes of Windows become when they are read as Latin-1."""

APOSTROPHES_IN_WORDS = "`\u00b4\u02b9\u2032\u2035\u1fef\u1ffd\uff40"
JOINERS = "\u200c\u200d"
ZERO_WIDTH_SPACE = "\u200b"
_SELECTORS = "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
_BLANK_BRAILLE = "\u2800"  # seen where other spaces are taken out
_IN_CONTEXT = f"{JOINERS}\u180e{ZERO_WIDTH_SPACE}{_SELECTORS}"
_NEVER_SEEN = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x90\x93-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    "\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e001f\U000e0080-\U000e00ff"
    "\U000e01f0-\U000e0fff"
)
_TAGS = "\U000e0020-\U000e007f"  # spell the name of a region behind a flag
_SPACES = f"\t-\r\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000{_BLANK_BRAILLE}"
ODD = re.compile(
    f"[{ALWAYS_APOSTROPHES}{APOSTROPHES_IN_WORDS}{_IN_CONTEXT}{_NEVER_SEEN}{_TAGS}{_SPACES}]"
    "|  |^ | $"
)
IS_SPACE = re.compile(f"[ {_SPACES}]")
_IS_UNSEEN = re.compile(f"[{JOINERS}\u180e{ZERO_WIDTH_SPACE}{_NEVER_SEEN}]")
IS_NEVER_SEEN = re.compile(f"[{_NEVER_SEEN}]")
IS_SELECTOR = re.compile(f"[{_SELECTORS}]")
IS_TAG = re.compile(f"[{_TAGS}]")

_JOINING_SCRIPTS = frozenset(
    ("ARABIC", "SYRIAC", "MANDAIC", "NKO", "MONGOLIAN", "ADLAM", "PHAGS-PA", "KHMER")
)
_VIRAMA = 9  # canonical combining class

_WITHOUT_SPACES = (  # first and last characters of blocks
    *((0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF)),
    *((0x1B00, 0x1B7F), (0x2E80, 0x2FDF), (0x3001, 0x312F), (0x31A0, 0x31FF), (0x3400, 0x4DBF)),
    *((0x4E00, 0xA4CF), (0xA980, 0xA9FF), (0xAA60, 0xAADF), (0xF900, 0xFAFF), (0xFF01, 0xFF0F)),
    *((0xFF1A, 0xFF20), (0xFF5F, 0xFF9F), (0x1B000, 0x1B16F), (0x20000, 0x3FFFF)),
)


def without_spaces(character: str) -> bool:
    """Whether a character is of a script that is written without spaces between words."""
    code = ord(character)
    index = bisect_right(_WITHOUT_SPACES, (code, 0x110000)) - 1
    return index >= 0 and code <= _WITHOUT_SPACES[index][1]


def next_seen(text: str, index: int) -> str:
    """The next character that is not itself invisible; empty at the end."""
    for char in text[index + 1 :]:
        if not _IS_UNSEEN.match(char):
            return char
    return ""


def joins(before: str, after: str, joiner: str) -> bool:
    """Whether a joiner changes how the characters beside it are read."""
    if not before or before in JOINERS:
        return False
    viramas = _VIRAMA in (unicodedata.combining(before), unicodedata.combining(after or " "))
    if viramas:
        ends_word = not after or unicodedata.category(after)[0] not in "LM"
        return joiner == "\u200d" or not ends_word
    if joiner == "\u200d" and _is_symbol(before) and after and _is_symbol(after):
        return True
    return (
        bool(after) and _script(before) in _JOINING_SCRIPTS and _script(after) in _JOINING_SCRIPTS
    )


def selects(before: str, after: str) -> bool:
    """Whether a variation selector has something to select a form of."""
    return bool(before) and (
        unicodedata.category(before) in ("So", "Sm", "Po", "Lo") or after == "\u20e3"
    )


def _script(char: str) -> str:
    """The script of a letter or of a mark on one, as its name begins."""
    if unicodedata.category(char)[0] not in "LM":
        return ""
    return unicodedata.name(char, "").split(" ")[0]


def _is_symbol(char: str) -> bool:
    return unicodedata.category(char) in ("So", "Sm", "Sk") or bool(IS_SELECTOR.match(char))


def is_letter(char: str) -> bool:
    """Whether it is a letter or a mark on one; nothing is neither."""
    return bool(char) and unicodedata.category(char)[0] in "LM"
