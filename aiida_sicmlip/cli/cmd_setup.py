"""`aiida-sicmlip setup`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_sicmlip.cli import options
from aiida_sicmlip.common.exceptions import InputError

if TYPE_CHECKING:
    from aiida_sicmlip.cli.setup import SetupItem

FILE = click.Path(path_type=Path)

COLOURS = {"found": "green", "made": "green", "missing": "red", "differs": "red", "warning": "yellow"}


@click.command("setup")
@options.PROFILE
@click.option("--check", is_flag=True, help="Only look: make nothing, and end with status 1 if something is missing.")
@click.option(
    "--replace",
    is_flag=True,
    help="Where a code or the family of pseudopotentials differs from what is asked for, make a new one, and keep the "
    "old one under another label.",
)
@click.option(
    "--database",
    envvar="SICMLIP_DATABASE",
    metavar="ADDRESS",
    help="Let a new profile keep its data in an empty PostgreSQL database, postgresql://USER:PASSWORD@HOST:PORT/NAME; "
    "SQLite if not given. Or in the variable SICMLIP_DATABASE, which keeps the password out of the shell's history.",
)
@click.option(
    "--broker",
    envvar="SICMLIP_BROKER",
    metavar="ADDRESS",
    help="Let the daemon of a new profile use RabbitMQ, amqp://USER:PASSWORD@HOST:PORT/VIRTUAL_HOST; ZeroMQ if not "
    "given. Or in the variable SICMLIP_BROKER.",
)
@click.option("--pw", type=FILE, metavar="FILE", help="pw.x of Quantum ESPRESSO; the one on PATH if not given.")
@click.option("--pw-mpi/--no-pw-mpi", default=None, help="Whether pw.x is started through MPI; a new code is not.")
@click.option("--lmp", type=FILE, metavar="FILE", help="sicmlip-lmp; the one of this environment if not given.")
@click.option("--sicmlip", type=FILE, metavar="FILE", help="sicmlip; the one of this environment if not given.")
@click.option("--work-folder", type=FILE, metavar="FOLDER", help="Where the jobs of this machine run.")
@click.option(
    "--species",
    default="Si C",
    show_default=True,
    metavar="ELEMENTS",
    help="Elements that need a pseudopotential, divided by blanks or commas.",
)
@click.option("--pseudo-label", default="sicmlip", show_default=True, help="Label of the family made from files.")
@click.option(
    "--pseudo-folder", type=FILE, metavar="FOLDER", help="Folder of UPF files; only those for --species are taken."
)
@click.option(
    "--pseudo-file",
    "pseudo_files",
    type=FILE,
    metavar="FILE",
    multiple=True,
    help="UPF file of one element; repeat it.",
)
@click.option("--pseudo-family", metavar="LABEL", help="A family that is there already, only checked.")
@click.option(
    "--pseudo-install", type=click.Choice(["sssp", "pseudo-dojo"]), help="Download a PBE family through aiida-pseudo."
)
@click.option("--start-daemon", is_flag=True, help="Start the daemon too.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Start the daemon, with this many workers.")
@click.pass_context
def setup(ctx: click.Context, species: str, work_folder: Path | None, **settings: Any) -> None:
    """Make what a run needs: an AiiDA profile, this machine as a computer, the codes and the pseudopotentials.

    What is there already is left as it is, so that the command can be repeated. Without further options it works with
    the default profile, or makes one named `sicmlip` that needs no service.
    """
    from aiida_sicmlip.cli.setup import SetupRequest, set_up

    _refuse_contradictions(settings)
    request = SetupRequest(
        species=elements(species),
        work_folder=work_folder.expanduser().absolute() if work_folder is not None else None,
        **settings,
    )
    items = set_up(request)
    click.echo("\n".join(table(items)))
    lacking = [item for item in items if not item.state.is_good]
    click.echo("")
    if lacking:
        things = ", ".join(item.name for item in lacking)
        click.echo(f"Not ready: {things}; the lines above say what to do.")
        ctx.exit(1)
    if any(item.name == "daemon" for item in items):
        click.echo("Ready.")
        return
    is_activated = sys.prefix in (os.environ.get("VIRTUAL_ENV"), os.environ.get("CONDA_PREFIX"))
    command = "verdi" if is_activated else str(Path(sys.executable).parent / "verdi")
    if request.profile_name is not None:
        command += f" -p {request.profile_name}"
    click.echo(f"Ready. Start the daemon with `{command} daemon start 2` (2: its number of workers).")


def elements(text: str) -> tuple[str, ...]:
    """Return the symbols in ``text``, divided by blanks or commas.

    :raises InputError: if there are none, or one is no element.
    """
    from ase.data import atomic_numbers

    symbols = tuple(dict.fromkeys(re.split(r"[\s,]+", text.strip())))
    for symbol in symbols:
        if symbol == "X" or symbol not in atomic_numbers:
            raise InputError(f"`--species` holds `{symbol}`, which is no element; give symbols such as `Si C`.")
    return symbols


def table(items: Sequence[SetupItem]) -> list[str]:
    """Return one aligned line for each item."""
    width = max(len(item.name) for item in items)
    lines = []
    for item in items:
        state = click.style(item.state.value.ljust(8), fg=COLOURS[item.state.value])
        lines.append(f"{state} {item.name.ljust(width)}  {item.detail}")
    return lines


def _refuse_contradictions(settings: dict[str, Any]) -> None:
    """Refuse options that each name a family of pseudopotentials in another way."""
    given = [
        option
        for option, value in {
            "--pseudo-folder/--pseudo-file": settings["pseudo_folder"] or settings["pseudo_files"],
            "--pseudo-family": settings["pseudo_family"],
            "--pseudo-install": settings["pseudo_install"],
        }.items()
        if value
    ]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} name different families of pseudopotentials; give one of them.")
