"""Any text NER behind one function: a run, a token classifier of transformers, or spaCy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from slue_ner.core.files import read_json
from slue_ner.core.run_files import CONFIG_FILE, read_config
from slue_ner.inference.tagging import WordTagger
from slue_ner.models.encoder.hub_checkpoints import HUB_CONFIG_FILE, check_exists, read_hub_config
from slue_ner.models.taggers.spacy_tagger import SpacyTagger, spacy_tagger
from slue_ner.models.taggers.transformer_tagger import ReadyTagger, ready_tagger
from slue_ner.tasks.run import Run
from slue_ner.tasks.text_task import TextNER

SPACY = "spacy:"
"""Stands before the name of a spaCy pipeline."""

_HEAD = "ForTokenClassification"


def text_tagger(
    source: str | Path,
    *,
    weights: str = "best",
    label_map: Path | None = None,
    note: Callable[[str], None] | None = None,
) -> WordTagger:
    """Load what finds entities in words.

    Args:
        source: a run folder (``task=text_ner``), a token classifier of transformers as a folder
            or hub id, or ``spacy:`` and the name of an installed pipeline.
        weights: of a run, ``best`` or ``last``.
        label_map: YAML or JSON file of the labels of some types; of a tagger that is no run.
        note: called with a sentence about what the tagger has and does not use.

    Raises:
        ValueError: for a source of another kind, or one that cannot be read, and for a label map
            that does not fit it.
    """
    source, path = str(source), Path(source)
    is_run = (path / CONFIG_FILE).is_file()
    if is_run and label_map is not None:
        raise ValueError(f"{source} is a run and has SLUE's labels; leave --label-map out")
    if is_run:
        run = Run.open(path)
        if not isinstance(run.task, TextNER):
            raise ValueError(
                f"{path} is no text NER; train one with `slue-ner train task=text_ner`"
            )
        return run.task.restore(run.config, run.folder, weights=weights).tagger
    naming: dict[str, Any] = {"given": label_map and _read_map(label_map), "where": str(label_map)}
    if source.startswith(SPACY):
        return spacy_tagger(source.removeprefix(SPACY), **naming)
    check_exists(path)
    return ready_tagger(source, note=note, **naming)


def is_ready_tagger(source: Path) -> bool:
    """Whether a source that is no run folder says that it finds entities in text.

    Raises:
        ValueError: for what may be a hub id, of which nothing can be read.
    """
    if str(source).startswith(SPACY):
        return True
    here = source.is_dir() or source.parent.is_dir()  # a hub id is owner/name, no folder here
    if here and not (source / HUB_CONFIG_FILE).is_file():
        return False
    try:
        architectures = read_hub_config(str(source)).get("architectures")
    except ValueError as error:
        if here:
            raise
        raise ValueError(
            f"there is no run folder {source}, and as a checkpoint: {error}"
        ) from error
    return any(_HEAD in str(name) for name in architectures or ())


def say_types(tagger: WordTagger, note: Callable[[str], None]) -> None:
    """Pass on which types of a ready tagger were called otherwise, or had no label."""
    if isinstance(tagger, ReadyTagger | SpacyTagger):
        said = tagger.label_map.report()
        if said is not None:
            note(said)


def _read_map(path: Path) -> dict[str, str | None]:
    values = read_json(path) if path.suffix == ".json" else read_config(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path} should hold a mapping, got {type(values).__name__}")
    for key, value in values.items():
        if not isinstance(key, str) or not isinstance(value, str | None):
            raise ValueError(
                f"{path}: {key!r}: {value!r} should be a type and its label, or null to leave its "
                "entities out; quote what YAML takes for something else"
            )
    return values
