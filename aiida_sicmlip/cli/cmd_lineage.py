"""The command `aiida-sicmlip lineage`."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import click

from aiida_sicmlip.cli.options import PROFILE, load_profile
from aiida_sicmlip.cli.progress import working


@click.command("lineage")
@click.argument("identifier", metavar="MODEL")
@click.option(
    "--set",
    "name",
    metavar="NAME",
    default="training",
    show_default=True,
    help="Data set for --frame, --table and --csv.",
)
@click.option("--frame", type=int, metavar="N", help="All that led to the configuration at place N of the set.")
@click.option("--table", "as_table", is_flag=True, help="Print a table with a row for each configuration of the set.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the table as comma-separated values, with UUIDs.")
@click.option("--json", "as_json", is_flag=True, help="Print all sets, configurations and models as JSON, with UUIDs.")
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a plot of the rounds to this file (.svg, .png or .pdf).",
)
@PROFILE
def lineage(
    *,
    identifier: str,
    name: str,
    frame: int | None,
    as_table: bool,
    as_csv: bool,
    as_json: bool,
    picture: Path | None,
    profile_name: str | None,
) -> None:
    """Print the configurations that MODEL was trained on, and the provenance of each of them.

    Without options: a tree with the rounds of each data set. For example, the provenance of configuration 9:

        aiida-sicmlip lineage 462 --frame 9
    """
    from aiida_sicmlip.reports import lineage as report
    from aiida_sicmlip.tools.lineage import lineage_of_model
    from aiida_sicmlip.tools.nodes import load
    from aiida_sicmlip.tools.potentials import MODELS, model_of

    load_profile(profile_name)
    with working("Reading the lineage"):
        ancestry = lineage_of_model(model_of(load(identifier, MODELS, "MODEL")))
    chosen = report.configurations_of_set(ancestry, name)
    if frame is not None:
        lines = report.configuration_lines(ancestry, name, frame)
        chosen = chosen[frame : frame + 1]
    if as_json:
        values = report.lineage_values(ancestry) if frame is None else report.configuration_values(chosen)[0]
        click.echo(json.dumps(values, indent=1))
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, report.CONFIGURATION_COLUMNS)
        writer.writeheader()
        writer.writerows(report.configuration_values(chosen))
    elif as_table:
        click.echo(report.configurations_table(chosen))
    else:
        click.echo("\n".join(lines if frame is not None else report.lineage_tree(ancestry)))
    if picture is not None:
        from aiida_sicmlip.reports.lineage_picture import draw_lineage

        draw_lineage(ancestry, picture)
        click.echo(f"\nThe rounds are drawn in {picture}.", err=as_json or as_csv)
