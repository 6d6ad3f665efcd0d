"""Text of aligners: UTF-8, UTF-16, or what Praat reads as Windows' Latin-1."""

from __future__ import annotations

import codecs

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def is_latin(content: bytes) -> bool:
    """Whether the text is neither UTF-8 nor UTF-16, so that its encoding is a guess."""
    return not content.startswith(_WIDE) and _as_utf8(content) is None


def decoded(content: bytes) -> str:
    """The text, without a byte order mark.

    Raises:
        UnicodeDecodeError: for what begins as UTF-16 and is not.
    """
    if content.startswith(_WIDE):
        return content.decode("utf-16")
    text = _as_utf8(content)
    return content.decode("cp1252", errors="replace") if text is None else text


def _as_utf8(content: bytes) -> str | None:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
