"""The command `aiida-sicmlip affected-by`."""

from __future__ import annotations

import json

import click

from aiida_sicmlip.cli.options import PROFILE, load_profile
from aiida_sicmlip.cli.progress import working


@click.command("affected-by")
@click.argument("identifier", metavar="NODE")
@click.option("--json", "as_json", is_flag=True, help="Print all as JSON, with UUIDs and places in the data sets.")
@PROFILE
def affected_by(identifier: str, as_json: bool, profile_name: str | None) -> None:
    """Print every data set and model that depends on NODE, with the share of their configurations.

    NODE is the PK or UUID of a label, a frame (structure), a trajectory, collective variables, a data set, a model, a
    prior, a pseudopotential, a potential, a code, an imported file, or of a calculation that created one of them. For
    example, what depends on a wrong label:

        aiida-sicmlip affected-by 139
    """
    from aiida_sicmlip.reports.affected import affected_lines, affected_values
    from aiida_sicmlip.tools.lineage import affected_by as find
    from aiida_sicmlip.tools.nodes import load

    load_profile(profile_name)
    with working("Following the graph"):
        dependents = find(load(identifier, [], "NODE"))
    click.echo(json.dumps(affected_values(dependents), indent=1) if as_json else "\n".join(affected_lines(dependents)))
