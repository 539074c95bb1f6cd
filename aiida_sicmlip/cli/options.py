"""Options that are shared by several commands, and loading of the profile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from aiida_sicmlip.common.exceptions import InputError, SicmlipError, nearest_name

if TYPE_CHECKING:
    from aiida.manage.configuration import Profile
    from aiida.manage.configuration.config import Config


def complete_profile(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of the profiles that begin with ``incomplete``."""
    return [CompletionItem(name) for name in profile_names() if name.startswith(incomplete)]


PROFILE = click.option(
    "-p",
    "--profile",
    "profile_name",
    metavar="NAME",
    shell_complete=complete_profile,
    help="AiiDA profile; the default profile if not given.",
)

TRUST = click.option(
    "--trust-shell",
    is_flag=True,
    help="Run what an imported process brings as shell: `--plan` shows it.",
)
PICTURES = click.option(
    "--pictures",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write plots to this folder, which is created.",
)
ENDING = click.option(
    "--format",
    "ending",
    type=click.Choice(["png", "svg", "pdf"]),
    default="png",
    show_default=True,
    help="Format of the plots.",
)


def echo_pictures(drawn: Sequence[Path], missing: Sequence[str], *, err: bool) -> None:
    """Print which plots were written, and why others were not; to standard error if ``err``."""
    click.echo("", err=err)
    for path in drawn:
        click.echo(f"drawn: {path}", err=err)
    for message in missing:
        click.echo(f"not drawn: {message}", err=err)


def profile_names() -> list[str]:
    """Return the names of the profiles that exist; none where AiiDA has no configuration yet."""
    configuration = _configuration()
    return list(configuration.profile_names) if configuration is not None else []


def default_profile_name() -> str | None:
    """Return the name of the default profile, or ``None`` where there is none."""
    configuration = _configuration()
    return configuration.default_profile_name if configuration is not None else None


def load_profile(name: str | None) -> Profile:
    """Load the profile ``name``, or the default profile, and return it.

    :raises InputError: if there is no such profile, no profile at all, or its storage cannot be opened.
    """
    from aiida.common import exceptions
    from aiida.manage import get_manager
    from aiida.manage.configuration import load_profile as load

    known = profile_names()
    if name is None and default_profile_name() is None:
        if known:
            raise InputError(f"No AiiDA profile is the default one; choose one of {', '.join(known)} with `--profile`.")
        raise InputError("There is no AiiDA profile yet; run `aiida-sicmlip setup`, which makes one.")
    if name is not None and name not in known:
        raise InputError(
            f"There is no AiiDA profile `{name}`. {nearest_name(name, known) if known else ''} "
            f"`aiida-sicmlip setup --profile {name}` makes it."
        )
    profile = load(name, allow_switch=True)
    try:
        get_manager().get_profile_storage()
    except (exceptions.StorageMigrationError, exceptions.UnreachableStorage, exceptions.CorruptStorage) as error:
        raise InputError(f"The storage of the AiiDA profile `{profile.name}` cannot be opened: {error}") from error
    return profile


def say_where_it_runs() -> None:
    """Print a message if the daemon is not running, so that processes run here."""
    from aiida_sicmlip.workflows.rerun.reproduction import daemon_runs

    if not daemon_runs():
        click.echo("The daemon is not running: running in this process; Ctrl-C interrupts it.")


@contextmanager
def status_of_errors(status: int) -> Iterator[None]:
    """Exit with ``status`` on an error of the package, for commands where exit status 1 is a result."""
    try:
        yield
    except SicmlipError as error:
        failure = click.ClickException(str(error))
        failure.exit_code = status
        raise failure from error


def _configuration() -> Config | None:
    """Return AiiDA's configuration, or ``None`` where there is no such file yet."""
    from aiida.common.exceptions import ConfigurationError
    from aiida.manage.configuration import get_config

    try:
        return get_config()
    except ConfigurationError:
        return None
