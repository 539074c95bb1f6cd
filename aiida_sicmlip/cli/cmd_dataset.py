"""Command group `aiida-sicmlip dataset`."""

from __future__ import annotations

import click

from aiida_sicmlip.cli import LazyCommand, LazyGroup

_FOLDER = "aiida_sicmlip.cli.dataset"
COMMANDS = {
    "show": LazyCommand(f"{_FOLDER}.look", "show", "Show a data set and the origin of its configurations."),
    "stats": LazyCommand(f"{_FOLDER}.look", "stats", "Show energies, forces, distances and composition by round."),
    "diff": LazyCommand(f"{_FOLDER}.look", "diff", "Show how two data sets differ."),
    "export": LazyCommand(f"{_FOLDER}.files", "export", "Write a data set as extended XYZ or an ASE database."),
    "import": LazyCommand(f"{_FOLDER}.files", "import_", "Create a data set from labels that were computed elsewhere."),
    "subset": LazyCommand(f"{_FOLDER}.change", "subset", "Create a data set of some of the configurations of another."),
    "merge": LazyCommand(f"{_FOLDER}.change", "merge", "Merge several data sets into a new one."),
}


@click.group("dataset", cls=LazyGroup, lazy_commands=COMMANDS)
def dataset() -> None:
    """Inspect, export, import, split and merge labelled data sets.

    Data sets are never changed; these commands create new ones.
    """
