"""SLUE-VoxPopuli from the hub's parquet files (``asapp/slue``), local or downloaded."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet

from slue_ner.core.files import sha256
from slue_ner.core.suggest import nearest
from slue_ner.core.types import Utterance
from slue_ner.data.dataset import PreparedDataset, clear_dataset
from slue_ner.data.hub_audio import AudioFolder
from slue_ner.data.hub_download import download_parquet
from slue_ner.data.intake import finish_dataset
from slue_ner.data.survey import Progress
from slue_ner.text.normalize import LabeledSpan, asr_form, ner_form

HUB_ID = "asapp/slue"
_CONFIG = "voxpopuli"
_SPLIT_OF = {"train": "fine-tune", "validation": "dev", "test": "test"}
_COLUMNS = ("id", "audio", "speaker_id", "normalized_text", "raw_text")
_LABEL_COLUMNS = ("normalized_ner", "normalized_combined_ner")  # raw labels say more
_SPAN_FIELDS = ("type", "start", "length")
_ROWS_AT_ONCE = 64  # about 6 MB of audio


def prepare_slue_hub(
    source: str | Path,
    out: Path,
    *,
    revision: str | None = None,
    tune_share: float = 0.1,
    seed: int = 0,
    listen: bool = True,
    progress: Progress | None = None,
) -> PreparedDataset:
    """Prepare SLUE-VoxPopuli from parquet; the audio is written to ``out/audio``.

    ``train`` becomes fine-tune and ``validation`` dev. Entities carry raw labels where the
    files have them (``normalized_ner``), else combined ones.

    Args:
        source: a folder with ``voxpopuli/{train,validation,test}-*.parquet`` (or the files
            themselves), or the data set's id on the hub, ``asapp/slue``.
        out: folder for manifests and audio.
        revision: commit, branch or tag on the hub; the newest when ``None``.
        tune_share: of fine-tune to hold out as tune; 0 for none.
        seed: decides which speakers are held out.
        listen: decode every file, not only its header.
        progress: called with rows or files done and in all.

    Raises:
        ValueError: for files with other columns, a bad row (file, row and id are named), or a
            download that does not work, with the way out.
    """
    out = Path(out)
    folder, origin = _folder(source, out, revision)
    files = _parquet_files(folder)
    clear_dataset(out)
    warnings = []
    for name, split in _SPLIT_OF.items():
        if split not in files:
            warnings.append(f"split {split} is left out: there is no {name}-*.parquet")
        elif all(_is_blind(path) for path in files[split]):
            warnings.append(f"split {split} is left out: not one of its rows has labels (blind)")
            del files[split]
    total = sum(parquet.read_metadata(path).num_rows for paths in files.values() for path in paths)
    audio = AudioFolder(out / "audio")
    splits: dict[str, list[Utterance]] = {}
    done = 0
    for split, paths in files.items():
        splits[split] = []
        for path in paths:
            for where, row in _rows(path):
                splits[split].append(_utterance(row, where=where, split=split, audio=audio))
                done += 1
                if progress is not None:
                    progress(done, total)
    return finish_dataset(
        out,
        splits,
        source={
            "kind": "slue-hub",
            **origin,
            "files": {path.name: sha256(path) for paths in files.values() for path in paths},
        },
        warnings=warnings,
        tune_share=tune_share,
        seed=seed,
        listen=listen,
        progress=progress,
    )


def _folder(source: str | Path, out: Path, revision: str | None) -> tuple[Path, dict[str, str]]:
    """The folder of the parquet files, and where they came from."""
    if Path(source).is_dir():
        if revision is not None:
            raise ValueError(f"revision {revision!r} is for the hub; {source} is a folder")
        return Path(source), {"path": os.path.relpath(Path(source).resolve(), out.resolve())}
    if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", str(source)):
        raise ValueError(f"{source}: no such folder, nor a data set's id like {HUB_ID!r}")
    folder, commit = download_parquet(str(source), config=_CONFIG, revision=revision)
    return folder, {"id": str(source), "revision": commit}


def _parquet_files(folder: Path) -> dict[str, list[Path]]:
    for place in (folder / _CONFIG, folder):
        files = {
            split: sorted(place.glob(f"{name}-*.parquet")) for name, split in _SPLIT_OF.items()
        }
        found = {split: paths for split, paths in files.items() if paths}
        if found:
            return found
    raise ValueError(
        f"{folder}: no {_CONFIG}/train-*.parquet (nor validation, test); give the folder that "
        f"holds the parquet files of {HUB_ID}"
    )


def _is_blind(path: Path) -> bool:
    """Whether every row has null for its labels (a row without entities has empty lists)."""
    with _opened(path) as file:
        labels = file.read(columns=[name for name in _LABEL_COLUMNS if name in _names(file)])
    return labels.num_rows > 0 and all(
        column.null_count == labels.num_rows for column in labels.columns
    )


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    number = 0
    with _opened(path) as file:
        wanted = [name for name in (*_COLUMNS, *_LABEL_COLUMNS) if name in _names(file)]
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=wanted):
            for row in batch.to_pylist():
                number += 1
                yield f"{path}, row {number}", row


@contextmanager
def _opened(path: Path) -> Iterator[parquet.ParquetFile]:
    try:
        with parquet.ParquetFile(path) as file:
            _check_columns(path, _names(file))
            yield file
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(
            f"{path}: not a readable parquet file ({error}); fetch it again"
        ) from error


def _names(file: parquet.ParquetFile) -> list[str]:
    return list(file.schema_arrow.names)


def _check_columns(path: Path, names: list[str]) -> None:
    for name in _COLUMNS:
        if name not in names:
            raise ValueError(f"{path}: column {name!r} is missing; {nearest(name, names)}")
    if not set(_LABEL_COLUMNS) & set(names):
        raise ValueError(
            f"{path}: no column {' or '.join(_LABEL_COLUMNS)}; {nearest(_LABEL_COLUMNS[0], names)}"
        )


def _utterance(row: dict[str, Any], *, where: str, split: str, audio: AudioFolder) -> Utterance:
    try:
        id_ = row["id"]
        if not isinstance(id_, str) or not isinstance(row["normalized_text"], str):
            raise ValueError("id and normalized_text should be strings")
        labels = row.get("normalized_ner")
        spans = _spans(labels if labels is not None else row.get("normalized_combined_ner"))
        text, entities = ner_form(row["normalized_text"], spans)
        speaker = row["speaker_id"]
        return Utterance(
            id=id_,
            split=split,
            audio=audio.write(id_, row["audio"], split=split),
            num_samples=None,
            sample_rate=16_000,
            text=text,
            speaker=None if speaker in (None, "", "None") else str(speaker),
            asr_text=asr_form(row["normalized_text"]),
            raw_text=row["raw_text"],
            entities=entities,
        )
    except ValueError as error:
        raise ValueError(f"{where}: id {row.get('id')}: {error}") from error


def _spans(struct: dict[str, list[Any]] | list[dict[str, Any]] | None) -> list[LabeledSpan]:
    """Spans of a struct of parallel lists, or of a list of structs; ``None`` is no entities."""
    if isinstance(struct, list):
        struct = {name: [item.get(name) for item in struct] for name in _SPAN_FIELDS}
    columns = [(struct or {}).get(name) or [] for name in _SPAN_FIELDS]
    if len({len(column) for column in columns}) != 1:
        raise ValueError(
            f"type, start and length have {', '.join(str(len(c)) for c in columns)} items; "
            "they should have one each per entity"
        )
    spans = list(zip(*columns, strict=True))
    for span in spans:
        if [type(field) for field in span] != [str, int, int]:
            raise ValueError(f"an entity holds {span}; expected its type, start and length")
    return spans
