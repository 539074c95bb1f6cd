"""The command `aiida-sicmlip evaluation`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aiida_sicmlip.cli.options import PROFILE, load_profile


@click.command("evaluation")
@click.argument("identifier", metavar="PK")
@click.option(
    "--by",
    type=click.Choice(["round", "defect", "species", "region"]),
    multiple=True,
    help="Errors by this alone; may be given more than once. All of them if not given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all numbers as JSON.")
@click.option(
    "--csv",
    "csv_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the errors of all groups into this file as well.",
)
@PROFILE
def evaluation(
    identifier: str, by: tuple[str, ...], as_json: bool, csv_file: Path | None, profile_name: str | None
) -> None:
    """Print the errors of evaluation PK by round, defect, element and region, and its worst configurations."""
    from aiida_sicmlip.reports.evaluation import GROUPINGS, evaluation_report, evaluation_text, write_groups
    from aiida_sicmlip.tools.evaluations import load_evaluation, read_evaluation

    load_profile(profile_name)
    found = read_evaluation(load_evaluation(identifier))
    groupings = by or GROUPINGS
    click.echo(json.dumps(evaluation_report(found, groupings)) if as_json else evaluation_text(found, groupings))
    if csv_file is not None:
        write_groups(csv_file, found, groupings)
        click.echo(f"\nThe errors of all groups are in {csv_file}.", err=as_json)
