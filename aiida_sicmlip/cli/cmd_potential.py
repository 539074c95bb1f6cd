"""The command `aiida-sicmlip potential`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aiida_sicmlip.cli.options import ENDING, PICTURES, PROFILE, echo_pictures, load_profile


@click.command("potential")
@click.argument("identifier", metavar="PK")
@PICTURES
@ENDING
@click.option("--json", "as_json", is_flag=True, help="Print all values as JSON, including the training curve.")
@PROFILE
def potential(identifier: str, pictures: Path | None, ending: str, as_json: bool, profile_name: str | None) -> None:
    """Print the training of a potential, its errors on each data set, and its compilations.

    PK is a potential, its training, a compiled model of it, or a run, of which the last potential is used.
    """
    from aiida_sicmlip.reports.potential import potential_lines, potential_report
    from aiida_sicmlip.tools.nodes import load
    from aiida_sicmlip.tools.potentials import MODELS, model_of, read_potential

    load_profile(profile_name)
    node = load(identifier, MODELS, "PK")
    history = read_potential(model_of(node))
    report = potential_report(history)
    click.echo(json.dumps(report) if as_json else "\n".join(potential_lines(report)))
    if pictures is not None:
        from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
        from aiida_sicmlip.reports.potential_pictures import draw_potential

        run = node if getattr(node, "process_type", None) == ACTIVE_LEARNING else None
        echo_pictures(*draw_potential(history, pictures, ending=ending, run=run), err=as_json)
