"""Compose a config from ``configs/`` and overrides; with ``cli/sweep.py`` all that knows Hydra."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from slue_ner.cli.config_groups import OWN_GROUPS, choose, config_folder, group_choices
from slue_ner.core.run_files import RENAMED_KEYS
from slue_ner.core.suggest import nearest

_SPEECH_GROUPS = ("encoder", "adaptation", "mixing", "head", "augment", "state_cache")
"""Groups that a task which hears nothing leaves empty."""

_TEXT_TASK = "text_ner"

_NAMES_ELSEWHERE = {
    "learning_rate": "optim.lr",
    "batch_size": "data.batch_seconds (task.batch_size of text NER)",
    "epochs": "trainer.max_updates",
    "max_epochs": "trainer.max_updates",
    "num_train_epochs": "trainer.max_updates",
    "max_steps": "trainer.max_updates",
    "warmup_steps": "optim.warmup, a share of the updates,",
    "gradient_accumulation_steps": "trainer.accumulate",
    "fp16": "trainer.precision",
    "bf16": "trainer.precision",
    "gpus": "trainer.devices",
    "model": "encoder",
    "model_name_or_path": "encoder.source",
    "output_dir": "run_dir",
    "dataset": "data",
    "init_from": "encoder.source=FOLDER (of `slue-ner export RUN FOLDER`)",
}
"""What other programs call what we have."""

_SPEECH_KEYS = tuple(
    f"data.{key}"
    for key in ("batch_seconds", "max_seconds", "num_workers", "short_first", "unlabelled")
)


def compose_config(overrides: Sequence[str]) -> dict[str, Any]:
    """The composed config as plain values.

    Raises:
        ValueError: in one sentence, naming the override that cannot be used.
    """
    try:
        return plain(compose_tree(overrides))
    except OmegaConfBaseException as error:
        raise ValueError(explain(error)) from error


def compose_tree(overrides: Sequence[str]) -> DictConfig:
    """The composed config as Hydra has it; values may still be missing.

    Raises:
        ValueError: as ``compose_config``.
    """
    parse_overrides(overrides)
    _refuse_speech(overrides)
    try:
        return _composed(overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(explain(error)) from error


def _composed(overrides: Sequence[str]) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        return compose("train", overrides=list(overrides))


def parse_overrides(overrides: Sequence[str]) -> list[Override]:
    """Overrides as Hydra reads them, alone.

    Raises:
        ValueError: naming the first that breaks its grammar.
    """
    parser = OverridesParser.create()
    parsed = []
    for override in overrides:
        path = re.split(r"[=@]", override.lstrip("+~"), maxsplit=1)[0]
        key = next((old for old in RENAMED_KEYS if f"{path}.".startswith(f"{old}.")), None)
        if key is not None:
            raise ValueError(
                f"override {override!r}: {key} is called {RENAMED_KEYS[key]} now; write "
                f"{override.replace(key, RENAMED_KEYS[key], 1)}"
            )
        try:
            parsed.append(parser.parse_override(override))
        except HydraException as error:
            raise ValueError(f"override {override!r} {_unreadable(override)}") from error
    return parsed


def _unreadable(override: str) -> str:
    """What is wrong with an override that Hydra cannot parse; mostly it has no value."""
    groups = group_choices()
    key = override.lstrip("+~")
    group, _, name = key.replace("/", ".").partition(".")
    if name in groups.get(group, ()):
        return f"has no value; write it as {group}={name}"
    values = _keys(compose_config([]))
    if key not in values:
        return "cannot be read; write it as group=name or a.b=1"
    value = values[key]
    if isinstance(value, dict):
        return f"is a section; write it as {key}.KEY=VALUE, with one of {', '.join(value)}"
    return f"has no value; write it as {key}=VALUE (now {value})"


def plain(config: DictConfig) -> dict[str, Any]:
    """Interpolations resolved, Hydra's own groups left out.

    Raises:
        ValueError: naming a value that must be given on the command line.
    """
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise ValueError(f"{missing[0]} has no default; give it as {missing[0]}=VALUE")
    values = OmegaConf.to_container(config, resolve=True)
    assert isinstance(values, dict)
    is_text = OmegaConf.select(config, "task.kind") == _TEXT_TASK
    left_out = (*OWN_GROUPS, *_SPEECH_GROUPS) if is_text else OWN_GROUPS  # an experiment has some
    return {str(key): value for key, value in values.items() if key not in left_out}


def explain(error: Exception) -> str:
    """Hydra's message as one sentence, with the nearest known name where there is one."""
    message = str(error)
    option = re.search(r"(?:In '[^']*': )?Could not find '([\w/.-]+/[^']+)'", message)
    if option:
        group, _, name = option[1].partition("/")
        if "/" in name and group in (groups := group_choices()):
            return f"{group}={name} is unknown; {choose(group, groups[group], path=name)}"
        group, _, name = option[1].rpartition("/")
        known = sorted(path.stem for path in (config_folder() / group).glob("*.yaml"))
        hint = nearest(name, known)
        choices = "" if hint.startswith("known") else f" (choices: {', '.join(known)})"
        return f"{group}={name} is unknown; {hint}{choices}"
    override = re.search(r"Could not override '([^']+)'", message)
    if override:
        return f"override {override.group(1)!r} is unknown; {_nearest_key(override.group(1))}"
    return " ".join(message.split())


def _refuse_speech(overrides: Sequence[str]) -> None:
    """Say that an override changes nothing for a task that hears nothing, rather than ignore it."""
    keys = {
        override: re.split(r"[=@]", override.lstrip("+~"), maxsplit=1)[0] for override in overrides
    }
    of_speech = [
        o for o, k in keys.items() if k.split(".")[0] in _SPEECH_GROUPS or k in _SPEECH_KEYS
    ]
    chosen = [o for o, k in keys.items() if k in ("task", "experiment", "hydra.searchpath")]
    if not of_speech or not chosen:
        return
    try:
        config = _composed(chosen)
    except (HydraException, OmegaConfBaseException):
        return  # which composing the whole explains
    if "encoder" not in config or config.task.kind == _TEXT_TASK:
        raise ValueError(
            f"override {of_speech[0]!r} has no part in task={config.task.kind}, which hears "
            "nothing; leave it out"
        )


def _nearest_key(key: str) -> str:
    from slue_ner.models.encoder.options import EncoderOptions

    values = compose_config([])
    options = [f"encoder.{option.name}" for option in fields(EncoderOptions)]
    if key in (*_keys(values), *options):
        return f"the choices made here have no such key; +{key}=... adds it"
    elsewhere = _NAMES_ELSEWHERE.get(key.rpartition(".")[2])
    if elsewhere is not None:
        return f"it is {elsewhere} here"
    close = difflib.get_close_matches(key, _keys(values), n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(values)}"


def _keys(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Sections and values under their dotted keys."""
    keys: dict[str, Any] = {}
    for key, value in values.items():
        keys[f"{prefix}{key}"] = value
        if isinstance(value, dict):
            keys |= _keys(value, f"{prefix}{key}.")
    return keys
