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
@click.option("-n", "--dry-run", is_flag=True, help="Check everything, say what would run, and submit nothing.")
@click.option(
    "--continue",
    "parent",
    metavar="PK",
    help="Go on from the run PK, which has ended: with its labels, its last potential and all that it has learned.",
)
@click.option("--show", is_flag=True, help="Print the complete settings as YAML and end.")
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

    A file holds what differs from a protocol, which it names under `protocol`. All of it is checked before anything is
    submitted, and what the run would do and cost is said. Without PROTOCOL or FILE, the protocols are listed.
    """
    submitted: list[int] = []
    try:
        _run(what, assignments, submitted, dry_run=dry_run, parent=parent, show=show, profile_name=profile_name)
    except KeyboardInterrupt:
        said = f"the run <{submitted[0]}> goes on" if submitted else "nothing was submitted"
        click.echo(f"\nInterrupted: {said}.", err=True)
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
    """Do what the command is for; the PK of the run is put into ``submitted``."""
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
        click.echo("Everything is in order; nothing was submitted.")
        return
    # Between the storing of the run and its task in the daemon's queue lies a run that never initial.
    with uninterrupted():
        pk = submit(builder)
        submitted.append(pk)
        click.echo(f"Submitted ActiveLearningWorkChain <{pk}>. Follow it with `aiida-sicmlip status {pk}`.")


def list_protocols() -> None:
    """Print the protocols, what each is for, and what it costs."""
    from aiida_sicmlip.workflows.active_learning.plan import short_cost
    from aiida_sicmlip.workflows.protocols.loop import load_protocol, protocol_descriptions

    for name, description in protocol_descriptions().items():
        click.echo(f"{name}: {description}\n  {short_cost(load_protocol(name))}\n")
