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
    help="Show only this round; a plot still has the curves of all rounds.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a plot of distances when picked, errors over distances, and maps of the frames to this file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all values as JSON, including those of each picked frame.")
@PROFILE
def selection(identifier: str, index: int | None, plot: Path | None, as_json: bool, profile_name: str | None) -> None:
    """Print the selections of run PK and the novelty of the picked frames, by round."""
    from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
    from aiida_sicmlip.reports.composition import composition_cells
    from aiida_sicmlip.reports.selection import draw_selections, selection_report, selection_tables
    from aiida_sicmlip.tools.nodes import load
    from aiida_sicmlip.tools.selections import choose_rounds, read_selections

    load_profile(profile_name)
    node = load(identifier, [ACTIVE_LEARNING], "PK")
    selections = read_selections(node)
    chosen = choose_rounds(selections, index)
    if as_json:
        click.echo(json.dumps(selection_report(node, chosen)))
    else:
        composition = composition_cells({of_round.steps.index: of_round.shares for of_round in chosen}).text
        click.echo(f"{selection_tables(chosen)}\n\n{composition}")
    if plot is not None:
        draw_selections(selections, plot, index)
        click.echo(f"\nWrote a plot of the selections to {plot}.", err=as_json)
