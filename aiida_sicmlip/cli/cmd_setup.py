"""The command `aiida-sicmlip setup`."""

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
@click.option("--check", is_flag=True, help="Only check, and exit with status 1 if something is missing.")
@click.option(
    "--replace",
    is_flag=True,
    help="Replace a code or pseudopotential family that differs from the request; the old one is kept with another "
    "label.",
)
@click.option(
    "--database",
    envvar="SICMLIP_DATABASE",
    metavar="ADDRESS",
    help="Empty PostgreSQL database for a new profile, postgresql://USER:PASSWORD@HOST:PORT/NAME; SQLite by default. "
    "Use the environment variable SICMLIP_DATABASE to keep the password out of the shell history.",
)
@click.option(
    "--broker",
    envvar="SICMLIP_BROKER",
    metavar="ADDRESS",
    help="RabbitMQ broker for a new profile, amqp://USER:PASSWORD@HOST:PORT/VIRTUAL_HOST; ZeroMQ by default. Also read "
    "from the environment variable SICMLIP_BROKER.",
)
@click.option("--pw", type=FILE, metavar="FILE", help="pw.x of Quantum ESPRESSO; searched on PATH by default.")
@click.option("--pw-mpi/--no-pw-mpi", default=None, help="Whether pw.x runs with MPI; a new code does not by default.")
@click.option("--lmp", type=FILE, metavar="FILE", help="sicmlip-lmp; that of this environment by default.")
@click.option("--sicmlip", type=FILE, metavar="FILE", help="sicmlip; that of this environment by default.")
@click.option("--work-folder", type=FILE, metavar="FOLDER", help="Work folder for jobs on this machine.")
@click.option(
    "--species",
    default="Si C",
    show_default=True,
    metavar="ELEMENTS",
    help="Elements that need a pseudopotential, separated by spaces or commas.",
)
@click.option("--pseudo-label", default="sicmlip", show_default=True, help="Label of the family created from files.")
@click.option(
    "--pseudo-folder", type=FILE, metavar="FOLDER", help="Folder with UPF files, of which those for --species are used."
)
@click.option(
    "--pseudo-file",
    "pseudo_files",
    type=FILE,
    metavar="FILE",
    multiple=True,
    help="UPF file of one element. May be repeated.",
)
@click.option("--pseudo-family", metavar="LABEL", help="Existing family to use.")
@click.option(
    "--pseudo-install", type=click.Choice(["sssp", "pseudo-dojo"]), help="Download a PBE family with aiida-pseudo."
)
@click.option("--start-daemon", is_flag=True, help="Start the daemon.")
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Start the daemon with this number of workers."
)
@click.pass_context
def setup(ctx: click.Context, species: str, work_folder: Path | None, **settings: Any) -> None:
    """Set up what a run needs: an AiiDA profile, this machine as a computer, the codes and the pseudopotentials.

    Existing items are not changed, so that the command can be repeated. Without options it uses the default profile, or
    creates one named `sicmlip` that does not need any services.
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
        click.echo(f"Not ready: {things}; the lines above describe what to do.")
        ctx.exit(1)
    if any(item.name == "daemon" for item in items):
        click.echo("Ready.")
        return
    is_activated = sys.prefix in (os.environ.get("VIRTUAL_ENV"), os.environ.get("CONDA_PREFIX"))
    command = "verdi" if is_activated else str(Path(sys.executable).parent / "verdi")
    if request.profile_name is not None:
        command += f" -p {request.profile_name}"
    click.echo(f"Ready. Start the daemon with `{command} daemon start 2` (2 is the number of workers).")


def elements(text: str) -> tuple[str, ...]:
    """Return the symbols in ``text``, separated by spaces or commas.

    :raises InputError: if there are none, or a symbol is not an element.
    """
    from aiida_sicmlip.science.value_tests import is_symbol

    symbols = tuple(dict.fromkeys(re.split(r"[\s,]+", text.strip())))
    for symbol in symbols:
        if not is_symbol(symbol):
            raise InputError(f"`--species` contains `{symbol}`, which is not an element; give symbols such as `Si C`.")
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
    """Reject options that specify different families of pseudopotentials."""
    options_given = [
        option
        for option, value in {
            "--pseudo-folder/--pseudo-file": settings["pseudo_folder"] or settings["pseudo_files"],
            "--pseudo-family": settings["pseudo_family"],
            "--pseudo-install": settings["pseudo_install"],
        }.items()
        if value
    ]
    if len(options_given) > 1:
        raise InputError(
            f"{' and '.join(options_given)} specify different families of pseudopotentials; give one of them."
        )
