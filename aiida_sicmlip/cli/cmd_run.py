"""The command `aiida-sicmlip run`."""

from __future__ import annotations

import click

from aiida_sicmlip.cli.interrupts import EXIT_STATUS, uninterrupted
from aiida_sicmlip.cli.options import PROFILE, load_profile


@click.command("run")
@click.argument("what", metavar="[PROTOCOL|FILE]", required=False)
@click.option(
    "-s",
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override one setting, for example `-s exploration.parameters.temperature=1200`. May be repeated.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Validate the inputs, show what would run, and submit nothing.")
@click.option(
    "--continue",
    "parent",
    metavar="PK",
    help="Continue the terminated run PK: with its labels, its last potential, its candidates and its trajectories.",
)
@click.option("--show", is_flag=True, help="Print the complete settings as YAML and exit.")
@PROFILE
def run(
    *,
    what: str | None,
    assignments: tuple[str, ...],
    dry_run: bool,
    parent: str | None,
    show: bool,
    profile_name: str | None,
) -> None:
    """Start a run from a protocol (`demo`, `fast`, `moderate`, `paper`) or from a YAML file.

    A file contains the name of a protocol (`protocol`) and the settings that differ from it. All inputs are validated
    before the submission, and the steps and estimated costs of the run are printed. Without PROTOCOL or FILE, the
    protocols are listed.
    """
    submitted: list[int] = []
    try:
        _run(what, assignments, submitted, dry_run=dry_run, parent=parent, show=show, profile_name=profile_name)
    except KeyboardInterrupt:
        state = f"the run <{submitted[0]}> continues" if submitted else "nothing was submitted"
        click.echo(f"\nInterrupted: {state}.", err=True)
        raise SystemExit(EXIT_STATUS) from None


def _run(
    what: str | None,
    assignments: tuple[str, ...],
    submitted: list[int],
    *,
    dry_run: bool,
    parent: str | None,
    show: bool,
    profile_name: str | None,
) -> None:
    """Run the command; the PK of the run is appended to ``submitted``."""
    if what is None:
        list_protocols()
        return
    from aiida_sicmlip.workflows.active_learning.launch import checked_continuation, read_settings, submit
    from aiida_sicmlip.workflows.active_learning.plan import cost_lines, plan
    from aiida_sicmlip.workflows.active_learning.workload import initial_state

    settings = read_settings(what, assignments)
    if show:
        import yaml

        click.echo(yaml.safe_dump(settings, sort_keys=False), nl=False)
        return
    load_profile(profile_name)
    builder, taken_over = checked_continuation(settings, parent, store=not dry_run)
    initial = initial_state(builder)
    for line in (*taken_over, *plan(settings, initial), *cost_lines(settings, initial)):
        click.echo(line)
    if dry_run:
        click.echo("All inputs are valid; nothing was submitted.")
        return
    # A run that is stored, but whose task has not been sent to the daemon, would never start.
    with uninterrupted():
        pk = submit(builder)
        submitted.append(pk)
        click.echo(f"Submitted ActiveLearningWorkChain <{pk}>. Follow it with `aiida-sicmlip status {pk}`.")


def list_protocols() -> None:
    """Print name, description and cost of each protocol."""
    from aiida_sicmlip.workflows.active_learning.plan import short_cost
    from aiida_sicmlip.workflows.protocols.loop import load_protocol, protocol_descriptions

    for name, description in protocol_descriptions().items():
        click.echo(f"{name}: {description}\n  {short_cost(load_protocol(name))}\n")
