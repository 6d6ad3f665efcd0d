"""SLUE-2's NEL data as published: the hub's parquet files, or ASAPP's zip.

On the hub (``asapp/slue-phase-2``, ``vp_nel``) a row has its words, entities and audio. The
official distribution is a zip of TSV files, TextGrids and audio.
"""

from __future__ import annotations

import ast
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slue_ner.core.files import sha256
from slue_ner.core.groups import speaker_name
from slue_ner.core.time import Seconds
from slue_ner.core.types import Progress, Word
from slue_ner.data.corpora.aligner_files import textgrid_files, textgrid_of, words_tier
from slue_ner.data.corpora.dataset import clear_dataset
from slue_ner.data.corpora.hub_parquet import (
    AudioFolder,
    num_rows,
    parallel_lists,
    parquet_folder,
    read_rows,
    split_files,
)
from slue_ner.data.corpora.slue_tsv import tsv_rows

CONFIG = "vp_nel"
KIND = "slue-nel"
_HUB_ID = "asapp/slue-phase-2"
_HUB_COLUMNS = ("id", "text", "word_timestamps", "ne_timestamps")
_HUB_SPLITS = {"validation": "dev", "test": "test"}
_OFFICIAL_SPLITS = {"dev": "dev", "validation": "dev", "test": "test"}
_AUDIO = (".ogg", ".flac", ".wav", ".mp3")
_TEXT_COLUMNS = ("text", "normalized_text")
_ENTITY_COLUMNS = ("ne_timestamps", "normalized_nel")
_WORD_FIELDS = ("word", "start_sec", "end_sec")
_ENTITY_FIELDS = ("ne_label", "start_char_idx", "char_offset", "start_sec", "end_sec")


@dataclass(frozen=True, slots=True)
class NelEntity:
    """An entity as published: ``num_chars`` (``char_offset`` in the data) is a length."""

    label: str
    start_char: int
    num_chars: int
    start: Seconds
    end: Seconds


@dataclass(frozen=True, slots=True)
class NelRow:
    """One utterance as published.

    Attributes:
        text: the transcript that the positions of ``entities`` index.
        words: with times, silences included; ``None`` without an alignment.
        entities: in the order of the data set.
        audio: absolute; ``None`` when another data set gives it.
    """

    id: str
    split: str
    text: str
    words: tuple[Word, ...] | None
    entities: tuple[NelEntity, ...]
    speaker: str | None = None
    audio: Path | None = None


def read_hub_rows(
    source: str | Path,
    out: Path,
    *,
    with_audio: bool,
    revision: str | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, list[NelRow]], list[Path], dict[str, str]]:
    """Read the rows, and write their audio to ``out/audio`` if it is wanted.

    Returns:
        Rows by split, the files, and where they came from.

    Raises:
        ValueError: for files with other columns or a bad row (file, row and id are named).
    """
    folder, origin = parquet_folder(source, out, config=CONFIG, revision=revision, example=_HUB_ID)
    files = split_files(folder, config=CONFIG, split_of=_HUB_SPLITS, example=_HUB_ID)
    origin = {"kind": KIND, **origin}
    clear_dataset(out, source=origin)
    paths = [path for some in files.values() for path in some]
    total = num_rows(paths)
    audio = AudioFolder(out / "audio") if with_audio else None
    required = (*_HUB_COLUMNS, "audio") if with_audio else _HUB_COLUMNS
    rows: dict[str, list[NelRow]] = {}
    done = 0
    for split, some in files.items():
        rows[split] = []
        for path in some:
            for where, row in read_rows(path, required=required, optional=("speaker_id",)):
                rows[split].append(_hub_row(row, where=where, split=split, audio=audio))
                done += 1
                if progress is not None:
                    progress(done, total)
    return rows, paths, origin


def is_official(path: Path) -> bool:
    """Whether it is a zip file, or a folder with a TSV file in it or below."""
    if path.is_dir():
        return any(path.rglob("*.tsv"))
    return zipfile.is_zipfile(path)


def read_official_rows(
    source: Path, out: Path, *, with_audio: bool
) -> tuple[dict[str, list[NelRow]], list[Path]]:
    """Read the official distribution, ``slue-vp_nel.zip`` or the folder it unpacks to.

    Its exact layout is not recorded, so files are found by what they are, in any folder: a TSV
    with the columns ``id``, ``text`` (or ``normalized_text``) and ``ne_timestamps`` (or
    ``normalized_nel``) holds utterances, their split in ``split`` or in its file name;
    ``ID.TextGrid`` holds the words of one, in the tier ``words``; ``ID.ogg`` its audio. Entities
    are a Python literal, a list of ``[label, start_char, length, start, end]`` or of mappings
    with the hub's field names; ``None`` is none. TSV files with other columns are not read.

    Args:
        source: a zip file is unpacked below ``out/official``, never outside of it, into a folder
            that no other zip file shares.
        out: folder of the data set.
        with_audio: audio is wanted, and missing audio an error.

    Returns:
        Rows by split, and the files they were read from.

    Raises:
        ValueError: as ``file:line: what``, or when no TSV has these columns.
    """
    folder = source
    if not source.is_dir():
        folder = _unpacked(source, out / "official" / sha256(source)[:12], with_audio)
    textgrids = textgrid_files(folder)
    audio = _audio_files(folder) if with_audio else None
    rows: dict[str, list[NelRow]] = {}
    files: list[Path] = []
    heard_in: dict[Path, str] = {}
    for path in sorted(folder.rglob("[!.]*.tsv")):
        for where, fields in _read_tsv(path):
            try:
                row = _official_row(fields, path, textgrids, audio)
                _check_own_audio(row, heard_in)
            except ValueError as error:
                raise ValueError(f"{where}: id {fields['id']}: {error}") from error
            rows.setdefault(row.split, []).append(row)
            if path not in files:
                files.append(path)
    if not rows:
        raise ValueError(
            f"{source}: no TSV file with the columns id, {' or '.join(_TEXT_COLUMNS)} and "
            f"{' or '.join(_ENTITY_COLUMNS)}; the hub's asapp/slue-phase-2 can be read instead"
        )
    return rows, files


