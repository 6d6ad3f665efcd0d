"""Files of word times, as aligners write them: Praat's TextGrid, NIST's CTM, or JSON lines.

Their text is UTF-8, UTF-16, or what Praat reads as Windows' Latin-1.

TextGrid (praat.org, manual page "TextGrid file formats"; the Montreal Forced Aligner writes it
too): a reader looks only at what stands free: numbers, strings in double quotes (a quote inside is
doubled) and flags in ``<>``. Everything else (``xmin =``, ``intervals [1]:``) is for people, so the
long and the short format are one.

CTM (sclite manual, "ctm"): time-marked words, one a line.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from slue_ner.core.lines import json_line, lines_of, lines_or_errors
from slue_ner.core.types import Word

_TIER = "words"
_ENDINGS = ("words", "word", "ort-mau")  # the last is WebMAUS's
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(")|(![^\r\n]*)|([^\s"]+)')
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_FLAGS = ("<exists>", "<absent>")
_COLUMNS = re.compile(r"[ \t]+")
_MOST_COLUMNS = 8  # NIST later added a type and a speaker after the confidence
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
Value = TypeVar("Value", str, float)


@dataclass(frozen=True, slots=True)
class WordTimes:
    """What a source says of the utterances asked for.

    Attributes:
        tiers: by id, the lists of words that there are, by name; one at least.
        problems: by id, what is wrong with its file or line.
        files: by id, where its words were read.
        others: ids that nobody asked for.
        latin: files whose encoding is a guess, neither UTF-8 nor UTF-16.
    """

    tiers: dict[str, dict[str, list[Word]]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    latin: list[str] = field(default_factory=list)


class Tier(NamedTuple):
    """An interval tier.

    Attributes:
        words: its intervals in the order of the file, up to the first that is none.
        problem: ``file:line: what`` is wrong with that one.
    """

    name: str
    words: list[Word]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Ctm:
    """What a CTM file holds.

    Attributes:
        words: by id, both in the order of the file; there are no silences.
        problems: the first ``file:line: what`` that is wrong, by id; these have no words.
        is_latin: the file is not UTF-8; Windows' Latin-1 is a guess.
    """

    words: dict[str, list[Word]]
    problems: dict[str, str]
    is_latin: bool = False


def read_word_times(source: Path, ids: Iterable[str]) -> WordTimes:
    """Read the word times of some utterances; what is wrong with one holds up no other.

    Args:
        source: a folder with ``ID.TextGrid`` in it or below (tiers ``words``, or those whose
            names end so), a ``.ctm`` file, or a ``.jsonl`` file of
            ``{"id": ID, "words": [[word, start, end], ...]}``.
        ids: the utterances wanted; a file name may have ``_`` for characters of an id that some
            file systems refuse.

    Raises:
        ValueError: for a source of another kind or none.
    """
    source = Path(source)
    wanted = dict.fromkeys(ids)
    if source.is_dir():
        return _from_textgrids(source, wanted)
    if source.suffix.lower() == ".ctm":
        ctm = scan_ctm(source)
        found, problems = ctm.words, ctm.problems
        latin = [str(source)] if ctm.is_latin else []
    elif source.suffix.lower() == ".jsonl":
        (found, problems), latin = _read_jsonl(source), []
    else:
        raise ValueError(
            f"{source}: word times are read from a folder of TextGrids, a .ctm file or a .jsonl "
            "file" + ("" if source.exists() else "; there is no such file or folder")
        )
    tiers = {id_: {_TIER: words} for id_, words in found.items() if id_ in wanted}
    return WordTimes(
        tiers,
        problems,
        dict.fromkeys(tiers, source),
        [id_ for id_ in found if id_ not in wanted],
        latin,
    )


def textgrid_files(folder: Path) -> dict[str, Path]:
    """TextGrids in a folder and below it, by name without extension.

    Raises:
        ValueError: for two of one name.
    """
    files = _grids(folder)
    for path, *more in files.values():
        if more:
            raise ValueError(_two_of_one_name(path, more[0]))
    return {name: path for name, (path,) in files.items()}


def textgrid_of(files: Mapping[str, Path], id_: str) -> Path | None:
    """The TextGrid of an utterance, if it has one."""
    return files.get(_composed(id_)) or files.get(re.sub(r"[^A-Za-z0-9._-]", "_", id_))


def words_tier(path: Path) -> list[Word]:
    """The tier ``words`` of a TextGrid, or the only one whose name ends so.

    Raises:
        ValueError: naming the tiers there are; for a file whose encoding is a guess.
    """
    tiers = _words_tiers(path)
    if _is_latin(path.read_bytes()):
        raise ValueError(f"{path}: neither UTF-8 nor UTF-16 text; save it as UTF-8")
    if len(tiers) != 1:
        raise ValueError(f"{path}: expected one tier named {_TIER!r}; {_shown_tiers(tiers)}")
    return _words(tiers[0])


def read_textgrid(path: Path) -> list[Tier]:
    """Read the interval tiers of a TextGrid, long or short.

    It may be in UTF-8, in UTF-16, or, as Praat reads what is neither, in Windows' Latin-1.

    Returns:
        Tiers in the order of the file, with times in seconds as written; several may have one
        name. Texts lose white space at their ends; ``""`` is a silence. Tiers of points are left
        out.

    Raises:
        ValueError: as ``file:line: what`` for a file of another format, or one that ends too
            soon.
    """
    path = Path(path)
    text = _textgrid_text(path)
    reader = _Reader(path, text)
    kind = reader.next(str, "the file type")
    if not kind.startswith("ooTextFile"):
        raise reader.error(f"the file type is {kind!r}, expected 'ooTextFile'")
    if (name := reader.next(str, "the object class")) != "TextGrid":
        raise reader.error(f"the object class is {name!r}, expected 'TextGrid'")
    reader.next(float, "the start of the grid")
    reader.next(float, "the end of the grid")
    if reader.next(str, "the flag <exists>") == "<absent>":
        return []
    tiers: list[Tier] = []
    for _ in range(reader.count("the number of tiers")):
        kind = reader.next(str, "the class of a tier")
        if kind not in ("IntervalTier", "TextTier"):
            raise reader.error(f"a tier of class {kind!r}; known: IntervalTier, TextTier")
        name = reader.next(str, "the name of a tier")
        reader.next(float, f"the start of tier {name!r}")
        reader.next(float, f"the end of tier {name!r}")
        count = reader.count(f"the size of tier {name!r}")
        if kind == "TextTier":
            for _ in range(count):
                reader.next(float, f"a time in tier {name!r}")
                reader.next(str, f"a mark in tier {name!r}")
        else:
            tiers.append(_tier(reader, name, count))
    return tiers


def read_ctm(path: Path) -> dict[str, list[Word]]:
    """The words of a CTM file in UTF-8 in which every line is right; see ``scan_ctm``.

    Raises:
        ValueError: as ``file:line: what``.
    """
    found = scan_ctm(path)
    if found.is_latin:
        raise ValueError(f"{path}: not UTF-8 text; save it as UTF-8")
    for problem in found.problems.values():
        raise ValueError(problem)
    return found.words


def scan_ctm(path: Path) -> Ctm:
    """Read ``id channel start duration word [confidence]``, one word a line.

    Ends are added up as decimal numbers, so 0.1 and 0.2 make 0.3. Lines that start with ``;;``
    are comments. A confidence becomes the word's score; ``NA`` is none. What is not UTF-8 is
    read as Windows' Latin-1.

    Returns:
        The words of every id whose lines are all right and on one channel.

    Raises:
        ValueError: for a file that is not there.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    content = path.read_bytes()
    words: dict[str, list[Word]] = {}
    problems: dict[str, str] = {}
    channel_of: dict[str, str] = {}
    for number, line in lines_of(_decoded(content)):
        fields = _COLUMNS.split(line.strip(" \t"))  # other white space may be inside a word
        if fields == [""] or fields[0].startswith(";;"):
            continue
        try:
            word = _ctm_word(fields)
            id_, channel = fields[:2]
            if channel_of.setdefault(id_, channel) != channel:
                raise ValueError(
                    f"{id_} has words on channels {channel_of[id_]} and {channel}; "
                    "keep one, or give each an id of its own"
                )
        except ValueError as error:
            problems.setdefault(fields[0], f"{path}:{number}: {error}")
            continue
        words.setdefault(id_, []).append(word)
    right = {id_: said for id_, said in words.items() if id_ not in problems}
    return Ctm(right, problems, _is_latin(content))


