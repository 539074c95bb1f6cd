"""PostgreSQL and RabbitMQ in temporary folders, started by hand and gone with them: for tests and benchmarks.

Neither is a service of the system: each has a port, a folder and, for RabbitMQ, an Erlang name service of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

USER = "sicmlip"
HOST = "127.0.0.1"
CONSUMER_TIMEOUT = "[{rabbit, [{consumer_timeout, undefined}]}].\n"
"""Without this RabbitMQ takes a process back from a worker that has worked at it for half an hour."""


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as entry:
        entry.bind((HOST, 0))
        return int(entry.getsockname()[1])


@contextlib.contextmanager
def temporary_postgresql() -> Iterator[str]:
    """Run a PostgreSQL server and give the address of an empty database in it.

    :raises FileNotFoundError: if PostgreSQL is not installed, with a message.
    """
    programs = programs_of_postgresql()
    # PostgreSQL does not run as root; its package makes a user for it.
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    data = folder / "data"
    if prefix:
        shutil.chown(folder, "postgres")
    port = free_port()

    def run(name: str, *words: str) -> None:
        command = [*prefix, str(programs / name), *words]
        # The server would keep a pipe open; what goes wrong stands in its log.
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=folder)

    run("initdb", "-D", str(data), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C")
    options = f"-p {port} -k {data} -c listen_addresses={HOST}"
    run("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        run("createdb", "-h", HOST, "-p", str(port), "-U", USER, USER)
        yield f"postgresql://{USER}:{USER}@{HOST}:{port}/{USER}"
    finally:
        run("pg_ctl", "-D", str(data), "-m", "fast", "-w", "stop")
        shutil.rmtree(folder)


def programs_of_postgresql() -> Path:
    """Return the folder of PostgreSQL's programs, which Debian leaves off the path.

    :raises FileNotFoundError: if there is none, with a message.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path).resolve())
    if not found:
        raise FileNotFoundError("`initdb` is not installed; Debian and Ubuntu have it in the package postgresql")
    return found[-1].parent


@contextlib.contextmanager
def temporary_rabbitmq(patience: float = 120.0) -> Iterator[str]:
    """Run a RabbitMQ server and give its address.

    :param patience: how many s it may take to come up.
    :raises FileNotFoundError: if RabbitMQ is not installed, with a message.
    :raises RuntimeError: if it does not come up, with the end of its log.
    """
    server, name_service = programs_of_rabbitmq()
    folder = Path(tempfile.mkdtemp(prefix="rabbitmq-"))
    port, names_port = free_port(), free_port()
    (folder / "advanced.config").write_text(CONSUMER_TIMEOUT)
    for name in ("rabbitmq.conf", "rabbitmq-env.conf", "enabled_plugins"):
        (folder / name).write_text("[].\n" if name == "enabled_plugins" else "")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")},
        # The cookie, by which Erlang's programs know each other, lies there.
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(names_port),
        "ERL_EPMD_ADDRESS": HOST,
        "RABBITMQ_NODENAME": f"sicmlip{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": HOST,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
    }
    started = []
    try:
        with (folder / "output").open("wb") as output:
            for command in ([name_service, "-port", str(names_port)], [server]):
                process = subprocess.Popen(
                    command, env=environment, cwd=folder, stdout=output, stderr=output, start_new_session=True
                )
                started.append(process)
        _wait_for_greeting(port, started, patience, folder / "output")
        yield f"amqp://guest:guest@{HOST}:{port}"
    finally:
        for process in reversed(started):
            _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def programs_of_rabbitmq() -> tuple[str, str]:
    """Return RabbitMQ's server and Erlang's name service.

    Debian's program on the path changes to the system's user and folders; the one that it starts does not.

    :raises FileNotFoundError: if one of them is missing, with a message.
    """
    servers = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    server = str(servers[-1]) if servers else shutil.which("rabbitmq-server", path=f"{os.environ['PATH']}:/usr/sbin")
    name_service = shutil.which("epmd")
    for name, path in (("rabbitmq-server", server), ("epmd", name_service)):
        if path is None:
            raise FileNotFoundError(
                f"`{name}` is not installed; Debian and Ubuntu have it in the package rabbitmq-server"
            )
    return str(server), str(name_service)


def _wait_for_greeting(port: int, processes: list[subprocess.Popen[bytes]], patience: float, output: Path) -> None:
    """Wait until RabbitMQ answers on its port: it does when it is ready, not when the port opens."""
    end = time.monotonic() + patience
    while time.monotonic() < end and all(process.poll() is None for process in processes):
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            if connection.recv(1):
                return
        time.sleep(0.3)
    raise RuntimeError(f"RabbitMQ did not come up:\n{output.read_text('utf-8', 'replace')[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process with the processes that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
