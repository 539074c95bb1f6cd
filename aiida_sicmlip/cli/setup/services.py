"""Addresses of PostgreSQL and RabbitMQ, which a profile can use instead of SQLite and ZeroMQ."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from aiida_sicmlip.common.exceptions import InputError

DATABASE_FORM = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
BROKER_FORM = "amqp://USER:PASSWORD@HOST:PORT/VIRTUAL_HOST"
DATABASE_PORT = 5432
BROKER_PORTS = {"amqp": 5672, "amqps": 5671}


def database_settings(address: str, repository: Path) -> dict[str, Any]:
    """Return AiiDA's configuration of a storage in the PostgreSQL database at ``address``.

    :param repository: folder of the files of nodes, which are not in the database.
    :raises InputError: if the address does not have the form ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``.
    """
    parts, port = _split(address, "--database", DATABASE_FORM, ("postgresql", "postgres"))
    name = unquote(parts.path.removeprefix("/"))
    if not name or not parts.username:
        missing = "database" if parts.username else "user"
        raise InputError(f"`--database` has no {missing}; give {DATABASE_FORM}.")
    return {
        "database_engine": "postgresql_psycopg",
        "database_hostname": parts.hostname,
        "database_port": port or DATABASE_PORT,
        "database_name": name,
        "database_username": unquote(parts.username),
        "database_password": unquote(parts.password or ""),
        "repository_uri": repository.as_uri(),
    }


def broker_settings(address: str) -> dict[str, Any]:
    """Return AiiDA's configuration of the RabbitMQ broker at ``address``.

    :raises InputError: if the address does not have the form ``amqp://USER:PASSWORD@HOST:PORT/VIRTUAL_HOST``, in which
        the virtual host is optional.
    """
    parts, port = _split(address, "--broker", BROKER_FORM, tuple(BROKER_PORTS))
    return {
        "broker_protocol": parts.scheme,
        "broker_username": unquote(parts.username or "guest"),
        "broker_password": unquote(parts.password or "guest"),
        "broker_host": parts.hostname,
        "broker_port": port or BROKER_PORTS[parts.scheme],
        "broker_virtual_host": unquote(parts.path.removeprefix("/")),
    }


def check_broker(settings: dict[str, Any]) -> None:
    """Raise InputError unless RabbitMQ answers, which AiiDA checks only when the daemon starts."""
    from aiida.brokers.rabbitmq.defaults import detect_rabbitmq_config

    config = {name.removeprefix("broker_"): value for name, value in settings.items()}
    try:
        detect_rabbitmq_config(**config)
    except ConnectionError as error:
        raise InputError(
            f"`--broker` is {config['host']}:{config['port']}, where user `{config['username']}` cannot connect to "
            f"RabbitMQ: {error.__cause__}. Start it, or correct the address."
        ) from error


def differing_setting(config: dict[str, Any], requested: dict[str, Any]) -> str | None:
    """Return the first setting of the address in which the configuration of a profile differs from the requested one.

    Passwords and folders are not compared, since they may change for the same service.
    """
    for name, value in requested.items():
        if name.endswith(("hostname", "host", "port", "_name")) and config.get(name) != value:
            return name
    return None


def _split(address: str, option: str, form: str, schemes: tuple[str, ...]) -> tuple[SplitResult, int | None]:
    """Return the parts of an address, and its port or None.

    :raises InputError: if it is not an address with one of the schemes and a host.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise InputError(f"`{option}` is not an address ({error}); give {form}.") from error
    if parts.scheme not in schemes or not parts.hostname:
        # The address is not shown, since it may contain a password.
        raise InputError(f"`{option}` does not begin with `{schemes[0]}://` and a host; give {form}.")
    return parts, port
