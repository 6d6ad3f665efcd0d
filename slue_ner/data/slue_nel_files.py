"""SLUE-2's NEL data as ASAPP published it: a zip of TSV files, TextGrids and audio."""

from __future__ import annotations

import ast
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from slue_ner.core.files import sha256
from slue_ner.core.groups import speaker_name
from slue_ner.data.slue_nel_hub import ENTITY_FIELDS, nel_entities
from slue_ner.data.slue_nel_row import NelRow
from slue_ner.data.slue_tsv import tsv_rows
from slue_ner.data.time_sources import textgrid_files, textgrid_of, words_tier

_SPLITS = {"dev": "dev", "validation": "dev", "test": "test"}
_AUDIO = (".ogg", ".flac", ".wav", ".mp3")
_TEXTS = ("text", "normalized_text")
_ENTITIES = ("ne_timestamps", "normalized_nel")


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
                row = _row(fields, path, textgrids, audio)
                _check_own_audio(row, heard_in)
            except ValueError as error:
                raise ValueError(f"{where}: id {fields['id']}: {error}") from error
            rows.setdefault(row.split, []).append(row)
            if path not in files:
                files.append(path)
    if not rows:
        raise ValueError(
            f"{source}: no TSV file with the columns id, {' or '.join(_TEXTS)} and "
            f"{' or '.join(_ENTITIES)}; the hub's asapp/slue-phase-2 can be read instead"
        )
    return rows, files


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
        return "id" in header and any(name in header for name in _ENTITIES)

    for number, fields in tsv_rows(path, meant):
        yield f"{path}:{number}", fields


def _row(
    fields: Mapping[str, str],
    path: Path,
    textgrids: Mapping[str, Path],
    audio: Mapping[str, Path] | None,
) -> NelRow:
    id_ = fields["id"]
    text = next((fields[name] for name in _TEXTS if name in fields), None)
    if text is None:
        raise ValueError(f"no column {' or '.join(_TEXTS)}")
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
        split=_split(fields, path),
        text=text,
        words=None if textgrid is None else tuple(words_tier(textgrid)) or None,
        entities=nel_entities(_literal(next(fields[name] for name in _ENTITIES if name in fields))),
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


def _split(fields: Mapping[str, str], path: Path) -> str:
    named = fields.get("split") or next((name for name in _SPLITS if name in path.stem), "")
    if named not in _SPLITS:
        raise ValueError(f"split {named!r} is none of {', '.join(_SPLITS)}")
    return _SPLITS[named]


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
        [item.get(name) for name in ENTITY_FIELDS] if isinstance(item, dict) else item
        for item in value
    ]
