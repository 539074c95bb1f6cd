"""The command `aiida-sicmlip reproduce`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aiida_sicmlip.cli.options import PROFILE, TRUST, load_profile, say_where_it_runs, status_of_errors

if TYPE_CHECKING:
    from aiida import orm


@click.command("reproduce")
@click.argument("identifier", metavar="NODE")
@click.option("--plan", is_flag=True, help="Show what would run and how long it took, and run nothing.")
@click.option("--code", metavar="LABEL", help="Use this code instead of the original one.")
@TRUST
@PROFILE
def reproduce(*, identifier: str, plan: bool, code: str | None, trust_shell: bool, profile_name: str | None) -> None:
    """Repeat the calculation of NODE with the inputs in the database, without the cache, and compare the results.

    NODE is a model, a label, a trajectory, a selection or another output of a calculation, the calculation itself, or a
    whole run. Differences in versions are printed first. The exit status is 0 if the results are identical to the last
    bit, 1 if not, and 2 if the calculation could not be run.

    For example: `aiida-sicmlip reproduce 462`.
    """
    from aiida_sicmlip.tools.nodes import load

    with status_of_errors(2):
        load_profile(profile_name)
        node = load(identifier, [], "NODE")
        identical = _run(node, plan, trust_shell) if _is_run(node) else _calculation(node, plan, code, trust_shell)
    raise SystemExit(0 if identical else 1)


def _is_run(node: orm.Node) -> bool:
    from aiida import orm

    return isinstance(node, orm.WorkChainNode)


def _calculation(node: orm.Node, plan: bool, wanted: str | None, trusted: bool) -> bool:
    """Run a calculation or a calcfunction again, with the attempts before it; return whether the same came out."""
    from aiida import orm

    from aiida_sicmlip.reports.reproduction import preview_lines, verdict_lines
    from aiida_sicmlip.tools.comparison import reproduction
    from aiida_sicmlip.workflows.rerun.reproduction import attempts_of, complete, process_behind, run_again, usable_code

    attempts = attempts_of(process_behind(node))
    code = usable_code(attempts[0].inputs.code, wanted) if isinstance(attempts[0], orm.CalcJobNode) else None
    for attempt in attempts:
        click.echo("\n".join(preview_lines(attempt, code)))
    if plan:
        click.echo("Nothing was run.")
        return True
    if code is not None:
        say_where_it_runs()
    # A training of several parts is begun again; where its walltimes cut it does not matter for the weights.
    again = complete(run_again(attempts[0], code, trusted=trusted), click.echo)
    result = reproduction(attempts[-1], again)
    click.echo("\n" + "\n".join(verdict_lines(result)))
    return result.identical


def _run(node: orm.Node, plan: bool, trusted: bool) -> bool:
    """Run a whole run again, or say what that would be; return whether every step gave the same."""
    from aiida_sicmlip.reports.reproduction import plan_lines, preview_lines, run_lines
    from aiida_sicmlip.tools.runs import read_run
    from aiida_sicmlip.workflows.rerun.reproduction import process_behind, require_no_cache, run_again, wait

    process = process_behind(node)
    click.echo("\n".join([*preview_lines(process), *plan_lines(read_run(process))]))
    if plan:
        click.echo("Nothing was run.")
        return True
    require_no_cache()
    say_where_it_runs()
    again = wait(run_again(process, trusted=trusted), click.echo)
    lines, identical = run_lines(process, again)
    click.echo("\n" + "\n".join(lines))
    return identical
