"""The rows of a comparison: one split of one run each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from slue_ner.analysis.figures import Figure

SCORES = {
    "f1": "ner.micro.f1",
    "label_f1": "ner_label.micro.f1",
    "wer": "wer",
    "cer": "cer",
    "seen_f1": "ner_seen.micro.f1",
    "unseen_f1": "ner_unseen.micro.f1",
    "nel_frame_f1": "nel.frame_official.f1",
    "nel_frame_corrected_f1": "nel.frame_corrected.f1",
    "nel_word_f1": "nel.word_official.0.8.f1",
    "nel_word_corrected_f1": "nel.word_corrected.0.8.f1",
}
"""Figures of a row and where the score object has them."""

Order = Literal["f1", "wer", "name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One split of one run, of the seeds of one config folded together, or one scored file.

    Where folded runs differ, texts are listed with ``;``, ``updates``, ``seconds`` and
    ``audio_seconds_per_second`` are means, and ``peak_memory_bytes`` is the highest.

    Attributes:
        encoder: hub id or folder of the pre-trained encoder, or its family and "random weights";
            of text NER, what tags the words.
        data: folder names of ``data.root`` and ``data.also_train``, and what ``data.hours`` allows.
        num_trainable: values of the model that are trained, heads and mixing among them.
        trainable_share: the same over all values of the model, in [0, 1].
        seeds: of the runs in this row.
        scores: a figure for every name in ``SCORES``.
        seconds: wall-clock time of training with its validations.
        audio_seconds_per_second: audio trained on in a second, of one process; ``None`` for text.
        commit: of the code, ``+`` when edited; the version where there was no checkout.
        num_repairs: malformed tags that readers of tagged strings repaired; over all seeds.
        setting: the config but for seed and names, as JSON; equal for the seeds of one config.

    A scored file tells nothing about training: what is ``None`` by default, and no seed.
    """

    run: str
    split: str
    scores: Mapping[str, Figure]
    hardware: str
    commit: str
    date: str
    command: str
    strategy: str | None = None
    encoder: str | None = None
    data: str | None = None
    num_trainable: int | None = None
    trainable_share: float | None = None
    seeds: tuple[int, ...] = ()
    updates: float | None = None
    seconds: float | None = None
    peak_memory_bytes: int | None = None
    audio_seconds_per_second: float | None = None
    setting: str | None = None
    num_repairs: int | None = None


def ranked(rows: Sequence[Row], order: Order) -> list[Row]:
    """Best first (highest F1, lowest WER, rows without it last) or by name; ties as given."""
    if order == "name":
        return sorted(rows, key=lambda row: row.run)
    sign = -1 if order == "f1" else 1
    values = [(row, row.scores[order].value) for row in rows]
    there = [(row, value) for row, value in values if value is not None]
    best_first = [row for row, value in sorted(there, key=lambda pair: sign * pair[1])]
    return best_first + [row for row, value in values if value is None]
