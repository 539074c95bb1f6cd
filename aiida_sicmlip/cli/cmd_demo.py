"""The command `aiida-sicmlip demo`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_sicmlip.cli.interrupts import EXIT_STATUS
from aiida_sicmlip.common.exceptions import SicmlipError

if TYPE_CHECKING:
    from aiida_sicmlip.tools.runs import Run

PROFILE_NAME = "demo"
WORKERS = 2
STOP_TIMEOUT = 60
"""Timeout (s) for stopping the daemon; a busy machine needs more than the default of AiiDA."""


@click.command("demo")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Folder for all data of the demo; delete it to remove everything.",
)
@click.option("--again", is_flag=True, help="Start a new run even if the folder contains a finished one.")
def demo(folder: Path, again: bool) -> None:
    """Train a potential from scratch in two small rounds: LAMMPS, SOAP, Quantum ESPRESSO and Allegro, in AiiDA.

    Takes ten to fifteen minutes on two cores. The profile, the work folders and the results are stored in one folder;
    other profiles are not changed. If called again, the command continues the run, or shows its results.
    """
    folder = folder.absolute()
    use_folder(folder)
    from aiida_sicmlip.cli.setup.programs import set_up_daemon
    from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
    from aiida_sicmlip.reports.exploration import draw_rounds
    from aiida_sicmlip.reports.pictures import draw_errors
    from aiida_sicmlip.reports.run.tables import lineage_lines, results_table, verdict
    from aiida_sicmlip.tools.lineage import path_to_calculation
    from aiida_sicmlip.tools.nodes import load
    from aiida_sicmlip.tools.runs import last_potential, read_run

    set_up_profile(folder)
    pk = latest_run()
    if pk is None or again or not read_run(load(pk, [ACTIVE_LEARNING], "run")).terminated:
        daemon = set_up_daemon(PROFILE_NAME, WORKERS, check=False)
        if not daemon.state.is_good:
            raise SicmlipError(f"the daemon {daemon.detail}")
        if pk is None or again:
            pk = start_run()
        else:
            click.echo(f"Continuing run <{pk}>.")
        follow_by_lines(pk)
    else:
        click.echo(f"Run <{pk}> has already terminated; `--again` starts a new one.")

    node = load(pk, [ACTIVE_LEARNING], "run")
    run = read_run(node)
    potential = last_potential(run)
    text = f"ActiveLearningWorkChain <{pk}>, {run.seconds / 60:.1f} min: {verdict(run)}\n"
    if run.rounds:
        text += f"\n{results_table(run)}\n"
    if potential is not None:
        path = "\n".join(lineage_lines(path_to_calculation(potential)))
        text += f"\nWhere the last potential comes from:\n\n{path}\n"
    click.echo(f"\n{text}")
    (folder / "results.txt").write_text(text, encoding="utf-8")
    if any(steps.assessment for steps in run.rounds):
        draw_errors(run, folder / "errors.png")
        draw_rounds(node, folder / "space.png")
    stop_daemon()
    click.echo(
        f"Stored in {folder}: results.txt, errors.png, space.png, the profile and the work folders. Inspect it with\n"
        f"  export AIIDA_PATH={folder}\n"
        f"  {Path(sys.prefix) / 'bin' / 'verdi'} process status {pk}"
    )
    if potential is None:
        raise SicmlipError(f"the run terminated without a potential; `verdi process report {pk}` shows the reason.")


def use_folder(folder: Path) -> None:
    """Use ``folder`` for the AiiDA configuration and compiled files, in this process and its child processes."""
    (folder / ".aiida").mkdir(parents=True, exist_ok=True)
    os.environ["AIIDA_PATH"] = str(folder)
    os.environ["SICMLIP_CACHE"] = str(folder / "cache")
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "cache" / "torchinductor")


def set_up_profile(folder: Path) -> None:
    """Create what is missing in ``folder``: profile, computer, codes, pseudopotentials.

    :raises SicmlipError: if the set-up is incomplete.
    """
    from aiida_sicmlip.cli.cmd_setup import table
    from aiida_sicmlip.cli.setup import SetupRequest, set_up

    items = set_up(SetupRequest(profile_name=PROFILE_NAME, work_folder=folder / "work"))
    click.echo("\n".join(table(items)) + "\n")
    lacking = [item.name for item in items if not item.state.is_good]
    if lacking:
        raise SicmlipError(f"not ready: {', '.join(lacking)}; the lines above describe what to do.")


def latest_run() -> int | None:
    """Return the PK of the latest run of the profile, or ``None`` where there is none."""
    from aiida import orm

    from aiida_sicmlip.common.process_types import ACTIVE_LEARNING

    query = orm.QueryBuilder().append(
        orm.WorkChainNode, filters={"process_type": ACTIVE_LEARNING}, project="id", tag="run"
    )
    latest = query.order_by({"run": {"id": "desc"}}).first()
    return latest[0] if latest else None


def start_run() -> int:
    """Submit the protocol `demo` and return the PK of the run."""
    from aiida_sicmlip.workflows.active_learning.launch import checked_builder, read_settings, submit
    from aiida_sicmlip.workflows.active_learning.plan import plan

    settings = read_settings("demo")
    builder = checked_builder(settings)
    for line in plan(settings):
        click.echo(line)
    pk = submit(builder)
    click.echo(f"Submitted ActiveLearningWorkChain <{pk}>.\n")
    return pk


def stop_daemon() -> None:
    """Stop the daemon, as the folder may be deleted."""
    from aiida.engine.daemon.client import DaemonException, get_daemon_client

    client = get_daemon_client()
    try:
        if client.is_daemon_running:
            client.stop_daemon(wait=True, timeout=STOP_TIMEOUT)
    except DaemonException as error:
        click.echo(f"The daemon could not be stopped ({error}); stop it with `verdi -p {PROFILE_NAME} daemon stop`.")


def follow_by_lines(pk: int) -> None:
    """Print a line for each event until the run terminates; Ctrl-C does not stop the run."""
    from aiida_sicmlip.cli.cmd_status import follow

    if not follow(pk, line_printer(), interval=1.0):
        click.echo("The run continues. Call the command again to follow it.")
        raise SystemExit(EXIT_STATUS)


def line_printer() -> Callable[[Run], None]:
    """Return a function that prints the events since its last call."""
    from aiida_sicmlip.reports.run.tables import progress_events
    from aiida_sicmlip.reports.text import duration

    seen: set[Any] = set()

    def show(run: Run) -> None:
        for event in progress_events(run):
            if event not in seen:
                seen.add(event)
                left = run.expected_seconds_left
                expected = f"  (at most {duration(left)} more)" if left else ""
                click.echo(f"{duration(run.seconds):>12}  {event}{expected}")

    return show
