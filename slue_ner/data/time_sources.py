"""Where word times come from: a folder of TextGrids, a CTM file, or JSON lines."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slue_ner.core.lines import json_line, lines_or_errors
from slue_ner.core.types import Word
from slue_ner.data.ctm import scan_ctm
from slue_ner.data.encodings import is_latin
from slue_ner.data.textgrid import Tier, read_textgrid

_TIER = "words"
_ENDINGS = ("words", "word", "ort-mau")  # the last is WebMAUS's


@dataclass(frozen=True, slots=True)
class WordTimes:
    """What a source says of the utterances asked for.

    Attributes:
        tiers: by id, the lists of words that there are, by name; one at least.
        problems: by id, what is wrong with its file or line.
        files: by id, where its words were read.
        others: ids that nobody asked for.
        latin: files whose encoding is a guess, see ``encodings``.
    """

    tiers: dict[str, dict[str, list[Word]]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    latin: list[str] = field(default_factory=list)


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
    if is_latin(path.read_bytes()):
        raise ValueError(f"{path}: neither UTF-8 nor UTF-16 text; save it as UTF-8")
    if len(tiers) != 1:
        raise ValueError(f"{path}: expected one tier named {_TIER!r}; {_shown_tiers(tiers)}")
    return _words(tiers[0])


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
            if is_latin(path.read_bytes()):
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
