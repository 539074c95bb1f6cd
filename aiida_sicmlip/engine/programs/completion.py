"""Scripts that make a shell complete a program: its subcommands, their options, values of options, and files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

SHELLS = ("bash", "zsh", "fish")

_BASH = """\
_{program}() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{first}"
    else
        case "${{COMP_WORDS[1]}} $previous" in
{values}
        *)
            case "${{COMP_WORDS[1]}} $current" in
{options}
            esac ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
# Where nothing else fits, files are completed.
complete -o default -F _{program} {program}"""


def completion_script(
    shell: str,
    program: str,
    parser: argparse.ArgumentParser,
    helps: Mapping[str, str],
    parsers: Mapping[str, argparse.ArgumentParser],
) -> str:
    """Return the script that a shell reads to complete ``program``.

    :param shell: one of :data:`SHELLS`.
    :param parser: of what stands before a subcommand.
    :param helps: what each subcommand is for.
    :param parsers: of the arguments of each subcommand.
    """
    if shell == "fish":
        return _fish(program, parser, helps, parsers)
    script = _bash(program, parser, parsers)
    # zsh reads completions of bash.
    return f"autoload -U +X bashcompinit && bashcompinit\n{script}" if shell == "zsh" else script


def _bash(program: str, parser: argparse.ArgumentParser, parsers: Mapping[str, argparse.ArgumentParser]) -> str:
    values = [f'        "{flag} {flag}") words="{words}" ;;' for flag, words in _choices(parser)]
    options = []
    for name, part in parsers.items():
        values += [f'        "{name} {flag}") words="{words}" ;;' for flag, words in _choices(part)]
        options.append(f'            "{name} -"*) words="{" ".join(_flags(part))}" ;;')
    first = " ".join([*parsers, *_flags(parser)])
    return _BASH.format(program=program, first=first, values="\n".join(values), options="\n".join(options))


def _fish(
    program: str,
    parser: argparse.ArgumentParser,
    helps: Mapping[str, str],
    parsers: Mapping[str, argparse.ArgumentParser],
) -> str:
    lines = [
        f"complete -c {program} -n __fish_use_subcommand -f -a {name} -d {_quoted(text)}"
        for name, text in helps.items()
    ]
    conditions = {f"__fish_seen_subcommand_from {name}": part for name, part in parsers.items()}
    for condition, part in ({"__fish_use_subcommand": parser} | conditions).items():
        for action in part._actions:
            if not action.option_strings:
                continue
            line = f"complete -c {program} -n {_quoted(condition)}"
            for flag in action.option_strings:
                line += f" -l {flag[2:]}" if flag.startswith("--") else f" -s {flag[1:]}"
            if action.choices:
                line += f" -x -a {_quoted(' '.join(map(str, action.choices)))}"
            elif action.nargs != 0:
                line += " -r"
            lines.append(f"{line} -d {_quoted(action.help or '')}")
    return "\n".join(lines)


def _flags(parser: argparse.ArgumentParser) -> list[str]:
    """Return all options of a parser, as they are written."""
    return [flag for action in parser._actions for flag in action.option_strings]


def _choices(parser: argparse.ArgumentParser) -> list[tuple[str, str]]:
    """Return the options of a parser that take one of a few words, each with these."""
    return [
        (flag, " ".join(map(str, action.choices)))
        for action in parser._actions
        if action.choices
        for flag in action.option_strings
    ]


def _quoted(text: str) -> str:
    """Return ``text`` as one word of fish."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
