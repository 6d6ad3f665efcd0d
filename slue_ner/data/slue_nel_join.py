"""SLUE-2's NEL utterances joined to the NER manifests of the same recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from slue_ner.core.listing import shown
from slue_ner.core.records import read_manifest
from slue_ner.core.types import EntitySpan, Utterance

_SPLITS = ("dev", "test")


def read_ner(folder: Path) -> dict[str, Utterance]:
    """Utterances by id of dev and test of a prepared data set.

    Raises:
        ValueError: when there is not one of these manifests.
    """
    paths = [path for split in _SPLITS if (path := Path(folder) / f"{split}.jsonl").is_file()]
    if not paths:
        raise ValueError(
            f"{folder}: no dev.jsonl or test.jsonl; give the folder "
            "that `slue-ner prepare slue-voxpopuli` wrote"
        )
    return {utterance.id: utterance for path in paths for utterance in read_manifest(path)}


def join_ner(
    nel: Mapping[str, Sequence[Utterance]], ner: Mapping[str, Utterance]
) -> tuple[dict[str, list[Utterance]], list[str]]:
    """Put word and entity times of the NEL utterances to the NER utterances of the same id.

    Entities are those of NEL, with NER's label where both have one at the same place, and those
    of NER that overlap none of them: types that NEL leaves out stay, without times. Where the
    texts differ, NEL's is taken. What only one of the two has is left out.

    Returns:
        Utterances by split, and sentences about what was left out or differs.

    Raises:
        ValueError: when the two have no id in common.
    """
    joined: dict[str, list[Utterance]] = {}
    notes: list[str] = []
    texts, entities, untimed = [], [], 0
    for split, utterances in nel.items():
        common = [utterance for utterance in utterances if utterance.id in ner]
        joined[split] = [joined_utterance(utterance, ner[utterance.id]) for utterance in common]
        notes += _only_in_one(split, utterances, ner)
        for utterance, result in zip(common, joined[split], strict=True):
            untimed += sum(entity.start is None for entity in result.entities)
            if utterance.text != ner[utterance.id].text:
                texts.append(utterance.id)
            elif not _spans(utterance) <= _spans(ner[utterance.id]):
                entities.append(utterance.id)
    if not any(joined.values()):
        raise ValueError(
            "no id of the NEL data is in the NER manifests; prepare both from the same corpus"
        )
    if texts:
        notes.append(f"{len(texts)} texts differ from NER's, NEL's are taken: {shown(texts)}")
    if entities:
        notes.append(
            f"{len(entities)} utterances have entities that NER does not have at that place, "
            f"they are taken from NEL: {shown(entities)}"
        )
    if untimed:
        notes.append(f"{untimed} entities are in NER alone and have no times")
    return joined, notes


def joined_utterance(nel: Utterance, ner: Utterance) -> Utterance:
    """One utterance of both, see ``join_ner``."""
    if nel.text != ner.text:
        return replace(
            nel,
            audio=ner.audio,
            num_samples=ner.num_samples,
            sample_rate=ner.sample_rate,
            speaker=ner.speaker,
        )
    known = {(entity.start_char, entity.end_char): entity for entity in ner.entities}
    timed = [
        replace(entity, label=known.get((entity.start_char, entity.end_char), entity).label)
        for entity in nel.entities
    ]
    others = [e for e in ner.entities if not any(_overlap(e, entity) for entity in timed)]
    others = [replace(entity, words=None, start=None, end=None) for entity in others]
    entities = sorted([*timed, *others], key=lambda entity: entity.start_char or 0)
    return replace(ner, split=nel.split, words=nel.words, entities=tuple(entities))


def _only_in_one(split: str, nel: Sequence[Utterance], ner: Mapping[str, Utterance]) -> list[str]:
    ids = {utterance.id for utterance in nel}
    only_nel = [utterance.id for utterance in nel if utterance.id not in ner]
    only_ner = [u.id for u in ner.values() if u.split == split and u.id not in ids]
    return [
        f"{len(only)} utterances of {split} are in {name} alone and left out: {shown(only)}"
        for name, only in (("NEL", only_nel), ("NER", only_ner))
        if only
    ]


def _spans(utterance: Utterance) -> set[tuple[int | None, int | None]]:
    return {(entity.start_char, entity.end_char) for entity in utterance.entities}


def _overlap(one: EntitySpan, other: EntitySpan) -> bool:
    assert one.start_char is not None and other.end_char is not None
    assert one.end_char is not None and other.start_char is not None
    return one.start_char < other.end_char and other.start_char < one.end_char
