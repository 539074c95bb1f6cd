"""The command `aiida-sicmlip results`."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_sicmlip.cli.options import PROFILE, load_profile


@click.command("results")
@click.argument("identifier", metavar="PK")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write a plot of the errors by round to this file."
)
@click.option(
    "--plot-space",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a plot of the biased walkers of each round in the space of collective variables to this file.",
)
@PROFILE
def results(identifier: str, plot: Path | None, plot_space: Path | None, profile_name: str | None) -> None:
    """Print the results of run PK: a table by round, and the provenance of its last potential."""
    from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
    from aiida_sicmlip.reports.run.tables import lineage_lines, results_table, verdict
    from aiida_sicmlip.tools.lineage import path_to_calculation
    from aiida_sicmlip.tools.nodes import load
    from aiida_sicmlip.tools.runs import last_potential, read_run

    load_profile(profile_name)
    node = load(identifier, [ACTIVE_LEARNING], "PK")
    run = read_run(node, with_costs=True)
    click.echo(f"ActiveLearningWorkChain <{run.pk}>: {verdict(run)}\n")
    if not run.rounds:
        click.echo("No round has started yet.")
        return
    click.echo(results_table(run))
    potential = last_potential(run)
    if potential is not None:
        click.echo("\nWhere the last potential comes from:\n")
        click.echo("\n".join(lineage_lines(path_to_calculation(potential))))
    if plot is not None:
        from aiida_sicmlip.reports.pictures import draw_errors

        draw_errors(run, plot)
        click.echo(f"\nErrors by round are drawn in {plot}.")
    if plot_space is not None:
        from aiida_sicmlip.reports.exploration import draw_rounds

        draw_rounds(node, plot_space)
        click.echo(f"\nThe space of the collective variables by round is drawn in {plot_space}.")
