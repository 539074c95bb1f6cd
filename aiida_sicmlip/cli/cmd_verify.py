"""The command `aiida-sicmlip verify`."""

from __future__ import annotations

import click

from aiida_sicmlip.cli.options import PROFILE, load_profile, status_of_errors


@click.command("verify")
@click.argument("identifier", metavar="NODE")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@PROFILE
def verify(*, identifier: str, as_json: bool, profile_name: str | None) -> None:
    """Verify the provenance of NODE, a run or a model, including all nodes it depends on.

    Every file of these nodes is read. The exit status is 0 if all checks pass, 1 if a check fails, and 2 if NODE cannot
    be verified.

    For example: `aiida-sicmlip verify 41`.
    """
    import json

    from aiida import orm

    from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
    from aiida_sicmlip.data.potential import PotentialData
    from aiida_sicmlip.reports.verification import verification_lines, verification_report
    from aiida_sicmlip.tools.nodes import load
    from aiida_sicmlip.tools.potentials import model_of
    from aiida_sicmlip.tools.verification import verify as checks_of

    with status_of_errors(2):
        load_profile(profile_name)
        node = load(identifier, (orm.WorkChainNode, PotentialData, CompiledPotentialData), "NODE")
        if isinstance(node, CompiledPotentialData):
            node = model_of(node)
        checks = checks_of(node)
    if as_json:
        click.echo(json.dumps(verification_report(node, checks)))
    else:
        click.echo("\n".join(verification_lines(node, checks)))
    raise SystemExit(0 if all(check.passed for check in checks) else 1)
