"""``slue-ner train``: one run, or with ``-m`` a sweep over several."""

from __future__ import annotations

from pathlib import Path

_HELP = """usage: slue-ner train [overrides] [-m]

Train a model. Overrides choose a config of a group (adaptation=lora) or set a value
(optim.lr=1e-4); -m runs every combination of comma-separated ones. The run folder is runs/NAME;
the same command resumes a run that was interrupted and returns at once when it is finished.

{groups}

example:
  slue-ner train data.root=data/mine encoder=wavlm_base_plus adaptation=lora name=mine
  slue-ner train -m name=strategies adaptation=full,reinit,lora,frozen_weighted_sum seed=0,1,2

--cfg prints the composed config and trains nothing; --config-dir FOLDER finds choices of your own
in FOLDER/GROUP/NAME.yaml, too.
"""

_SKIPPED_GROUPS = ("hydra", "decoding")
"""Not of training: Hydra's own, and what `predict --decoding` takes."""


def run(arguments: list[str]) -> int:
    """Train; every failed job of a sweep is named at the end."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(_HELP.format(groups=_groups()))
        return 0
    arguments = _with_own_configs(arguments)
    multirun = [argument for argument in arguments if argument in ("-m", "--multirun")]
    show = "--cfg" in arguments
    overrides = [a for a in arguments if a not in (*multirun, "--cfg")]
    unknown = [argument for argument in overrides if argument.startswith("-")]
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r}; overrides look like group=name or a.b=1")
    if multirun:
        from slue_ner.cli.sweep import sweep

        return sweep(overrides)
    from slue_ner.cli.compose import compose_config
    from slue_ner.cli.job import train

    values = compose_config(overrides)
    if show:
        import yaml

        print(yaml.safe_dump(values, sort_keys=False), end="")
        return 0
    return train(values, Path(values["run_dir"]))


def _with_own_configs(arguments: list[str]) -> list[str]:
    """``--config-dir FOLDER`` as the override that lets Hydra look there, too.

    Raises:
        ValueError: for a folder that is not there.
    """
    flag = "--config-dir"
    given = next((a for a in arguments if a == flag or a.startswith(f"{flag}=")), None)
    if given is None:
        return arguments
    place = arguments.index(given)
    named = given.partition("=")[2] if "=" in given else "".join(arguments[place + 1 : place + 2])
    rest = arguments[:place] + arguments[place + (1 if "=" in given else 2) :]
    folder = Path(named)
    if not named or not folder.is_dir():
        raise ValueError(f"{flag} {named or '(nothing)'}: no such folder; it holds GROUP/NAME.yaml")
    return [*rest, f"hydra.searchpath=['file://{folder.resolve()}']"]


def _groups() -> str:
    from slue_ner.cli.compose import config_folder

    rows = []
    for folder in sorted(path for path in config_folder().iterdir() if path.is_dir()):
        if folder.name not in _SKIPPED_GROUPS:
            names = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
            rows.append(f"  {folder.name:<12}{names}")
    return "\n".join(["groups:", *rows])
