"""The group `aiida-sicmlip dataset`."""

from __future__ import annotations

import click

from aiida_sicmlip.cli import LazyCommand, LazyGroup

_FOLDER = "aiida_sicmlip.cli.dataset"
COMMANDS = {
    "show": LazyCommand(f"{_FOLDER}.look", "show", "Say what a data set is, and where its configurations are from."),
    "stats": LazyCommand(f"{_FOLDER}.look", "stats", "Print energies, forces, distances and composition by round."),
    "diff": LazyCommand(f"{_FOLDER}.look", "diff", "Say how two data sets differ."),
    "export": LazyCommand(f"{_FOLDER}.files", "export", "Write a data set as extended XYZ or an ASE database."),
    "import": LazyCommand(f"{_FOLDER}.files", "import_", "Make a data set of labels that were computed elsewhere."),
    "subset": LazyCommand(f"{_FOLDER}.change", "subset", "Make a data set of some of the configurations of another."),
    "merge": LazyCommand(f"{_FOLDER}.change", "merge", "Make one data set of several."),
}


@click.group("dataset", cls=LazyGroup, lazy_commands=COMMANDS)
def dataset() -> None:
    """Look at labelled data sets, exchange them with other programs, take them apart and put them together.

    A data set is never changed: what is made of it is a new one.
    """