def _words_tiers(path: Path) -> list[Tier]:
    tiers = read_textgrid(path)
    found = [tier for tier in tiers if tier.name == _TIER]
    found = found or [tier for tier in tiers if tier.name.strip().lower().endswith(_ENDINGS)]
    if not found:
        raise ValueError(f"{path}: expected one tier named {_TIER!r}; {_shown_tiers(tiers)}")
    return found


def _shown_tiers(tiers: Sequence[Tier]) -> str:
    return "interval tiers: " + (", ".join(repr(tier.name) for tier in tiers) or "none")


def _words(tier: Tier) -> list[Word]:
    if tier.problem is not None:
        raise ValueError(tier.problem)
    return tier.words


def _grids(folder: Path) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix.lower() == ".textgrid":
            files.setdefault(_composed(path.stem), []).append(path)
    return files


def _composed(name: str) -> str:
    """A name in NFC; file systems of Apple take it apart."""
    return unicodedata.normalize("NFC", name)


def _two_of_one_name(path: Path, other: Path) -> str:
    return f"{other} and {path} have one name; keep one of them"


def _from_textgrids(folder: Path, ids: Iterable[str]) -> WordTimes:
    grids = _grids(folder)
    firsts = {name: paths[0] for name, paths in grids.items()}
    times = WordTimes()
    used: set[str] = set()
    for id_ in ids:
        path = textgrid_of(firsts, id_)
        if path is None:
            continue
        name = _composed(path.stem)
        used.add(name)
        try:
            if len(grids[name]) > 1:
                raise ValueError(_two_of_one_name(*grids[name][:2]))
            times.tiers[id_] = _named(_words_tiers(path))
            times.files[id_] = path
        except OSError as error:
            times.problems[id_] = f"{path}: {error.strerror}"
        except ValueError as error:
            times.problems[id_] = str(error)
        else:
            if _is_latin(path.read_bytes()):
                times.latin.append(str(path))
    times.others.extend(name for name in grids if name not in used)
    return times


