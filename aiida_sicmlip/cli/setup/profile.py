"""The AiiDA profile: SQLite and the ZeroMQ broker, or PostgreSQL and RabbitMQ; and SQLite's journal mode."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida_sicmlip.cli.options import default_profile_name, profile_names
from aiida_sicmlip.cli.setup.disks import network_type
from aiida_sicmlip.cli.setup.items import SetupItem, State
from aiida_sicmlip.cli.setup.services import broker_settings, check_broker, database_settings, is_other
from aiida_sicmlip.common.exceptions import InputError, ProgramError

if TYPE_CHECKING:
    from aiida.manage.configuration import Profile

NEW_PROFILE = "sicmlip"
STORAGE = "core.sqlite_dos"
BROKER = "core.zeromq"
POSTGRESQL = "core.psql_dos"
RABBITMQ = "core.rabbitmq"
EMAIL = "aiida@localhost"
SECONDS_TO_WAIT_FOR_DATABASE = 10


def set_up_profile(
    name: str | None, check: bool, database: str | None = None, broker: str | None = None
) -> tuple[Profile | None, list[SetupItem]]:
    """Find the profile ``name`` (by default the default one), or make it; not loaded yet.

    :param database: address of a PostgreSQL database that a new profile keeps its data in; SQLite without it.
    :param broker: address of a RabbitMQ that a new profile's daemon uses; ZeroMQ without it.
    :returns: the profile, ``None`` where there is none and ``check`` forbids to make one; and its items.
    :raises InputError: if an address cannot be used.
    :raises ProgramError: if AiiDA cannot make the profile.
    """
    known = profile_names()
    name = name or default_profile_name() or NEW_PROFILE
    storage, messages = _services(name, database, broker)
    if name in known:
        profile = _existing(name)
        return profile, [*_existing_items(profile, storage, messages), *set_up_journal(profile, check)]
    if check:
        return None, [SetupItem("profile", State.MISSING, f"`{name}`; `aiida-sicmlip setup` makes it")]
    if messages:
        check_broker(messages)
    profile = _make(name, storage, messages)
    detail = f"`{name}` in {_place(profile)}"
    return profile, [SetupItem("profile", State.MADE, detail), *set_up_journal(profile, check)]


def storage_folder(profile: Profile) -> Path | None:
    """Return the folder that holds the SQLite database of ``profile``, or ``None`` for another kind of storage."""
    if profile.storage_backend != STORAGE:
        return None
    return Path(profile.storage_config["filepath"])


def set_up_journal(profile: Profile, check: bool) -> list[SetupItem]:
    """Put the SQLite database into write-ahead mode, where its disk is local.

    In SQLite's own default mode one slow reader keeps the daemon from writing, until it gives up.

    :returns: one item; none for a storage that is not SQLite.
    """
    folder = storage_folder(profile)
    if folder is None:
        return []
    name = "journal mode"
    kind = network_type(folder)
    database = folder / "database.sqlite"
    mode = journal_mode(database)
    if kind is not None and mode == "wal":
        detail = (
            f"`wal`, but {folder} is on a network disk ({kind}), where SQLite may lose data; keep AiiDA on a local one"
        )
        return [SetupItem(name, State.WARNING, detail)]
    if kind is not None:
        detail = f"left at `{mode}`: {folder} is on a network disk ({kind}), where `wal` is not safe"
        return [SetupItem(name, State.WARNING, detail)]
    if mode == "wal":
        return [SetupItem(name, State.FOUND, "`wal`")]
    if check:
        return [SetupItem(name, State.MISSING, f"`{mode}`; `aiida-sicmlip setup` makes it `wal`")]
    try:
        mode = journal_mode(database, change_to="wal")
    except sqlite3.OperationalError as error:
        detail = f"left at `{mode}` ({error}); stop the daemon with `verdi daemon stop` and run this again"
        return [SetupItem(name, State.MISSING, detail)]
    return [SetupItem(name, State.MADE, f"`{mode}`")]


def journal_mode(database: Path, change_to: str | None = None) -> str:
    """Return the journal mode of an SQLite ``database``, after a change of it where one is asked for.

    :raises sqlite3.OperationalError: if the database is in use and the mode cannot be changed.
    """
    # Opened as it is: connecting to a path that does not exist would make an empty database.
    connection = sqlite3.connect(
        f"{database.resolve().as_uri()}?mode=rw", uri=True, timeout=SECONDS_TO_WAIT_FOR_DATABASE
    )
    try:
        statement = "PRAGMA journal_mode" if change_to is None else f"PRAGMA journal_mode={change_to}"
        (mode,) = connection.execute(statement).fetchone()
    finally:
        connection.close()
    return str(mode)


def _existing(name: str) -> Profile:
    from aiida.manage.configuration import get_config

    profile = get_config().get_profile(name)
    folder = storage_folder(profile)
    if folder is not None and not (folder / "database.sqlite").is_file():
        raise InputError(
            f"The AiiDA profile `{name}` keeps its data in {folder}, where there is no database; bring the folder "
            f"back, or remove the profile with `verdi profile delete {name}` and run this again."
        )
    return profile


def _existing_items(profile: Profile, storage: dict[str, Any], messages: dict[str, Any]) -> list[SetupItem]:
    if profile.process_control_backend is None:
        detail = (
            f"`{profile.name}` has no message broker, so that its daemon cannot start; "
            f"`verdi profile configure-broker {BROKER}` gives it one"
        )
        return [SetupItem("profile", State.DIFFERS, detail)]
    for option, asked, backend, used, held in (
        ("--database", storage, POSTGRESQL, profile.storage_backend, profile.storage_config),
        ("--broker", messages, RABBITMQ, profile.process_control_backend, profile.process_control_config),
    ):
        other = (used if used != backend else is_other(held, asked)) if asked else None
        if other is not None:
            detail = (
                f"`{profile.name}` is there and differs from `{option}` ({other}); leave the option out, or name a new "
                "profile with `--profile`"
            )
            return [SetupItem("profile", State.DIFFERS, detail)]
    detail = f"`{profile.name}` ({profile.storage_backend}, {profile.process_control_backend})"
    return [SetupItem("profile", State.FOUND, detail)]


def _services(name: str, database: str | None, broker: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return AiiDA's configurations of PostgreSQL and RabbitMQ; empty where they are not asked for."""
    from aiida.manage.configuration.settings import AiiDAConfigDir

    repository = Path(AiiDAConfigDir.get()) / "repository" / name
    return (
        database_settings(database, repository) if database is not None else {},
        broker_settings(broker) if broker is not None else {},
    )


