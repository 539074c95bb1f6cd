"""The command `aiida-sicmlip evaluation`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aiida_sicmlip.cli.options import ENDING, PICTURES, PROFILE, echo_pictures, load_profile


@click.command("evaluation")
@click.argument("identifier", metavar="PK")
@click.option(
    "--by",
    type=click.Choice(["round", "defect", "species", "region"]),
    multiple=True,
    help="Group the errors by this only; may be repeated. All groupings by default.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all values as JSON.")
@click.option(
    "--csv",
    "csv_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the errors of all groups to this file.",
)
@PICTURES
@ENDING
@click.option(
    "--compare",
    metavar="PK",
    multiple=True,
    help="Another evaluation, whose errors on rare events are added to the plot; may be repeated.",
)
@PROFILE
def evaluation(
    *,
    identifier: str,
    by: tuple[str, ...],
    as_json: bool,
    csv_file: Path | None,
    pictures: Path | None,
    ending: str,
    compare: tuple[str, ...],
    profile_name: str | None,
) -> None:
    """Print the errors of evaluation PK by round, defect, element and region, and its worst configurations."""
    from aiida_sicmlip.common.exceptions import InputError
    from aiida_sicmlip.common.process_types import EVALUATION
    from aiida_sicmlip.reports.evaluation import GROUPINGS, evaluation_report, evaluation_text, write_groups
    from aiida_sicmlip.tools.evaluations import read_evaluation
    from aiida_sicmlip.tools.nodes import load

    if compare and pictures is None:
        raise InputError("`--compare` adds another evaluation to the plots: give a folder with `--pictures` as well.")
    load_profile(profile_name)
    others = [read_evaluation(load(other, [EVALUATION], "--compare")) for other in compare]
    errors = read_evaluation(load(identifier, [EVALUATION], "PK"))
    groupings = by or GROUPINGS
    click.echo(json.dumps(evaluation_report(errors, groupings)) if as_json else evaluation_text(errors, groupings))
    if csv_file is not None:
        write_groups(csv_file, errors, groupings)
        click.echo(f"\nThe errors of all groups are in {csv_file}.", err=as_json)
    if pictures is not None:
        from aiida_sicmlip.reports.evaluation_pictures import draw_evaluation

        echo_pictures(*draw_evaluation(errors, pictures, ending=ending, others=others), err=as_json)
