"""The command `aiida-sicmlip selection`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aiida_sicmlip.cli.options import PROFILE, load_profile


@click.command("selection")
@click.argument("identifier", metavar="PK")
@click.option(
    "--round",
    "index",
    type=click.IntRange(min=0),
    help="This round alone; a picture still has the curves of all rounds, to compare with.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw distances when picked, errors against distances, and maps of the frames into this file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all numbers as JSON, those of each picked frame included.")
@PROFILE
def selection(identifier: str, index: int | None, plot: Path | None, as_json: bool, profile_name: str | None) -> None:
    """Print what the selections of run PK picked, and how novel it was, by round."""
    from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
    from aiida_sicmlip.reports.composition import composition_cells
    from aiida_sicmlip.reports.selection import (
        choose_rounds,
        draw_selections,
        read_selections,
        selection_report,
        selection_tables,
    )
    from aiida_sicmlip.tools.nodes import load

    load_profile(profile_name)
    node = load(identifier, [ACTIVE_LEARNING], "PK")
    found = read_selections(node)
    chosen = choose_rounds(found, index)
    if as_json:
        click.echo(json.dumps(selection_report(node, chosen)))
    else:
        composition = composition_cells({entry.steps.index: entry.shares for entry in chosen}).text
        click.echo(f"{selection_tables(chosen)}\n\n{composition}")
    if plot is not None:
        draw_selections(found, plot, index)
        click.echo(f"\nThe selections are drawn in {plot}.", err=as_json)
