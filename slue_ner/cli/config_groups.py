"""The groups of ``configs/`` and what can be chosen of them, read without Hydra."""

from __future__ import annotations

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
