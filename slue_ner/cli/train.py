"""``slue-ner train``: one run, or with ``-m`` a sweep over several."""

from __future__ import annotations

import hashlib
from pathlib import Path

from slue_ner.cli.config_groups import YAML, check_choice, choose, group_choices

OPTIONS = {
    "-m": "run every combination of comma-separated choices and values",
    "--multirun": "as -m",
    "--cfg": "print the composed config and train nothing",
    "--config-dir": "find choices of yours in the folder named next, as GROUP/NAME.yaml",
    "-h": "print this",
    "--help": "as -h",
}
"""What may stand among the overrides."""

_HELP = """usage: slue-ner train [overrides] [options]

Train a model. Overrides choose a config of a group (adaptation=lora) or set a value
(optim.lr=1e-4); encoder=my_encoder.yaml takes a choice from a file of yours, of any group. The run
folder is runs/NAME; the same command resumes a run that was interrupted and returns at once when
it is finished.

groups:
{groups}

options:
{options}

example:
  slue-ner train data.root=data/mine encoder=wavlm_base_plus adaptation=lora name=mine
  slue-ner train -m name=strategies adaptation=full,reinit,lora,frozen_weighted_sum seed=0,1,2
"""

_SEARCHED = "hydra.searchpath="
_OWN_CONFIGS = Path("cache/configs")
"""Where choices that are files of the user's are kept for Hydra."""


def run(arguments: list[str]) -> int:
    """Train; every failed job of a sweep is named at the end."""
    if any(argument in ("-h", "--help") for argument in arguments):
        groups = {group: ", ".join(names) for group, names in group_choices().items()}
        print(_HELP.format(groups=_rows(groups), options=_rows(OPTIONS)), end="")
        return 0
    arguments = with_own_configs(arguments)
    overrides = [argument for argument in arguments if argument not in OPTIONS]
    unknown = [argument for argument in overrides if argument.startswith("-")]
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r}; overrides look like group=name or a.b=1")
    if "-m" in arguments or "--multirun" in arguments:
        from slue_ner.cli.sweep import sweep

        return sweep(overrides)
    from slue_ner.cli.compose import compose_config
    from slue_ner.cli.job import train

    values = compose_config(overrides)
    if "--cfg" in arguments:
        import yaml

        print(yaml.safe_dump(values, sort_keys=False), end="")
        return 0
    return train(values, Path(values["run_dir"]))


def with_own_configs(arguments: list[str]) -> list[str]:
    """``--config-dir FOLDER`` and ``GROUP=FILE.yaml`` as overrides that Hydra understands.

    Raises:
        ValueError: for a folder or a file that is not there, and for a group without a choice.
    """
    rest, folders = own_folders(arguments)
    groups = group_choices(folders)
    for place, argument in enumerate(rest):
        group, equals, value = argument.partition("=")
        if group not in groups:
            continue
        if not equals:
            raise ValueError(f"{group} is a group of configs; {choose(group, groups[group])}")
        choices = value.split(",")  # of a sweep
        for i, choice in enumerate(choices):
            check_choice(group, choice, groups[group])
            if choice.endswith(YAML):
                if not Path(choice).is_file():
                    raise ValueError(f"{argument}: no such file; give a choice by name, or a file")
                folder = _copied(Path(choice), group)
                choices[i] = f"own_{Path(choice).stem}"
                name = f"{group}/{choices[i]}.yaml"
                if any((f / name).exists() for f in folders if f != folder):
                    raise ValueError(f"{argument}: two files of one name; rename one of them")
                folders.append(folder)
        rest[place] = f"{group}={','.join(choices)}"
    if not folders:
        return rest
    places = [f"'file://{folder.resolve()}'" for folder in folders]
    for argument in [a for a in rest if a.startswith(_SEARCHED)]:
        rest.remove(argument)
        places.insert(0, argument.removeprefix(_SEARCHED).strip("[]"))
    return [*rest, f"{_SEARCHED}[{','.join(places)}]"]


def _copied(source: Path, group: str) -> Path:
    """A folder that Hydra finds a file in, named after its content; jobs of SLURM read it, too."""
    from slue_ner.core.files import write_text

    content = source.read_text(encoding="utf-8")
    folder = _OWN_CONFIGS / hashlib.sha256(content.encode()).hexdigest()[:12]
    write_text(folder / group / f"own_{source.stem}.yaml", content)
    return folder


def own_folders(arguments: list[str]) -> tuple[list[str], list[Path]]:
    """The arguments without ``--config-dir``, and its folders."""
    flag = "--config-dir"
    rest: list[str] = []
    folders: list[Path] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument != flag and not argument.startswith(f"{flag}="):
            rest.append(argument)
            continue
        if "=" in argument:
            named = argument.partition("=")[2]
        else:
            named = waiting.pop(0) if waiting and not waiting[0].startswith("-") else ""
        if not named or not Path(named).is_dir():
            raise ValueError(
                f"{flag} {named or '(nothing)'}: no such folder; it holds GROUP/NAME.yaml"
            )
        folders.append(Path(named))
    return rest, folders


def _rows(told: dict[str, str]) -> str:
    return "\n".join(f"  {name:<14}{what}" for name, what in told.items())
