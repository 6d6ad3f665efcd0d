"""``slue-ner completion``: the TAB key in bash, zsh and fish.

The scripts know nothing of our commands. They ask ``slue-ner completion --words WORD...`` what the
last word may become, and take file names where the answer is empty. Parsers are walked, not run,
so commands and options are those of the version that is installed, and torch stays out.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from importlib import import_module
from typing import Any

_HELP = """\
Print a script with which the TAB key completes commands, options, choices and overrides of
`slue-ner train`. `source <(slue-ner completion bash)` (or zsh) is for one shell; the examples are
for all that start from then on, where the folders are there. Fish finds its file by itself, and so
does bash with the package bash-completion; without it, `source` the file in ~/.bashrc. zsh needs
    fpath+=~/.zfunc; autoload -Uz compinit; compinit
in ~/.zshrc.
"""

_EXAMPLE = """examples:
  slue-ner completion bash > ~/.local/share/bash-completion/completions/slue-ner
  slue-ner completion zsh > ~/.zfunc/_slue-ner
  slue-ner completion fish > ~/.config/fish/completions/slue-ner.fish
"""

_WORDS = "--words"

_BASH = """\
_slue_ner() {
    local line=${COMP_LINE:0:COMP_POINT} words current found
    read -ra words <<< "$line"  # not COMP_WORDS, which are split at = and :
    if [[ $line == *[[:space:]] ]]; then words+=(""); fi
    current=${words[${#words[@]}-1]}
    local kept=${current%"${current##*[$COMP_WORDBREAKS]}"}  # what bash leaves as it is
    COMPREPLY=()
    while IFS=$'\\t' read -r found _; do
        COMPREPLY+=("${found#"$kept"}")
        if [[ $found == *[=.] ]]; then compopt -o nospace; fi
    done < <("${words[0]/#\\~/$HOME}" completion --words "${words[@]:1}" 2> /dev/null)
}
complete -o bashdefault -o default -F _slue_ner slue-ner
"""

_ZSH = """\
#compdef slue-ner
_slue-ner() {
    local -a ended open
    local found
    for found in "${(@f)$("${(Q)words[1]/#\\~/$HOME}" completion --words \\
            "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2> /dev/null)}"; do
        local word=${found%%$'\\t'*} told=${found#*$'\\t'}
        case $word in
            ("") ;;
            (*[=.]) open+=("${word//:/\\\\:}:$told") ;;
            (*) ended+=("${word//:/\\\\:}:$told") ;;
        esac
    done
    if (( $#ended + $#open )); then
        _describe slue-ner ended -- open -S ''
    else
        compset -P '*='
        _files
    fi
}
if [[ $funcstack[1] == _slue-ner ]]; then _slue-ner "$@"; else compdef _slue-ner slue-ner; fi
"""

_FISH = """\
function __slue_ner
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l found ($words[1] completion --words $words[2..] "$current" 2> /dev/null)
    if set -q found[1]
        printf '%s\\n' $found
    else
        set -l kept (string match -r '^.*=' -- "$current")
        for path in (complete -C "'' "(string replace -- "$kept" '' "$current"))
            printf '%s\\n' "$kept$path"
        end
    end
end
complete -c slue-ner -f -a '(__slue_ner)'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def run(arguments: list[str]) -> int:
    """Print a script, or for a script what a word may become."""
    if arguments[:1] == [_WORDS]:
        for word, told in words(arguments[1:]).items():
            print(word, textwrap.shorten(told, 80, placeholder=" ..."), sep="\t")
        return 0
    print(SCRIPTS[command_parser().parse_args(arguments).shell], end="")
    return 0


def words(line: Sequence[str]) -> dict[str, str]:
    """What the last word of a command line may become, and a line about each.

    Args:
        line: words after ``slue-ner``, the last one as far as it is typed.

    Returns:
        Nothing where a file name belongs, or what only the user knows.
    """
    from slue_ner.cli.main import COMMANDS

    if len(line) < 2:
        return _starting("".join(line), {**COMMANDS, "--help": "", "--version": ""})
    command, *before, current = line
    if command not in COMMANDS:
        return {}
    if command == "train":
        return _words_of_train(before, current)
    parser = import_module(f"slue_ner.cli.{command}").command_parser()
    return _words_of(parser, before, current)


def _starting(current: str, known: dict[str, str]) -> dict[str, str]:
    """Those that go on as typed; options once a dash is there."""
    dashed = current.startswith("-")
    return {
        word: told
        for word, told in known.items()
        if word.startswith(current) and word.startswith("-") == dashed
    }


def _words_of(
    parser: argparse.ArgumentParser, before: Sequence[str], current: str
) -> dict[str, str]:
    """By the actions of a parser, in the order in which argparse would take the words before."""
    flags = parser._option_string_actions
    places = [action for action in parser._actions if not action.option_strings]
    option, room = None, 0  # the option that was named last, and the values that it still takes
    for i, word in enumerate(before):
        name, equals, _ = word.partition("=")
        if name in flags:
            option, room = flags[name], 0 if equals else _room(flags[name])
        elif room:
            room -= 1
        elif places and isinstance(places[0], argparse._SubParsersAction):
            chosen = places[0].choices.get(word)
            return {} if chosen is None else _words_of(chosen, before[i + 1 :], current)
        elif places and _room(places[0]) == 1:
            del places[0]
    name, equals, value = current.partition("=")
    if equals and name in flags:
        choices = _choices(flags[name])
        return {f"{name}={word}": t for word, t in choices.items() if word.startswith(value)}
    if current.startswith("-") or (not room and not places):
        told = {flag: action.help or "" for flag, action in flags.items()}
        return {flag: what for flag, what in told.items() if flag.startswith(current)}
    taking = option if room else places[0]
    assert taking is not None
    return _starting(current, _choices(taking))


_MANY = 1_000


def _room(action: argparse.Action) -> int:
    """Most values that it takes."""
    if isinstance(action.nargs, int):
        return action.nargs
    return 1 if action.nargs in (None, argparse.OPTIONAL) else _MANY


def _choices(action: argparse.Action) -> dict[str, str]:
    if isinstance(action, argparse._SubParsersAction):
        return {choice.dest: choice.help or "" for choice in action._choices_actions}
    return dict.fromkeys(map(str, action.choices or ()), "")


def _words_of_train(before: list[str], current: str) -> dict[str, str]:
    """Groups, their choices, and keys of the config that the overrides before compose."""
    from slue_ner.cli.config_groups import group_choices
    from slue_ner.cli.train import OPTIONS, own_folders

    if current.startswith("-"):
        return _starting(current, OPTIONS)
    if before[-1:] == ["--config-dir"]:
        return {}
    try:
        groups = group_choices(own_folders(before)[1])
    except ValueError:  # a folder that is not there, which train will say
        groups = group_choices()
    override = current.lstrip("+~")
    signs = current.removesuffix(override)
    key, equals, value = override.partition("=")
    if equals:
        done = value[: value.rfind(",") + 1]  # of a sweep
        known = {f"{key}={done}{name}": "" for name in groups.get(key, ())}
    elif "." in key:
        known = _keys(before, key.rpartition(".")[0])
    else:
        known = {f"{group}=": ", ".join(names) for group, names in groups.items()}
        known |= _top_keys(groups)
    return {signs + word: told for word, told in known.items() if word.startswith(override)}


def _top_keys(groups: dict[str, list[str]]) -> dict[str, str]:
    """Keys that are no group, and the sections that groups are of a run's config."""
    import yaml

    from slue_ner.cli.config_groups import OWN_GROUPS, config_folder

    values = yaml.safe_load((config_folder() / "train.yaml").read_text(encoding="utf-8"))
    keys = [key for key in values if key not in ("defaults", *OWN_GROUPS)]
    sections = [group for group in groups if group not in OWN_GROUPS]
    return {
        **{f"{key}=": f"now {values[key]}" for key in keys},
        **{f"{section}.": "set one of its values" for section in sections},
    }


def _keys(before: list[str], section: str) -> dict[str, str]:
    """Keys of a section such as ``optim`` or ``encoder.overrides``, with their values."""
    from omegaconf import OmegaConf

    from slue_ner.cli.compose import compose_tree
    from slue_ner.cli.config_groups import YAML
    from slue_ner.cli.train import OPTIONS, with_own_configs

    try:  # without files of the user's, which would be copied
        named = with_own_configs([word for word in before if not word.endswith(YAML)])
        config = compose_tree([word for word in named if word not in OPTIONS])
    except ValueError:  # a sweep, or an override that train will refuse
        config = compose_tree([])
    values: Any = OmegaConf.to_container(config, resolve=False)
    for part in section.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    if not isinstance(values, dict):
        return {}
    return {
        f"{section}.{key}{'.' if isinstance(value, dict) else '='}": f"now {value}"
        for key, value in values.items()
    }


def command_parser() -> argparse.ArgumentParser:
    """What its arguments are and what its help says."""
    parser = argparse.ArgumentParser(
        prog="slue-ner completion",
        description=_HELP,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=tuple(SCRIPTS))
    return parser
