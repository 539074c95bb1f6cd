"""A profile on PostgreSQL and RabbitMQ, which are started for it and gone with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from benchmarks.servers import temporary_postgresql, temporary_rabbitmq
from tests.loop.conftest import switched
from tests.loop.folder import LoopFolder

__all__ = ["switched"]


@pytest.fixture(scope="session")
def services() -> Iterator[tuple[str, str]]:
    """The addresses of a database and of a broker."""
    with ExitStack() as stack:
        try:
            addresses = [stack.enter_context(server()) for server in (temporary_postgresql, temporary_rabbitmq)]
        except FileNotFoundError as error:
            pytest.skip(str(error))
        yield addresses[0], addresses[1]


@pytest.fixture(scope="session")
def services_folder(services: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopFolder]:
    """A folder with such a profile; its daemon is stopped in the end, and started by who needs it."""
    folder = LoopFolder(tmp_path_factory.mktemp("services"))
    folder.set_up("--database", services[0], "--broker", services[1])
    # The version of RabbitMQ is known; the warning would stand in every answer.
    folder.command("verdi", "config", "set", "warnings.rabbitmq_version", "false")
    try:
        yield folder
    finally:
        folder.stop_daemon()
