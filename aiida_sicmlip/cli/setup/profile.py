"""Set-up of the AiiDA profile, with SQLite and ZeroMQ or PostgreSQL and RabbitMQ, and of SQLite's journal mode."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida_sicmlip.cli.options import default_profile_name, profile_names
from aiida_sicmlip.cli.setup.disks import network_type
from aiida_sicmlip.cli.setup.items import SetupItem, State
from aiida_sicmlip.cli.setup.services import broker_settings, check_broker, database_settings, differing_setting
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
    """Find or create the profile ``name`` (by default the default profile), without loading it.

    :param check: whether to check only.
    :param database: address of the PostgreSQL database of a new profile; SQLite by default.
    :param broker: address of the RabbitMQ broker of a new profile; ZeroMQ by default.
    :returns: the profile (``None`` if it does not exist and ``check`` is set) and its items.
    :raises InputError: if an address is invalid.
    :raises ProgramError: if AiiDA cannot create the profile.
    """
    known = profile_names()
    name = name or default_profile_name() or NEW_PROFILE
    storage, messages = _services(name, database, broker)
    if name in known:
        profile = _existing(name)
        return profile, [*_existing_items(profile, storage, messages), *set_up_journal(profile, check)]
    if check:
        return None, [SetupItem("profile", State.MISSING, f"`{name}`; `aiida-sicmlip setup` creates it")]
    if messages:
        check_broker(messages)
    profile = _make(name, storage, messages)
    detail = f"`{name}` in {_place(profile)}"
    return profile, [SetupItem("profile", State.MADE, detail), *set_up_journal(profile, check)]


def storage_folder(profile: Profile) -> Path | None:
    """Return the folder of the SQLite database of ``profile``; ``None`` for another kind of storage."""
    if profile.storage_backend != STORAGE:
        return None
    return Path(profile.storage_config["filepath"])


def set_up_journal(profile: Profile, check: bool) -> list[SetupItem]:
    """Set the journal mode of the SQLite database to write-ahead logging, if it is on a local disk.

    In the default mode of SQLite a slow reader blocks the daemon from writing, which then fails with a timeout.

    :returns: one item; none for a storage other than SQLite.
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
        return [SetupItem(name, State.MISSING, f"`{mode}`; `aiida-sicmlip setup` changes it to `wal`")]
    try:
        mode = journal_mode(database, change_to="wal")
    except sqlite3.OperationalError as error:
        detail = f"left at `{mode}` ({error}); stop the daemon with `verdi daemon stop` and run this again"
        return [SetupItem(name, State.MISSING, detail)]
    return [SetupItem(name, State.MADE, f"`{mode}`")]


def journal_mode(database: Path, change_to: str | None = None) -> str:
    """Return the journal mode of an SQLite ``database``.

    :param change_to: mode to set before; ``None``: no change.
    :raises sqlite3.OperationalError: if the database is in use and the mode cannot be changed.
    """
    # In the mode `rw`, since connecting to a path that does not exist would create an empty database.
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
            f"The data of the AiiDA profile `{name}` are in {folder}, which contains no database; restore the folder, "
            f"or remove the profile with `verdi profile delete {name}` and run this again."
        )
    return profile


def _existing_items(profile: Profile, storage: dict[str, Any], messages: dict[str, Any]) -> list[SetupItem]:
    if profile.process_control_backend is None:
        detail = (
            f"`{profile.name}` has no message broker, so that its daemon cannot start; "
            f"`verdi profile configure-broker {BROKER}` adds one"
        )
        return [SetupItem("profile", State.DIFFERS, detail)]
    for option, requested, backend, used, config in (
        ("--database", storage, POSTGRESQL, profile.storage_backend, profile.storage_config),
        ("--broker", messages, RABBITMQ, profile.process_control_backend, profile.process_control_config),
    ):
        other = (used if used != backend else differing_setting(config, requested)) if requested else None
        if other is not None:
            detail = (
                f"`{profile.name}` exists and differs from `{option}` ({other}); remove the option, or give a new "
                "profile with `--profile`"
            )
            return [SetupItem("profile", State.DIFFERS, detail)]
    detail = f"`{profile.name}` ({profile.storage_backend}, {profile.process_control_backend})"
    return [SetupItem("profile", State.FOUND, detail)]


def _services(name: str, database: str | None, broker: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return AiiDA's configurations of PostgreSQL and RabbitMQ; empty without an address."""
    from aiida.manage.configuration.settings import AiiDAConfigDir

    repository = Path(AiiDAConfigDir.get()) / "repository" / name
    return (
        database_settings(database, repository) if database is not None else {},
        broker_settings(broker) if broker is not None else {},
    )


def _place(profile: Profile) -> str:
    """Return the location of the data of a new profile, and the address of its broker if that is RabbitMQ."""
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
        raise ProgramError(f"AiiDA could not create the profile `{name}`: {error}") from error
    # Interval at which a process checks the processes it waits for, s; AiiDA's default is a minute.
    config.set_option("runner.poll.interval", 1, scope=profile.name)
    if config.default_profile_name is None:
        config.set_default_profile(profile.name)
    config.store()
    return profile
