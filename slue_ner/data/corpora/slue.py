"""SLUE-VoxPopuli from its official folder: TSV files and one ogg file per utterance."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from slue_ner.core.files import sha256
from slue_ner.core.listing import shown
from slue_ner.core.types import Progress, Utterance
from slue_ner.data.corpora.dataset import PreparedDataset
from slue_ner.data.corpora.preparation import finish_dataset
from slue_ner.data.corpora.slue_tsv import read_slue_tsv
from slue_ner.data.loading.audio import AudioError

_SLUE_SPLITS = ("fine-tune", "dev", "test")
_EXTENSIONS = (".ogg", ".flac", ".wav", ".mp3")


def prepare_slue_voxpopuli(
    source: Path,
    out: Path,
    *,
    tune_share: float = 0.1,
    seed: int = 0,
    marks: str = "keep",
    skip_missing_audio: bool = False,
    listen: bool = True,
    progress: Progress | None = None,
) -> PreparedDataset:
    """Prepare SLUE-VoxPopuli as ASAPP published it, or anything laid out like it.

    Both known layouts are read: ``slue-voxpopuli_<split>.tsv`` beside ``<split>/<id>.ogg``, and
    the later ``<split>.tsv`` beside ``audio/<split>/<id>.ogg``. Audio is not copied: the
    manifests point at it. A split without a TSV, or with only the blind one, is left out.

    Args:
        source: the folder with the TSV files, or its parent.
        out: folder for the manifests.
        tune_share: of fine-tune to hold out as tune; 0 for none.
        seed: decides which speakers are held out.
        marks: what becomes of texts that cannot be written as symbols, see ``resolve_marks``.
        skip_missing_audio: leave utterances without a file out of fine-tune, and only there:
            scores on part of dev or test compare with nothing.
        listen: decode every file, not only its header.
        progress: called with files done and in all.

    Raises:
        ValueError: naming the file and line, or the ids without audio.
    """
    source, out = Path(source), Path(out)
    folder = _tsv_folder(source)
    warnings: list[str] = []
    splits: dict[str, list[Utterance]] = {}
    files: dict[str, str] = {}
    for split in _SLUE_SPLITS:
        tsv = _tsv(folder, split)
        if tsv is None:
            warnings.append(_why_left_out(folder, split))
            continue
        files[tsv.name] = sha256(tsv)
        rows = read_slue_tsv(tsv, split=split, note=warnings.append)
        utterances, missing = _with_audio(folder, split, rows)
        if missing:
            may_skip = skip_missing_audio and split == "fine-tune"
            sentence = (
                f"{tsv.name}: {len(missing)} of {len(utterances) + len(missing)} utterances have "
                f"no audio file: {shown(missing)}"
            )
            if not may_skip:
                raise AudioError(f"{sentence}; {_way_out(split)}")
            warnings.append(f"{sentence}; they are left out")
        if not rows:
            warnings.append(f"split {split} is left out: {tsv.name} has no line below its header")
        splits[split] = utterances
    return finish_dataset(
        out,
        splits,
        source={
            "kind": "slue-voxpopuli",
            "path": os.path.relpath(folder.resolve(), out.resolve()),
            "files": files,
            "options": {"skip_missing_audio": skip_missing_audio},
        },
        warnings=warnings,
        tune_share=tune_share,
        seed=seed,
        marks=marks,
        listen=listen,
        progress=progress,
    )


def _tsv_folder(source: Path) -> Path:
    if not source.is_dir():
        raise ValueError(f"{source}: no such folder; give the one that holds the SLUE TSV files")
    if _has_tsv(source):
        return source
    inner = sorted(folder for folder in source.iterdir() if folder.is_dir() and _has_tsv(folder))
    if len(inner) == 1:
        return inner[0]
    if inner:
        names = ", ".join(folder.name for folder in inner)
        raise ValueError(f"{source}: several folders hold SLUE TSV files ({names}); name one")
    raise ValueError(
        f"{source}: no slue-voxpopuli_fine-tune.tsv (or fine-tune.tsv, dev, test) here or one "
        "folder below; unpack slue-voxpopuli and give its folder"
    )


def _has_tsv(folder: Path) -> bool:
    return any(_tsv(folder, split) is not None for split in _SLUE_SPLITS)


def _tsv(folder: Path, split: str) -> Path | None:
    names = (f"slue-voxpopuli_{split}.tsv", f"{split}.tsv")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _why_left_out(folder: Path, split: str) -> str:
    blind = folder / f"slue-voxpopuli_{split}_blind.tsv"
    if blind.is_file():
        return (
            f"split {split} is left out: {blind.name} has no labels; the labelled one is "
            "on the hub (`slue-ner prepare slue-voxpopuli asapp/slue OUT`)"
        )
    return f"split {split} is left out: there is no slue-voxpopuli_{split}.tsv"


def _with_audio(
    folder: Path, split: str, utterances: list[Utterance]
) -> tuple[list[Utterance], list[str]]:
    places = (folder / split, folder / "audio" / split, folder / "slue-voxpopuli" / split)
    listings = [(place.absolute(), set(os.listdir(place))) for place in places if place.is_dir()]
    found: list[Utterance] = []
    missing: list[str] = []
    wanted = Counter(_plain(utterance.id) for utterance in utterances)
    for utterance in utterances:
        stems = [utterance.id]
        if wanted[_plain(utterance.id)] == 1:  # else it may be another one's file
            stems.append(_plain(utterance.id))
        audio = _audio_file(listings, stems)
        if audio is None:
            missing.append(utterance.id)
        else:
            found.append(replace(utterance, audio=audio))
    return found, missing


def _plain(id_: str) -> str:
    """The id as a file is called where the file system refuses ``:``."""
    return id_.replace(":", "_")


def _audio_file(listings: list[tuple[Path, set[str]]], stems: list[str]) -> Path | None:
    for folder, names in listings:
        for stem in stems:
            for extension in _EXTENSIONS:
                if stem + extension in names:
                    return folder / (stem + extension)
    return None


def _way_out(split: str) -> str:
    if split == "fine-tune":
        return "fetch them, or leave them out with --skip-missing-audio"
    return f"fetch them: scores on part of {split} compare with nothing"
