"""The command `aiida-sicmlip status`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from aiida_sicmlip.cli.interrupts import EXIT_STATUS
from aiida_sicmlip.cli.options import PROFILE, load_profile

if TYPE_CHECKING:
    from aiida_sicmlip.tools.runs import Run


@click.command("status")
@click.argument("identifier", metavar="PK")
@click.option("--once", is_flag=True, help="Print it once and end; this is also done where the output is no terminal.")
@click.option(
    "--interval", type=click.FloatRange(min=0.2), default=2.0, show_default=True, help="Seconds between looks."
)
@PROFILE
def status(identifier: str, once: bool, interval: float, profile_name: str | None) -> None:
    """Show how far run PK has come, until it ends.

    Ctrl-C leaves the display; the run goes on.
    """
    from aiida_sicmlip.reports.tables import status_lines
    from aiida_sicmlip.tools.runs import load_run, read_run

    load_profile(profile_name)
    node = load_run(identifier)
    if once or not click.get_text_stream("stdout").isatty():
        click.echo("\n".join(status_lines(read_run(node))))
        return
    shown = 0

    def redraw(run: Run) -> None:
        nonlocal shown
        lines = status_lines(run)
        # Go back to the first line of the last display and clear from there, so that the terminal's history is kept.
        click.echo(f"\x1b[{shown}F\x1b[J" if shown else "", nl=False)
        click.echo("\n".join(lines))
        width = click.get_current_context().terminal_width or _terminal_width()
        shown = sum(max(1, -(-len(line) // width)) for line in lines)

    if not follow(node.pk, redraw, interval):
        click.echo("Left the display; the run goes on.")
        raise SystemExit(EXIT_STATUS)


def _terminal_width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def follow(pk: int, show: Callable[[Run], None], interval: float) -> bool:
    """Call ``show`` with the run every ``interval`` s until it ends; return ``False`` if Ctrl-C came first."""
    from aiida_sicmlip.tools.runs import load_run, read_run

    try:
        while True:
            run = read_run(load_run(pk))
            show(run)
            if run.terminated:
                return True
            time.sleep(interval)
    except KeyboardInterrupt:
        click.echo()
        return False
