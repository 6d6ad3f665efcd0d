"""Where word times come from: a folder of TextGrids, a CTM file, or JSON lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from slue_ner.core.lines import json_line, numbered_lines
from slue_ner.core.types import Word
from slue_ner.data.ctm import read_ctm
from slue_ner.data.textgrid import read_textgrid

_TIER = "words"


def read_word_times(source: Path, ids: Iterable[str]) -> tuple[dict[str, list[Word]], list[str]]:
    """Read the word times of some utterances.

    Args:
        source: a folder with ``ID.TextGrid`` in it or below (tier ``words``, or the one whose
            name ends so), a ``.ctm`` file, or a ``.jsonl`` file of
            ``{"id": ID, "words": [[word, start, end], ...]}``.
        ids: the utterances wanted; a file name may have ``_`` for characters of an id that some
            file systems refuse.

    Returns:
        Words by id, of wanted ids alone, and the other ids that the source has.

    Raises:
        ValueError: naming the file and what is wrong with it.
    """
    source = Path(source)
    wanted = dict.fromkeys(ids)
    if source.is_dir():
        return _from_textgrids(textgrid_files(source), wanted)
    if source.suffix.lower() == ".ctm":
        times = read_ctm(source)
    elif source.suffix.lower() == ".jsonl":
        times = _read_jsonl(source)
    else:
        raise ValueError(
            f"{source}: word times are read from a folder of TextGrids, a .ctm file or a .jsonl "
            "file" + ("" if source.exists() else "; there is no such file or folder")
        )
    return (
        {id_: words for id_, words in times.items() if id_ in wanted},
        [id_ for id_ in times if id_ not in wanted],
    )


def textgrid_files(folder: Path) -> dict[str, Path]:
    """TextGrids in a folder and below it, by name without extension.

    Raises:
        ValueError: for two of one name.
    """
    files: dict[str, Path] = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix.lower() == ".textgrid" and files.setdefault(path.stem, path) != path:
            raise ValueError(f"{path} and {files[path.stem]} have one name; keep one of them")
    return files


def textgrid_of(files: Mapping[str, Path], id_: str) -> Path | None:
    """The TextGrid of an utterance, if it has one."""
    return files.get(id_) or files.get(re.sub(r"[^A-Za-z0-9._-]", "_", id_))


def words_tier(path: Path) -> list[Word]:
    """The tier ``words`` of a TextGrid, or the only one whose name ends so.

    Raises:
        ValueError: naming the tiers there are.
    """
    tiers = read_textgrid(path)
    names = [name for name in tiers if name.lower().endswith(_TIER)]
    if _TIER in tiers:
        names = [_TIER]
    if len(names) != 1:
        known = ", ".join(map(repr, tiers)) or "none"
        raise ValueError(f"{path}: expected one tier named {_TIER!r}; interval tiers: {known}")
    return tiers[names[0]]


def _from_textgrids(
    files: Mapping[str, Path], ids: Iterable[str]
) -> tuple[dict[str, list[Word]], list[str]]:
    times: dict[str, list[Word]] = {}
    used: set[Path] = set()
    for id_ in ids:
        path = textgrid_of(files, id_)
        if path is not None:
            times[id_] = words_tier(path)
            used.add(path)
    return times, [name for name, path in files.items() if path not in used]


def _read_jsonl(path: Path) -> dict[str, list[Word]]:
    times: dict[str, list[Word]] = {}
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            id_, words = _parsed(json_line(line))
            if id_ in times:
                raise ValueError(f"id {id_!r} was already used; ids must be unique")
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from error
        times[id_] = words
    return times


def _parsed(record: Any) -> tuple[str, list[Word]]:
    match record:
        case {"id": str(id_), "words": list(words), **others} if not others:
            return id_, [_word(word) for word in words]
    raise ValueError('expected {"id": ID, "words": [[word, start, end], ...]} and nothing else')


def _word(word: Any) -> Word:
    match word:
        case [str(text), int() | float() as start, int() | float() as end] if bool not in (
            type(start),
            type(end),
        ):
            return Word(text, start, end)
    raise ValueError(f"a word should be [word, start, end] with times in seconds, got {word!r}")
