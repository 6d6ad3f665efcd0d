"""SLUE-VoxPopuli from the hub's parquet files (``asapp/slue``), local or downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slue_ner.core.canonical import Changes
from slue_ner.core.files import sha256
from slue_ner.core.groups import speaker_name
from slue_ner.core.suggest import nearest
from slue_ner.core.types import Progress, Utterance
from slue_ner.data.corpora.dataset import PreparedDataset, clear_dataset
from slue_ner.data.corpora.hub_parquet import (
    AudioFolder,
    column_names,
    num_rows,
    parallel_lists,
    parquet_folder,
    read_rows,
    split_files,
)
from slue_ner.data.corpora.preparation import finish_dataset
from slue_ner.text.normalize import LabeledSpan, asr_form, check_spans, ner_form
from slue_ner.text.published import canonical_spans

HUB_ID = "asapp/slue"
_CONFIG = "voxpopuli"
_SPLIT_OF = {"train": "fine-tune", "validation": "dev", "test": "test"}
_COLUMNS = ("id", "audio", "speaker_id", "normalized_text", "raw_text")
_LABEL_COLUMNS = ("normalized_ner", "normalized_combined_ner")  # raw labels say more
_SPAN_FIELDS = ("type", "start", "length")


def prepare_slue_hub(
    source: str | Path,
    out: Path,
    *,
    revision: str | None = None,
    tune_share: float = 0.1,
    seed: int = 0,
    marks: str = "keep",
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
        marks: what becomes of texts that cannot be written as symbols, see ``resolve_marks``.
        listen: decode every file, not only its header.
        progress: called with rows or files done and in all.

    Raises:
        ValueError: for files with other columns, a bad row (file, row and id are named), or a
            download that does not work, with the way out.
    """
    out = Path(out)
    folder, origin = parquet_folder(source, out, config=_CONFIG, revision=revision, example=HUB_ID)
    files = split_files(folder, config=_CONFIG, split_of=_SPLIT_OF, example=HUB_ID)
    origin = {"kind": "slue-hub", **origin}
    clear_dataset(out, source=origin)
    warnings = []
    for name, split in _SPLIT_OF.items():
        if split not in files:
            warnings.append(f"split {split} is left out: there is no {name}-*.parquet")
        elif all(_is_blind(path) for path in files[split]):
            warnings.append(f"split {split} is left out: not one of its rows has labels (blind)")
            del files[split]
    total = num_rows([path for paths in files.values() for path in paths])
    audio = AudioFolder(out / "audio")
    splits: dict[str, list[Utterance]] = {}
    changes = Changes()
    done = 0
    for split, paths in files.items():
        splits[split] = []
        for path in paths:
            for where, row in _rows(path):
                utterance = _utterance(row, changes, where=where, split=split, audio=audio)
                splits[split].append(utterance)
                done += 1
                if progress is not None:
                    progress(done, total)
    changes.tell(str(source), warnings.append)
    return finish_dataset(
        out,
        splits,
        source={
            **origin,
            "files": {path.name: sha256(path) for paths in files.values() for path in paths},
        },
        warnings=warnings,
        tune_share=tune_share,
        seed=seed,
        marks=marks,
        listen=listen,
        progress=progress,
    )


def _is_blind(path: Path) -> bool:
    """Whether every row has null for its labels (a row without entities has empty lists)."""
    labels = _label_columns(path)
    num_blind = 0
    for _, row in read_rows(path, required=labels):
        if any(row[name] is not None for name in labels):
            return False
        num_blind += 1
    return num_blind > 0


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    return read_rows(path, required=(*_COLUMNS, *_label_columns(path)))


def _label_columns(path: Path) -> list[str]:
    names = column_names(path, required=_COLUMNS)
    labels = [name for name in _LABEL_COLUMNS if name in names]
    if not labels:
        raise ValueError(
            f"{path}: no column {' or '.join(_LABEL_COLUMNS)}; {nearest(_LABEL_COLUMNS[0], names)}"
        )
    return labels


def _utterance(
    row: dict[str, Any], changes: Changes, *, where: str, split: str, audio: AudioFolder
) -> Utterance:
    try:
        id_, published = row["id"], row["normalized_text"]
        if not isinstance(id_, str) or not isinstance(published, str):
            raise ValueError("id and normalized_text should be strings")
        labels = row.get("normalized_ner")
        spans = _spans(labels if labels is not None else row.get("normalized_combined_ner"))
        check_spans(published, spans)
        published, spans = canonical_spans(published, spans, where=id_, changes=changes)
        text, entities = ner_form(published, spans)
        return Utterance(
            id=id_,
            split=split,
            audio=audio.write(id_, row["audio"], split=split),
            num_samples=None,
            sample_rate=16_000,
            text=text,
            speaker=speaker_name(row["speaker_id"]),
            asr_text=asr_form(published),
            raw_text=row["raw_text"],
            entities=entities,
        )
    except ValueError as error:
        raise ValueError(f"{where}: id {row.get('id')}: {error}") from error


def _spans(struct: dict[str, list[Any]] | list[dict[str, Any]] | None) -> list[LabeledSpan]:
    spans = parallel_lists(struct, _SPAN_FIELDS)
    for span in spans:
        if [type(field) for field in span] != [str, int, int]:
            raise ValueError(f"an entity holds {span}; expected its type, start and length")
    return [(label, start, length) for label, start, length in spans]