def _named(tiers: Sequence[Tier]) -> dict[str, list[Word]]:
    """Words by the name of their tier; a second one of that name gets a number."""
    if all(tier.problem is not None for tier in tiers):
        _words(tiers[0])
    named: dict[str, list[Word]] = {}
    for number, tier in enumerate(tiers, start=1):
        if tier.problem is None:
            named[f"{tier.name} ({number})" if tier.name in named else tier.name] = tier.words
    return named


def _read_jsonl(path: Path) -> tuple[dict[str, list[Word]], dict[str, str]]:
    times: dict[str, list[Word]] = {}
    problems: dict[str, str] = {}
    for number, line in lines_or_errors(path):
        if not isinstance(line, ValueError) and not line.strip():
            continue
        id_ = f"line {number}"
        try:
            if isinstance(line, ValueError):
                raise line
            record = json_line(line)
            if isinstance(record, dict) and isinstance(record.get("id"), str):
                id_ = record["id"]
            words = _parsed(record)
            if id_ in times:
                raise ValueError(f"id {id_!r} was already used; ids must be unique")
        except (ValueError, RecursionError) as error:
            problems.setdefault(id_, f"{path}:{number}: {error}")
        else:
            times[id_] = words
    return {id_: words for id_, words in times.items() if id_ not in problems}, problems


