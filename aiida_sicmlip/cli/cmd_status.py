"""The command `aiida-sicmlip status`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from aiida_sicmlip.cli.interrupts import EXIT_STATUS
from aiida_sicmlip.cli.options import PROFILE, load_profile

if TYPE_CHECKING:
    from aiida_sicmlip.tools.runs import Run


@click.command("status")
@click.argument("identifier", metavar="PK")
@click.option("--once", is_flag=True, help="Print the status once and exit; default if the output is not a terminal.")
@click.option(
    "--interval", type=click.FloatRange(min=0.2), default=2.0, show_default=True, help="Interval between updates, in s."
)
@click.option("--json", "as_json", is_flag=True, help="Print all values as JSON once and exit.")
@PROFILE
def status(*, identifier: str, once: bool, interval: float, as_json: bool, profile_name: str | None) -> None:
    """Show the progress of run PK until it terminates: steps, criteria, labels, costs and picks by start structure.

    If the terminal is too small, only the first part is shown. Ctrl-C closes the display; the run continues.
    """
    import json

    from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
    from aiida_sicmlip.reports.run.tables import detail_lines, status_lines
    from aiida_sicmlip.tools.continuation import continued_run
    from aiida_sicmlip.tools.nodes import load
    from aiida_sicmlip.tools.runs import read_run
    from aiida_sicmlip.tools.selections import add_shares

    load_profile(profile_name)
    node = load(identifier, [ACTIVE_LEARNING], "PK")
    if as_json:
        from aiida_sicmlip.reports.run.material import RunMaterial
        from aiida_sicmlip.reports.run.values import status_report

        click.echo(json.dumps(status_report(RunMaterial(node)), indent=1, allow_nan=False))
        return
    parent, shares = continued_run(node), add_shares(node, {})
    if once or not click.get_text_stream("stdout").isatty():
        run = read_run(node, with_costs=True)
        click.echo("\n".join([*status_lines(run), *detail_lines(run, shares, parent)]))
        return
    shown = 0

    def redraw(run: Run) -> None:
        nonlocal shown
        width, height = _terminal_size()
        lines = status_lines(run)
        details = detail_lines(run, add_shares(node, shares), parent)
        if _rows([*lines, *details], width) < height:
            lines += details
        # Go back to the first line of the last display and clear from there, so that the terminal's history is kept.
        click.echo(f"\x1b[{shown}F\x1b[J" if shown else "", nl=False)
        click.echo("\n".join(lines))
        shown = _rows(lines, width)

    if not follow(node.pk, redraw, interval, with_costs=True):
        click.echo("Display closed; the run continues.")
        raise SystemExit(EXIT_STATUS)


def _rows(lines: Sequence[str], width: int) -> int:
    """Return how many rows of a terminal lines take."""
    return sum(max(1, -(-len(line) // width)) for line in lines)


def _terminal_size() -> tuple[int, int]:
    """Return columns and rows of the terminal."""
    import shutil

    size = shutil.get_terminal_size()
    return click.get_current_context().terminal_width or size.columns, size.lines


def follow(pk: int, show: Callable[[Run], None], interval: float, *, with_costs: bool = False) -> bool:
    """Call ``show`` with the run every ``interval`` s until it ends; return ``False`` if Ctrl-C came first.

    :param with_costs: whether its costs are looked up where it has no budget, too.
    """
    from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
    from aiida_sicmlip.tools.nodes import load
    from aiida_sicmlip.tools.runs import read_run

    try:
        while True:
            run = read_run(load(pk, [ACTIVE_LEARNING], "PK"), with_costs)
            show(run)
            if run.terminated:
                return True
            time.sleep(interval)
    except KeyboardInterrupt:
        click.echo()
        return False
