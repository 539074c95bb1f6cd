"""The command `aiida-sicmlip free-energy`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aiida_sicmlip.cli.options import PROFILE, load_profile


@click.command("free-energy")
@click.argument("identifier", metavar="PK")
@click.option(
    "--variables",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1,),
    show_default=True,
    help="Number of a collective variable, from 1; give it twice for a two-dimensional free energy.",
)
@click.option("--round", "index", type=click.IntRange(min=0), help="Round of a run; the last biased one by default.")
@click.option("--structure", help="Name of the start structure, if there are several.")
@click.option("--temperature", type=float, help="Temperature (K) of the walkers, if there are several.")
@click.option(
    "--discard",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    help="Fraction of each walker that is discarded at the start.",
)
@click.option(
    "--bins", type=click.IntRange(min=2), default=50, show_default=True, help="Number of bins along a variable."
)
@click.option(
    "--smoothing",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Width of the smoothing kernels, in bins.",
)
@click.option(
    "--blocks",
    type=click.IntRange(min=2),
    default=10,
    show_default=True,
    help="Number of blocks for the error estimate.",
)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write a plot to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print all numbers as JSON.")
@PROFILE
def free_energy(
    *,
    identifier: str,
    variables: tuple[int, ...],
    index: int | None,
    structure: str | None,
    temperature: float | None,
    discard: float,
    bins: int,
    smoothing: float,
    blocks: int,
    plot: Path | None,
    as_json: bool,
    profile_name: str | None,
) -> None:
    """Estimate the free energy along collective variables from biased walkers.

    PK is a run, an exploration, a walker or one calculation of a walker.
    """
    from aiida_sicmlip.common.exceptions import InputError
    from aiida_sicmlip.reports.exploration import draw_free_energy, free_energy_lines, free_energy_report
    from aiida_sicmlip.science.free_energy.reweighting import FreeEnergySettings
    from aiida_sicmlip.tools.explorations import choose_exploration, read_explorations
    from aiida_sicmlip.tools.nodes import load
    from aiida_sicmlip.tools.walkers import EXPLORING

    if len(variables) > 2:
        raise InputError(f"`--variables` is given {len(variables)} times; give one or two variables.")
    load_profile(profile_name)
    exploration = choose_exploration(read_explorations(load(identifier, EXPLORING, "PK")), index, structure)
    exploration = exploration if temperature is None else exploration.at(temperature)
    settings = FreeEnergySettings(discard=discard, bins=bins, smoothing=smoothing, blocks=blocks)
    columns = [number - 1 for number in variables]
    report = free_energy_report(exploration, columns, settings)
    click.echo(json.dumps(report) if as_json else "\n".join(free_energy_lines(report)))
    if plot is not None:
        draw_free_energy(exploration, columns, settings, plot)
        click.echo(f"The free energy is drawn in {plot}.", err=as_json)
