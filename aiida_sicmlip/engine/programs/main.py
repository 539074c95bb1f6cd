"""`sicmlip`: the programs of a compute machine, one subcommand for each task. They work on files, without AiiDA."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from aiida_sicmlip import __version__
from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.engine.programs.completion import SHELLS, completion_script
from aiida_sicmlip.engine.reports import run_command

SUBCOMMANDS = {
    "train": "train a potential on labelled frames",
    "compile": "compile a packaged potential for this machine",
    "evaluate": "compare a potential with labelled frames",
    "label": "compute energy and forces of one configuration with a classical potential",
    "cv": "learn collective variables from trajectories",
    "driver": "evaluate a plumed.dat over a trajectory",
    "describe": "describe the frames of a round, and keep candidates for labels",
    "select": "pick the most novel configurations of a pool",
    "score": "compare predicted forces on migrating atoms, their surroundings and elsewhere",
    "versions": "print the versions that affect results, as JSON",
}
"""The subcommands and what each is for. The module of the same name holds its `DESCRIPTION`, `add_arguments` and `run`;
none of them imports a library that computes before `run` is called, so that help and completion answer at once."""
OUTPUTS = {"output", "report", "dump_forces"}
"""Options that name what is written; all other paths are read."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status; a known failure is one message on standard error."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    name = arguments[0] if arguments else ""
    if name not in SUBCOMMANDS:
        parser = main_parser()
        if name and not name.startswith("-"):
            parser.error(f"`{name}` is no subcommand. {nearest_name(name, SUBCOMMANDS)}")
        parser.parse_args(arguments)
        parser.error(f"name a subcommand: {', '.join(SUBCOMMANDS)}")
    options = subcommand_parser(name).parse_args(arguments[1:])
    _quieten_libraries()

    def command() -> None:
        _check_files(options, into_folder=name in ("train", "cv"))
        _module(name).run(options)

    return run_command(f"sicmlip {name}", command)


def main_parser() -> argparse.ArgumentParser:
    """Return the parser of the options before a subcommand; its help lists the subcommands."""
    parser = argparse.ArgumentParser(
        prog="sicmlip",
        usage="sicmlip SUBCOMMAND [OPTIONS]",
        description="Train, compile and evaluate interatomic potentials, and work on trajectories and labels: from "
        "files, without AiiDA.",
        epilog="`sicmlip SUBCOMMAND --help` explains a subcommand.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--completion", choices=SHELLS, action=_PrintCompletion, help="print what makes a shell complete `sicmlip`"
    )
    subcommands = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND")
    for name, what in SUBCOMMANDS.items():
        subcommands.add_parser(name, help=what, add_help=False)
    return parser


def subcommand_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of the arguments of one subcommand."""
    module = _module(name)
    parser = argparse.ArgumentParser(
        prog=f"sicmlip {name}",
        description=module.DESCRIPTION,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    module.add_arguments(parser)
    return parser


class _PrintCompletion(argparse.Action):
    """Print the completion script of a shell, and stop."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: Any = None) -> None:
        parsers = {name: subcommand_parser(name) for name in SUBCOMMANDS}
        print(completion_script(values, "sicmlip", parser, SUBCOMMANDS, parsers))
        parser.exit()


def _check_files(options: argparse.Namespace, *, into_folder: bool) -> None:
    """Check that each output can be written, and that no file is both read and written, or written twice.

    :param into_folder: whether `output` is a folder, which is made.
    :raises InputError: if not; devices and folders may have any number of names.
    """
    paths = [
        (name, path)
        for name, value in vars(options).items()
        for path in (value if isinstance(value, list) else [value])
        if isinstance(path, Path)
    ]
    for name, path in paths:
        if name not in OUTPUTS or (into_folder and name == "output"):
            continue
        why = "it is a folder" if path.is_dir() else "its folder does not exist"
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise InputError(f"`--{name.replace('_', '-')}` names `{path}`, which cannot be written: {why}.")
    files = [(name, path) for name, path in paths if path.is_file()]
    for number, (name, path) in enumerate(files):
        for other, known in files[:number]:
            if {name, other} & OUTPUTS and path.samefile(known):
                raise InputError(f"`{path}` is both `{other}` and `{name}`, one of which is written: give two files.")


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"aiida_sicmlip.engine.programs.{name}")


def _quieten_libraries() -> None:
    """Keep the output to this program's own lines; called before the libraries are imported."""
    os.environ.setdefault("_NEQUIP_LOG_LEVEL", "ERROR")
    for message in (
        ".*does not have many workers.*",
        ".*LeafSpec.*",
        ".*TypedStorage.*",
        ".*exists and is not empty.*",
    ):
        warnings.filterwarnings("ignore", message=f".*{message}.*")


if __name__ == "__main__":
    sys.exit(main())
