"""Take the encoder out of a run, as a transformers checkpoint that any other tool can load."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from slue_ner.core.files import read_json, write_text
from slue_ner.core.run_files import (
    CONFIG_FILE,
    LOG_FILE,
    METRICS_FILE,
    but_holds_runs,
    read_config,
)
from slue_ner.models.encoder.saving import save_encoder
from slue_ner.tasks.run import Run

CARD_FILE = "README.md"
FIRST_MARK, LAST_MARK = "<!-- facts -->", "<!-- /facts -->"


def export_encoder(run_dir: Path, out: Path, *, weights: str = "best", half: bool = False) -> None:
    """Write config, weights and preprocessor of a run's encoder, and the facts of its card.

    A ``README.md`` that is in ``out`` already keeps its text; what stands between its marks
    ``<!-- facts -->`` is written anew.

    Args:
        run_dir: a finished run, of pre-training or of CTC training.
        out: folder to write into.
        weights: ``best`` on tune, or ``last``.
        half: write float16.

    Raises:
        ValueError: naming what is missing from the run.
        OSError: naming a file that cannot be written.
    """
    for name in (CONFIG_FILE, METRICS_FILE):
        if not (run_dir / name).is_file():
            raise ValueError(
                f"{run_dir} is not a finished run: it has no {name}{but_holds_runs(run_dir)}"
            )
    encoder = Run.open(run_dir).encoder(weights=weights)
    try:
        facts = "\n".join(f"- {name}: {value}" for name, value in _facts(run_dir, weights).items())
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"{run_dir} is incomplete: {CONFIG_FILE}, {METRICS_FILE} or {LOG_FILE} does not say "
            f"how it was trained ({error}); copy it whole, or train it again"
        ) from error
    save_encoder(encoder, out, half=half)
    path = out / CARD_FILE
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if FIRST_MARK not in text or LAST_MARK not in text:
        text = f"{text}\n{FIRST_MARK}\n{LAST_MARK}\n".lstrip("\n")
    before, rest = text.split(FIRST_MARK, 1)
    after = rest.split(LAST_MARK, 1)[1]
    write_text(path, f"{before}{FIRST_MARK}\n{facts}\n{LAST_MARK}{after}")


def _facts(run_dir: Path, weights: str) -> dict[str, str]:
    """What the run's own files say about it, and about its best or last weights."""
    values = read_config(run_dir / CONFIG_FILE)
    run = read_json(run_dir / METRICS_FILE)["run"]
    training, data, task = run["training"], values["data"], values["task"]
    devices = values["trainer"]["devices"] * values["trainer"]["num_nodes"]
    heard = devices * training["audio_seconds"] / 3600
    manifests = [f"{data['root']}/{data['train']}.jsonl", *data.get("also_train", [])]
    encoder = values["encoder"]
    update = training["updates" if weights == "last" else "best_update"]
    figures = _figures(run_dir / LOG_FILE, update)
    return {
        "parameters": f"{run['adaptation']['num_total']:,}",
        "started from": encoder.get("source") or f"random weights ({encoder.get('family')})",
        "task": ", ".join(f"{key} {value}" for key, value in task.items()),
        "trained on": _counted(manifests),
        "audio alone of": _counted(data.get("unlabelled", [])) or "nothing",
        "utterances": f"{training['num_train_utterances']:,}",
        "hours heard": f"{heard:.1f}, repetitions included, in {training['updates']:,} updates",
        "time": f"{training['seconds'] / 60:.0f} min on {devices} processes",
        "hardware": str(run["hardware"]),
        f"on tune, at update {update:,}": ", ".join(
            f"{name} {value:.3f}" for name, value in figures.items()
        ),
        "command": f"`{run['command']}`",
        "commit, date": f"{run['commit']}, {run['date']}",
    }


def _counted(manifests: Sequence[str]) -> str:
    """``3 x A, B`` for A, B, A, A."""
    counts = Counter(manifests)
    return ", ".join(name if n == 1 else f"{n} x {name}" for name, n in counts.items())


def _figures(log: Path, update: int) -> dict[str, float]:
    """What was measured on tune at an update.

    Raises:
        ValueError: when nothing was, or a value is no number.
    """
    with log.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) == 3 and row[1].startswith("val_")]
    values = {(int(at), name.removeprefix("val_")): float(value) for at, name, value in rows}
    figures = {name: value for (at, name), value in values.items() if at == update}
    figures.pop("monitor", None)
    if not figures:
        raise ValueError(f"{log.name} has nothing of update {update}")
    return figures
