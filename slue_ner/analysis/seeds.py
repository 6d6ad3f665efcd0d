"""Runs that differ in their seed alone, folded into one row."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace

from slue_ner.analysis.figures import over_seeds
from slue_ner.analysis.rows import Row


def fold_seeds(rows: Sequence[Row]) -> list[Row]:
    """One row for every config and split, where its first seed stood.

    Two runs have the same config when it agrees in everything but seed, name and run folder.
    Scored files stay as they are.
    """
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        key = (row.run,) if row.setting is None else (row.setting, row.split)
        groups.setdefault(key, []).append(row)
    return [group[0] if group[0].setting is None else _folded(group) for group in groups.values()]


def _folded(rows: Sequence[Row]) -> Row:
    first = rows[0]
    return replace(
        first,
        run=_listed(_without_seed(row.run) for row in rows),
        seeds=tuple(sorted(seed for row in rows for seed in row.seeds)),
        updates=_mean([row.updates for row in rows]),
        scores={name: over_seeds([row.scores[name] for row in rows]) for name in first.scores},
        seconds=_mean([row.seconds for row in rows]),
        peak_memory_bytes=max(row.peak_memory_bytes or 0 for row in rows),
        audio_seconds_per_second=_mean([row.audio_seconds_per_second for row in rows]),
        num_repairs=_total([row.num_repairs for row in rows]),
        hardware=_listed(row.hardware for row in rows),
        commit=_listed(row.commit for row in rows),
        date=_listed(row.date for row in rows),
        command=_listed(row.command for row in rows),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _total(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _without_seed(name: str) -> str:
    """``SWEEP/adaptation=lora`` for ``SWEEP/adaptation=lora,seed=1``, as for the other seeds."""
    sweep, _, folder = name.rpartition("/")
    kept = ",".join(part for part in folder.split(",") if not part.startswith("seed="))
    return "/".join(filter(None, (sweep, kept))) or name


def _listed(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))
