"""What a comparison can show of a row: as text for people, as numbers for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from slue_ner.analysis.figures import ABSENT
from slue_ner.analysis.rows import Row
from slue_ner.core.suggest import nearest


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table for people, one or several fields of one for programs.

    Attributes:
        is_score: its cells stay whole where others fold to fit a narrow terminal.
    """

    title: str
    text: Callable[[Row], str]
    numbers: Callable[[Row], dict[str, Any]]
    is_score: bool = False


def _field(name: str, title: str | None = None, text: Callable[[Any], str] = str) -> Column:
    """A column of one field of a row."""

    def shown(row: Row) -> str:
        value = getattr(row, name)
        return ABSENT if value is None else text(value)

    return Column(title or name, shown, lambda row: {name: getattr(row, name)})


def _score(name: str, title: str) -> Column:
    return Column(
        title,
        lambda row: row.scores[name].text,
        lambda row: row.scores[name].numbers(name),
        is_score=True,
    )


COLUMNS = {
    "run": _field("run"),
    "split": _field("split"),
    "strategy": _field("strategy"),
    "encoder": _field("encoder"),
    "data": _field("data"),
    "trainable": Column(
        "trainable",
        lambda row: _trainable(row),
        lambda row: {"num_trainable": row.num_trainable, "trainable_share": row.trainable_share},
    ),
    "seed": Column(
        "seed",
        lambda row: _seeds(row),
        lambda row: {
            "seed": row.seeds[0] if len(row.seeds) == 1 else _seeds(row) if row.seeds else None,
            "num_seeds": len(row.seeds),
        },
    ),
    "updates": _field("updates", text="{:.0f}".format),
    "f1": _score("f1", "F1"),
    "label_f1": _score("label_f1", "label F1"),
    "wer": _score("wer", "WER"),
    "cer": _score("cer", "CER"),
    "seen_f1": _score("seen_f1", "F1 seen"),
    "unseen_f1": _score("unseen_f1", "F1 unseen"),
    "nel_frame_f1": _score("nel_frame_f1", "NEL frame F1"),
    "nel_frame_corrected_f1": _score("nel_frame_corrected_f1", "NEL frame F1 corrected"),
    "nel_word_f1": _score("nel_word_f1", "NEL word F1"),
    "nel_word_corrected_f1": _score("nel_word_corrected_f1", "NEL word F1 corrected"),
    "seconds": _field("seconds", text="{:.0f}".format),
    "memory": _field("peak_memory_bytes", "memory", lambda value: f"{value / 2**30:.1f} GiB"),
    "speed": _field("audio_seconds_per_second", "audio-s/s", "{:.0f}".format),
    "repairs": _field("num_repairs", "repairs"),
    "hardware": _field("hardware"),
    "commit": Column(
        "commit, date",
        lambda row: f"{row.commit}, {row.date}",
        lambda row: {"commit": row.commit, "date": row.date},
    ),
    "command": _field("command"),
}

TERMINAL = ("run", "split", "strategy", "trainable", "seed", "f1", "label_f1", "wer")
"""Shown where there is room for 100 characters; the others on request."""


def choose(names: Sequence[str]) -> list[Column]:
    """The columns of these names.

    Raises:
        ValueError: for an unknown name, with the nearest known one.
    """
    for name in names:
        if name not in COLUMNS:
            raise ValueError(f"unknown column {name!r}; {nearest(name, COLUMNS)}")
    return [COLUMNS[name] for name in names]


def filled(columns: Sequence[Column], rows: Sequence[Row]) -> list[Column]:
    """Those that at least one row has something to say about."""
    return [column for column in columns if any(column.text(row) != ABSENT for row in rows)]


def _seeds(row: Row) -> str:
    return ", ".join(map(str, row.seeds)) or ABSENT


def _trainable(row: Row) -> str:
    if row.num_trainable is None or row.trainable_share is None:
        return ABSENT
    return f"{_count(row.num_trainable)} ({_percent(row.trainable_share)} %)"


def _count(number: int) -> str:
    return f"{number / 1e6:.1f} M" if number >= 100_000 else f"{number:,}"


def _percent(share: float) -> str:
    return "<0.01" if 0 < share < 1e-4 else f"{100 * share:.3g}"
