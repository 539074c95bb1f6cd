"""The commands `aiida-sicmlip dataset export` and `import`."""

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
    help="Extended XYZ or ASE database (SQLite); told by the file's ending if not given.",
)
@PROFILE
def export(identifier: str, file: Path, kind: str | None, profile_name: str | None) -> None:
    """Write data set PK into FILE with energies (eV), forces (eV/A), charges, spins and UUIDs of sources.

    Extended XYZ (.xyz, .extxyz) and ASE database (.db) both keep every digit. The levels of theory are written beside
    it, as FILE without its ending and with `.levels.json`.
    """
    import json

    from aiida_sicmlip.data.dataset import LabelledDataSetData
    from aiida_sicmlip.science.labels.exchange_formats import format_of_file, write_exchanged_frames
    from aiida_sicmlip.science.labels.level_file import EXPORTED
    from aiida_sicmlip.tools.datasets import source_columns
    from aiida_sicmlip.tools.nodes import load

    if kind is None:
        if file.suffix.lower() == ".json":
            raise InputError(f"the file `{file}` would be JSON, which is read only; write .xyz, .extxyz or .db.")
        kind = format_of_file(file.name)
    load_profile(profile_name)
    node = load(identifier, [LabelledDataSetData], "PK")
    levels = file.with_suffix(".levels.json")
    if levels.exists():
        raise InputError(f"`{levels}`, for the levels of theory, exists already; give another name for `{file}`.")
    write_exchanged_frames(file, node.frames(), source_columns(node), kind)
    levels.write_text(json.dumps({EXPORTED: node.levels_of_theory}, indent=2) + "\n", encoding="utf-8")
    click.echo(
        f"Wrote {node.n_frames} configurations of data set <{node.pk}> into {file}, and their "
        f"{'level' if len(node.levels_of_theory) == 1 else 'levels'} of theory into {levels}."
    )


@click.command("import")
@click.argument("file", type=_FILE)
@click.option(
    "--level",
    type=_FILE,
    required=True,
    help="YAML file that states the level of theory; its keys are in the documentation, under `how-to/datasets`.",
)
@click.option("--energy", metavar="NAME", help="What FILE calls the energy (eV); `energy` if not given.")
@click.option("--forces", metavar="NAME", help="What FILE calls the forces (eV/A); `forces` if not given.")
@click.option("--charge", metavar="N", help="Total charge (e) of all configurations, or `none`; if FILE has none.")
@click.option("--spin", metavar="N", help="Number of unpaired electrons of all, or `none`; if FILE has none.")
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
    """Make a data set of FILE, extended XYZ or an ASE database, whose labels were computed elsewhere.

    Charge and spin are those that FILE has for each configuration under `charge` or `total_charge`, and under `spin`
    (number of unpaired electrons) or `multiplicity`. All of it is checked before anything is stored.
    """
    from aiida import orm

    from aiida_sicmlip.calculations.functions.import_dataset import import_dataset, imported_frames
    from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData

    named = (("energy", energy), ("forces", forces), ("charge", _number(charge)), ("spin", _number(spin)))
    settings = {name: value for name, value in named if value is not None}
    stated, state = _checked_level(level)
    for name, value in state.items():
        if settings.setdefault(name, value) != value:
            raise InputError(f"`--{name}` is {settings[name]}, but `{level}` states {value}; keep what is right.")
    sources = imported_frames(file, stated, settings).sources
    load_profile(profile_name)
    given = {"parameters": orm.Dict(settings)} if settings else {}
    node = import_dataset(orm.SinglefileData(file.absolute()), LevelOfTheoryData(stated), **given)
    node.label = label
    click.echo(
        f"Made data set <{node.pk}> of {node.n_frames} configurations; charge from {sources['charge']}, spin from "
        f"{sources['spin']}. See it with `aiida-sicmlip dataset stats "
        f"{node.pk}`; `aiida-sicmlip dataset merge PK {node.pk}` joins it to another."
    )


def _number(text: str | None) -> int | str | None:
    """Return what an option gives for a charge or spin; what is no whole number is refused with the rest."""
    try:
        return None if text is None else int(text)
    except ValueError:
        return text


def _checked_level(path: Path) -> tuple[dict, dict]:
    """Return the level of theory that a file states, normalised, and charge and spin where it states them.

    Misspelt settings of pw.x are refused.
    """
    from aiida_sicmlip.science.labels.level_file import level_of_statement, read_statement, state_of_statement
    from aiida_sicmlip.workflows.labelling.pw_namelists import mistake_in_namelists

    statement = read_statement(path)
    level = level_of_statement(statement, path.parent)
    mistake = mistake_in_namelists(statement.get("parameters") or {})
    if mistake is not None:
        raise InputError(f"`parameters` of `{path}`: {mistake}")
    return level, state_of_statement(statement)