def _place(profile: Profile) -> str:
    """Return where a new profile keeps its data, and what its daemon uses where that is a service."""
    folder, config = storage_folder(profile), profile.storage_config
    address = "{database_hostname}:{database_port}/{database_name}"
    place = str(folder) if folder is not None else f"PostgreSQL at {address.format(**config)}"
    if profile.process_control_backend == RABBITMQ:
        place += ", with RabbitMQ at {broker_host}:{broker_port}".format(**profile.process_control_config)
    return place


def _make(name: str, storage: dict[str, Any], messages: dict[str, Any]) -> Profile:
    from aiida.common import exceptions
    from aiida.manage.configuration import create_profile, get_config
    from aiida.plugins import BrokerFactory

    config = get_config(create=True)
    try:
        profile = create_profile(
            config,
            name=name,
            email=EMAIL,
            storage_backend=POSTGRESQL if storage else STORAGE,
            storage_config=storage,
            broker_backend=RABBITMQ if messages else BROKER,
            broker_config=messages or BrokerFactory(BROKER).get_default_config(),
        )
    except (ValueError, TypeError, exceptions.EntryPointError, exceptions.StorageMigrationError) as error:
        raise ProgramError(f"AiiDA could not make the profile `{name}`: {error}") from error
    # Waiting for a calculation, a process looks once a second; AiiDA's default is a minute.
    config.set_option("runner.poll.interval", 1, scope=profile.name)
    if config.default_profile_name is None:
        config.set_default_profile(profile.name)
    config.store()
    return profile
