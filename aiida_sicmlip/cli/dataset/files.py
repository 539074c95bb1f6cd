"""Commands `aiida-sicmlip dataset export` and `import`."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_sicmlip.cli.options import PROFILE, load_profile
from aiida_sicmlip.common.exceptions import InputError

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("export")
@click.argument("identifier", metavar="PK")
@click.argument("file", type=_FILE)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["extxyz", "db"]),
    help="Extended XYZ or ASE database (SQLite); by default given by the suffix of the file.",
)
@PROFILE
def export(identifier: str, file: Path, kind: str | None, profile_name: str | None) -> None:
    """Write data set PK to FILE with energies (eV), forces (eV/A), charges, spins and UUIDs of sources.

    Extended XYZ (.xyz, .extxyz) and ASE database (.db) contain all digits. The levels of theory are written to another
    file, FILE with the suffix `.levels.json`.
    """
    import json

    from aiida_sicmlip.common.new_files import write_new
    from aiida_sicmlip.data.dataset import LabelledDataSetData
    from aiida_sicmlip.science.labels.exchange_formats import format_of_file, write_exchanged_frames
    from aiida_sicmlip.science.labels.level_file import EXPORTED
    from aiida_sicmlip.tools.datasets import source_columns
    from aiida_sicmlip.tools.nodes import load

    if kind is None:
        if file.suffix.lower() == ".json":
            raise InputError(f"the file `{file}` is JSON, which can only be read; give .xyz, .extxyz or .db.")
        kind = format_of_file(file.name)
    load_profile(profile_name)
    node = load(identifier, [LabelledDataSetData], "PK")
    levels = file.with_suffix(".levels.json")
    if levels.exists():
        raise InputError(
            f"`{levels}`, the file of the levels of theory, already exists; give another name for `{file}`."
        )
    write_exchanged_frames(file, node.frames(), source_columns(node), kind)
    try:
        write_new(levels, json.dumps({EXPORTED: node.levels_of_theory}, indent=2) + "\n")
    except BaseException:
        # Both or none, so that the command can be given again.
        file.unlink()
        raise
    click.echo(
        f"Wrote {node.n_frames} configurations of data set <{node.pk}> to {file}, and their "
        f"{'level' if len(node.levels_of_theory) == 1 else 'levels'} of theory to {levels}."
    )


@click.command("import")
@click.argument("file", type=_FILE)
@click.option(
    "--level",
    type=_FILE,
    required=True,
    help="YAML file that states the level of theory; its keys are in the documentation, under `how-to/datasets`.",
)
@click.option("--energy", metavar="NAME", help="Name of the energy (eV) in FILE; `energy` by default.")
@click.option("--forces", metavar="NAME", help="Name of the forces (eV/A) in FILE; `forces` by default.")
@click.option("--charge", metavar="N", help="Total charge (e) of all configurations, or `none`, if not in FILE.")
@click.option(
    "--spin", metavar="N", help="Number of unpaired electrons of all configurations, or `none`, if not in FILE."
)
@click.option("--label", default="", help="Label of the new node.")
@PROFILE
def import_(
    *,
    file: Path,
    level: Path,
    energy: str | None,
    forces: str | None,
    charge: str | None,
    spin: str | None,
    label: str,
    profile_name: str | None,
) -> None:
    """Create a data set from FILE, extended XYZ or an ASE database, with labels that were computed elsewhere.

    Charge and spin of each configuration are read from `charge` or `total_charge`, and `spin` (number of unpaired
    electrons) or `multiplicity`, in FILE. Everything is checked before it is stored.
    """
    from aiida import orm

    from aiida_sicmlip.calculations.functions.import_dataset import import_dataset, imported_frames
    from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData
    from aiida_sicmlip.science.labels.statistics import contents_in_words

    options = (("energy", energy), ("forces", forces), ("charge", _number(charge)), ("spin", _number(spin)))
    settings = {name: value for name, value in options if value is not None}
    level_of_theory, state = _checked_level(level)
    for name, value in state.items():
        if settings.setdefault(name, value) != value:
            raise InputError(f"`--{name}` is {settings[name]}, but `{level}` states {value}; remove the wrong one.")
    read = imported_frames(file, level_of_theory, settings)
    sources = read.sources
    load_profile(profile_name)
    parameters = {"parameters": orm.Dict(settings)} if settings else {}
    node = import_dataset(orm.SinglefileData(file.absolute()), LevelOfTheoryData(level_of_theory), **parameters)
    node.label = label
    click.echo(
        f"Made data set <{node.pk}> of {contents_in_words(read.frames)}; charge from {sources['charge']}, spin from "
        f"{sources['spin']}. See it with `aiida-sicmlip dataset stats "
        f"{node.pk}`; `aiida-sicmlip dataset merge PK {node.pk}` joins it to another."
    )


def _number(text: str | None) -> int | str | None:
    """Return the number of an option; other text is returned as it is, and rejected with the other settings."""
    try:
        return None if text is None else int(text)
    except ValueError:
        return text


def _checked_level(path: Path) -> tuple[dict, dict]:
    """Return the normalised level of theory of a file, and its charge and spin, if given.

    :raises InputError: also for misspelt settings of pw.x.
    """
    from aiida_sicmlip.science.labels.level_file import level_of_statement, read_statement, state_of_statement
    from aiida_sicmlip.workflows.labelling.pw_namelists import mistake_in_namelists

    statement = read_statement(path)
    level = level_of_statement(statement, path.parent)
    mistake = mistake_in_namelists(statement.get("parameters") or {})
    if mistake is not None:
        raise InputError(f"`parameters` of `{path}`: {mistake}")
    return level, state_of_statement(statement)