def _parsed(record: Any) -> list[Word]:
    match record:
        case {"id": str(), "words": list(words), **others} if not others:
            return [_word(word) for word in words]
    raise ValueError('expected {"id": ID, "words": [[word, start, end], ...]} and nothing else')


def _word(word: Any) -> Word:
    match word:
        case [str(text), int() | float() as start, int() | float() as end] if bool not in (
            type(start),
            type(end),
        ):
            return Word(text, start, end)
    raise ValueError(f"a word should be [word, start, end] with times in seconds, got {word!r}")


class _Token(NamedTuple):
    value: str | float
    position: int


def _tier(reader: _Reader, name: str, count: int) -> Tier:
    words: list[Word] = []
    problem = None
    for _ in range(count):
        start = reader.next(float, f"the start of an interval in tier {name!r}")
        end = reader.next(float, f"the end of an interval in tier {name!r}")
        text = reader.next(str, f"the text of an interval in tier {name!r}")
        if problem is None:
            try:
                words.append(Word(text.strip(), start, end))
            except ValueError as error:
                problem = str(reader.error(f"interval {text!r} in tier {name!r}: {error}"))
    return Tier(name, words, problem)


class _Reader:
    """Hands out the free-standing values of a text, and knows the line it is on."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        self._position = 0
        self._tokens = self._tokenized()

    def next(self, kind: type[Value], what: str) -> Value:
        """The next value, which should be of this kind."""
        token = next(self._tokens, None)
        if token is None:
            self._position = len(self._text.rstrip())
            raise self.error(f"the file ends where {what} should be; it may be cut off")
        self._position = token.position
        if isinstance(token.value, kind):
            return token.value
        expected = "a string" if kind is str else "a number"
        raise self.error(f"{what} should be {expected}, got {token.value!r}")

    def count(self, what: str) -> int:
        number = self.next(float, what)
        if not number.is_integer() or number < 0:
            raise self.error(f"{what} should be a whole number, got {number:g}")
        return int(number)

    def error(self, what: str) -> ValueError:
        line = len(re.findall(r"\r\n|\r|\n", self._text[: self._position])) + 1
        return ValueError(f"{self._path}:{line}: {what}")

    def _tokenized(self) -> Iterator[_Token]:
        for match in _TOKEN.finditer(self._text):
            quoted, open_quote, _, bare = match.groups()
            if open_quote is not None:
                self._position = match.start()
                raise self.error("a text in double quotes is not closed")
            if quoted is not None:
                yield _Token(quoted.replace('""', '"'), match.start())
            elif bare in _FLAGS:
                yield _Token(bare, match.start())
            elif bare is not None and _NUMBER.fullmatch(bare):
                yield _Token(float(bare), match.start())


def _textgrid_text(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    content = path.read_bytes()
    if content.startswith(b"ooBinaryFile"):
        raise ValueError(f"{path}: a binary TextGrid; save it as a text file in Praat")
    try:
        return _decoded(content)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-16 text ({error.reason})") from error


def _ctm_word(fields: list[str]) -> Word:
    if not 5 <= len(fields) <= _MOST_COLUMNS:
        raise ValueError(
            f"{len(fields)} columns; expected id, channel, start, duration, word and, if known, "
            "confidence"
        )
    start, duration = _seconds(fields[2], "start"), _seconds(fields[3], "duration")
    score = None
    if len(fields) > 5 and fields[5] != "NA":
        score = float(_seconds(fields[5], "confidence"))
        if score > 1:
            raise ValueError(f"the confidence should be in [0, 1], got {fields[5]}")
    return Word(fields[4], float(start), float(start + duration), score=score)


def _seconds(field: str, what: str) -> Decimal:
    try:
        value = Decimal(field)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value < 0:
        raise ValueError(f"the {what} should be a number from 0 up, got {field!r}")
    return value


def _is_latin(content: bytes) -> bool:
    """Whether the text is neither UTF-8 nor UTF-16, so that its encoding is a guess."""
    return not content.startswith(_WIDE) and _as_utf8(content) is None


def _decoded(content: bytes) -> str:
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
