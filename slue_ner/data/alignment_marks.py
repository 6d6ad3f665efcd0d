"""What aligners write where no word of the transcript is: silence, noise, unknown words.

MFA and Kaldi: ``sil sp spn nsn <eps> <unk> !SIL <SIL> sil_S [noise] <spoken_noise>``; Gentle:
``<unk>``; WebMAUS: ``<p:> <usb> <nib>``; P2FA: ``{SL} {NS} {LG}``; Praat: ``#``; Switchboard:
``[laughter]``; NeMo: ``<b>``; HTK: ``!ENTER SENT-END``; Julius: ``silB silE``; TIMIT: ``h#``.
Case does not matter. A word of the transcript that looks the same is that word; ``word_fit`` sees
to it.
"""

from __future__ import annotations

import re
import unicodedata

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


def is_mark(word: str) -> bool:
    """Whether this is a name of silence, noise or an unknown word, or has no letter at all."""
    return not letters(word) or _bracketed(word) or _name(word) in _NAMES


def may_be_a_word(word: str) -> bool:
    """Whether the mark may stand for a word that the aligner did not know."""
    return _name(word) in _UNKNOWN | _UNCLEAR


def is_unknown_word(word: str) -> bool:
    """Whether the mark says that there was a word, and not perhaps a noise."""
    return _name(word) in _UNKNOWN


def letters(text: str) -> str:
    """Letters and digits, run together, whatever their case."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFC", text.casefold())))


def _bracketed(word: str) -> bool:
    return _BRACKETED.fullmatch(word.strip()) is not None


def _name(word: str) -> str:
    return word.casefold().strip(_AROUND)