def _hub_row(row: dict[str, Any], *, where: str, split: str, audio: AudioFolder | None) -> NelRow:
    try:
        if not isinstance(row["id"], str) or not isinstance(row["text"], str):
            raise ValueError("id and text should be strings")
        return NelRow(
            id=row["id"],
            split=split,
            text=row["text"],
            words=_words(parallel_lists(row["word_timestamps"], _WORD_FIELDS)),
            entities=_entities(parallel_lists(row["ne_timestamps"], _ENTITY_FIELDS)),
            speaker=speaker_name(row.get("speaker_id")),
            audio=None if audio is None else audio.write(row["id"], row["audio"], split=split),
        )
    except ValueError as error:
        raise ValueError(f"{where}: id {row.get('id')}: {error}") from error


def _words(items: Sequence[Sequence[Any]]) -> tuple[Word, ...] | None:
    """Words from ``(word, start, end)``; no item is no alignment.

    Raises:
        ValueError: for an item of another form.
    """
    words = []
    for item in items:
        match item:
            case [str() | None as text, int() | float() as start, int() | float() as end]:
                words.append(Word(text or "", start, end))
            case _:
                raise ValueError(f"a word holds {item}; expected {', '.join(_WORD_FIELDS)}")
    return tuple(words) or None


def _entities(items: Sequence[Sequence[Any]]) -> tuple[NelEntity, ...]:
    """Entities from ``(label, start, length, start in seconds, end in seconds)``.

    Raises:
        ValueError: for an item of another form.
    """
    entities = []
    for item in items:
        match item:
            case [
                str(label),
                int(start_char),
                int(num_chars),
                int() | float() as start,
                int() | float() as end,
            ]:
                entities.append(NelEntity(label, start_char, num_chars, start, end))
            case _:
                raise ValueError(f"an entity holds {item}; expected {', '.join(_ENTITY_FIELDS)}")
    return tuple(entities)


def _unpacked(source: Path, folder: Path, with_audio: bool) -> Path:
    wanted = (".tsv", ".textgrid", *(_AUDIO if with_audio else ()))
    try:
        with zipfile.ZipFile(source) as archive:
            for member in archive.infolist():
                name = member.filename
                if member.is_dir() or Path(name).suffix.lower() not in wanted:
                    continue
                if Path(name).name.startswith("."):  # macOS puts a ._NAME beside every NAME
                    continue
                target = (folder / name).resolve()
                if not target.is_relative_to(folder.resolve()):
                    raise ValueError(f"{source}: member {name!r} lies outside of the archive")
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as packed, target.open("wb") as file:
                    shutil.copyfileobj(packed, file)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise ValueError(f"{source}: cannot be unpacked ({error}); fetch it again") from error
    return folder


def _audio_files(folder: Path) -> dict[str, Path]:
    return {
        path.stem: path.absolute()
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in _AUDIO
    }


def _read_tsv(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    def meant(header: list[str]) -> bool:
        return "id" in header and any(name in header for name in _ENTITY_COLUMNS)

    for number, fields in tsv_rows(path, meant):
        yield f"{path}:{number}", fields


def _official_row(
    fields: Mapping[str, str],
    path: Path,
    textgrids: Mapping[str, Path],
    audio: Mapping[str, Path] | None,
) -> NelRow:
    id_ = fields["id"]
    text = next((fields[name] for name in _TEXT_COLUMNS if name in fields), None)
    if text is None:
        raise ValueError(f"no column {' or '.join(_TEXT_COLUMNS)}")
    textgrid = textgrid_of(textgrids, id_)
    sound = None
    if audio is not None:
        sound = audio.get(id_) or audio.get(id_.replace(":", "_"))
        if sound is None:
            raise ValueError(
                "there is no audio file of this name; prepare SLUE-VoxPopuli and give it as NER "
                "(--ner)"
            )
    return NelRow(
        id=id_,
        split=_split_of(fields, path),
        text=text,
        words=None if textgrid is None else tuple(words_tier(textgrid)) or None,
        entities=_entities(
            _literal(next(fields[name] for name in _ENTITY_COLUMNS if name in fields))
        ),
        speaker=speaker_name(fields.get("speaker_id")),
        audio=sound,
    )


def _check_own_audio(row: NelRow, heard_in: dict[Path, str]) -> None:
    """Refuse one file for two ids, which differ in ``:`` and ``_`` alone."""
    if row.audio is None:
        return
    other = heard_in.setdefault(row.audio, row.id)
    if other != row.id:
        raise ValueError(f"its audio file would be {row.audio.name}, which is that of {other}")


def _split_of(fields: Mapping[str, str], path: Path) -> str:
    named = fields.get("split") or next(
        (name for name in _OFFICIAL_SPLITS if name in path.stem), ""
    )
    if named not in _OFFICIAL_SPLITS:
        raise ValueError(f"split {named!r} is none of {', '.join(_OFFICIAL_SPLITS)}")
    return _OFFICIAL_SPLITS[named]


def _literal(field: str) -> list[list[Any]]:
    try:
        value = ast.literal_eval(field.strip() or "None")
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"{field[:80]!r} is not a Python literal") from error
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise ValueError(f"entities should be a list or None, got {field[:80]!r}")
    return [
        [item.get(name) for name in _ENTITY_FIELDS] if isinstance(item, dict) else item
        for item in value
    ]
