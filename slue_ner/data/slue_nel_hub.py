"""SLUE-2's NEL data in the hub's parquet files (``asapp/slue-phase-2``, ``vp_nel``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slue_ner.core.groups import speaker_name
from slue_ner.core.types import Word
from slue_ner.data.dataset import clear_dataset
from slue_ner.data.hub_audio import AudioFolder
from slue_ner.data.hub_parquet import (
    num_rows,
    parallel_lists,
    parquet_folder,
    read_rows,
    split_files,
)
from slue_ner.data.slue_nel_row import NelEntity, NelRow
from slue_ner.data.survey import Progress

HUB_ID = "asapp/slue-phase-2"
CONFIG = "vp_nel"
KIND = "slue-nel"
_SPLIT_OF = {"validation": "dev", "test": "test"}
_COLUMNS = ("id", "text", "word_timestamps", "ne_timestamps")
WORD_FIELDS = ("word", "start_sec", "end_sec")
ENTITY_FIELDS = ("ne_label", "start_char_idx", "char_offset", "start_sec", "end_sec")


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
    folder, origin = parquet_folder(source, out, config=CONFIG, revision=revision, example=HUB_ID)
    files = split_files(folder, config=CONFIG, split_of=_SPLIT_OF, example=HUB_ID)
    origin = {"kind": KIND, **origin}
    clear_dataset(out, source=origin)
    paths = [path for some in files.values() for path in some]
    total = num_rows(paths)
    audio = AudioFolder(out / "audio") if with_audio else None
    required = (*_COLUMNS, "audio") if with_audio else _COLUMNS
    rows: dict[str, list[NelRow]] = {}
    done = 0
    for split, some in files.items():
        rows[split] = []
        for path in some:
            for where, row in read_rows(path, required=required, optional=("speaker_id",)):
                rows[split].append(_row(row, where=where, split=split, audio=audio))
                done += 1
                if progress is not None:
                    progress(done, total)
    return rows, paths, origin


def nel_words(items: Sequence[Sequence[Any]]) -> tuple[Word, ...] | None:
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
                raise ValueError(f"a word holds {item}; expected {', '.join(WORD_FIELDS)}")
    return tuple(words) or None


def nel_entities(items: Sequence[Sequence[Any]]) -> tuple[NelEntity, ...]:
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
                raise ValueError(f"an entity holds {item}; expected {', '.join(ENTITY_FIELDS)}")
    return tuple(entities)


def _row(row: dict[str, Any], *, where: str, split: str, audio: AudioFolder | None) -> NelRow:
    try:
        if not isinstance(row["id"], str) or not isinstance(row["text"], str):
            raise ValueError("id and text should be strings")
        return NelRow(
            id=row["id"],
            split=split,
            text=row["text"],
            words=nel_words(parallel_lists(row["word_timestamps"], WORD_FIELDS)),
            entities=nel_entities(parallel_lists(row["ne_timestamps"], ENTITY_FIELDS)),
            speaker=speaker_name(row.get("speaker_id")),
            audio=None if audio is None else audio.write(row["id"], row["audio"], split=split),
        )
    except ValueError as error:
        raise ValueError(f"{where}: id {row.get('id')}: {error}") from error
