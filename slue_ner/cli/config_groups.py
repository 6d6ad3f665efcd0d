"""The groups of ``configs/`` and what can be chosen of them, read without Hydra."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import slue_ner

YAML = (".yaml", ".yml")

OWN_GROUPS = ("hydra", "launcher", "experiment")
"""Groups that steer the composition and are no part of a run's config."""

_NOT_OF_TRAINING = "decoding"
"""Is what ``predict --decoding`` takes."""


def config_folder() -> Path:
    """Absolute path of ``configs/``: inside an installed package, or beside it in a checkout.

    Absolute, because Hydra looks up a relative one beside the console script.

    Raises:
        ValueError: when neither is there.
    """
    package = Path(slue_ner.__file__).resolve().parent
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / "train.yaml").is_file():
            return folder
    raise ValueError("the configs folder is missing from this installation; install slue-ner again")


_PATHS = {
    "encoder": ", or a checkpoint as encoder=checkpoint encoder.source={}",
    "data": ", or a folder with manifests as data.root={}",
}
"""Groups for which a path has another place."""


def check_choice(group: str, name: str, known: Sequence[str]) -> None:
    """Refuse what nobody would call a choice; of others Hydra knows whether they are there.

    Raises:
        ValueError: in one sentence with the choices.
    """
    if name in known:
        return
    if not name:
        what = "names no choice"
    elif "/" in name and (name.endswith("/") or Path(name).is_dir()):
        what = "is a folder"
    elif re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", name):
        what = "is a number"
    else:
        return
    raise ValueError(f"{group}={name} {what}; {choose(group, known, path=name)}")


def choose(group: str, known: Sequence[str], *, path: str = "") -> str:
    """What to write for a group: a choice by name, or what a path may have meant."""
    elsewhere = _PATHS.get(group, "").format(path.rstrip("/")) if "/" in path else ""
    return f"choose one as {group}=NAME (choices: {', '.join(known)}){elsewhere}"


def group_choices(own: Sequence[Path] = ()) -> dict[str, list[str]]:
    """Names to choose of each group of ``slue-ner train``.

    Args:
        own: folders of the user's that hold ``GROUP/NAME.yaml``, too.
    """
    names: dict[str, set[str]] = {}
    for folder in (config_folder(), *own):
        for path in folder.glob("*/*.yaml"):
            names.setdefault(path.parent.name, set()).add(path.stem)
    return {group: sorted(names[group]) for group in sorted(names) if group != _NOT_OF_TRAINING}
