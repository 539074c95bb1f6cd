"""Set-up of the computer `localhost`, whose jobs are processes of this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_sicmlip.cli.setup.items import SetupItem, State

if TYPE_CHECKING:
    from aiida.orm import Computer

LABEL = "localhost"
TRANSPORT = "core.local"
SCHEDULER = "core.direct"
POLL_INTERVAL = 1.0
"""Interval at which running jobs are polled, s; AiiDA's default of 10 s delays short jobs."""
SAFE_INTERVAL = 0.0
"""Minimum interval between two connections, s; a local transport needs none."""
LOGIN_SHELL = False
"""Whether each command of the transport, a dozen a job, starts a login shell; the daemon has its user's environment."""

START_ONCE = """\
# A daemon that is killed between starting a job and noting that it did starts it again. The second start of a folder
# only waits for the first, whose process number is where the link points: making a link is one step, done once.
if ! ln -s $$ .started 2>/dev/null; then
    while ps -o stat= -p "$(readlink .started)" 2>/dev/null | grep -qv '^Z'; do sleep 0.5; done
    exit 0
fi"""
"""Start of all job scripts of the computer; the direct scheduler does not detect that a job was already submitted."""


def set_up_computer(
    profile_name: str, work_folder: Path | None, check: bool, replace: bool
) -> tuple[Computer | None, list[SetupItem]]:
    """Find or create the computer in the loaded profile, and configure it for the user of the profile.

    :param work_folder: working folder of jobs; by default a folder next to AiiDA's configuration.
    :param replace: whether work folder and intervals of an existing computer may be changed.
    :returns: the computer (``None`` if there is no suitable one) and one item.
    """
    from aiida.common.exceptions import NotExistent
    from aiida.orm import User, load_computer

    name = f"computer `{LABEL}`"
    try:
        computer = load_computer(LABEL)
    except NotExistent:
        if check:
            return None, [SetupItem(name, State.MISSING, "`aiida-sicmlip setup` creates it")]
        computer = _make(profile_name, work_folder)
        return computer, [SetupItem(name, State.MADE, f"jobs run in {computer.get_workdir()}")]
    if (computer.transport_type, computer.scheduler_type) != (TRANSPORT, SCHEDULER):
        detail = (
            f"is set up with {computer.transport_type} and {computer.scheduler_type}, not {TRANSPORT} and {SCHEDULER}; "
            f"relabel it with `verdi computer relabel {LABEL} NEW_LABEL` and run this again"
        )
        return None, [SetupItem(name, State.DIFFERS, detail)]
    user = User.collection.get_default()
    if user is None or not computer.is_user_configured(user):
        if check:
            return computer, [SetupItem(name, State.MISSING, "not configured; `aiida-sicmlip setup` configures it")]
        computer.configure(safe_interval=SAFE_INTERVAL, use_login_shell=LOGIN_SHELL)
        return computer, [SetupItem(name, State.MADE, "configured for this user")]
    return computer, [_existing(computer, name, work_folder, replace and not check)]


def open_mpi_launcher(search_path: str | None = None) -> str | None:
    """Return the path of the first ``mpirun`` of Open MPI on the ``search_path`` (by default PATH), or ``None``.

    The environment also contains an ``mpirun`` of MPICH, which would start a program built with Open MPI as independent
    serial processes.
    """
    for folder in (search_path if search_path is not None else os.environ.get("PATH", os.defpath)).split(os.pathsep):
        for program in ("mpirun.openmpi", "mpirun"):
            path = shutil.which(program, path=folder or ".")
            if path and _is_open_mpi(path):
                return path
    return None


def _is_open_mpi(launcher: str) -> bool:
    try:
        answer = subprocess.run([launcher, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return re.search(r"open.?mpi|openrte", answer.stdout, re.IGNORECASE) is not None


def _make(profile_name: str, work_folder: Path | None) -> Computer:
    from aiida.manage.configuration import get_config
    from aiida.orm import Computer

    folder = work_folder or Path(get_config().dirpath) / "scratch" / profile_name
    computer = Computer(
        label=LABEL,
        hostname="localhost",
        description="This machine, without a queue",
        transport_type=TRANSPORT,
        scheduler_type=SCHEDULER,
        workdir=str(folder),
    )
    launcher = open_mpi_launcher()
    if launcher is not None:
        computer.set_mpirun_command([launcher, "-np", "{tot_num_mpiprocs}"])
    computer.set_prepend_text(START_ONCE)
    computer.store()
    computer.configure(safe_interval=SAFE_INTERVAL, use_login_shell=LOGIN_SHELL)
    computer.set_minimum_job_poll_interval(POLL_INTERVAL)
    computer.set_default_mpiprocs_per_machine(1)
    return computer


def _existing(computer: Computer, name: str, work_folder: Path | None, change: bool) -> SetupItem:
    if work_folder is not None and str(work_folder) != computer.get_workdir():
        if not change:
            detail = f"jobs run in {computer.get_workdir()}, not in {work_folder}; `--replace` changes it"
            return SetupItem(name, State.DIFFERS, detail)
        computer.set_workdir(str(work_folder))
        return SetupItem(name, State.MADE, f"jobs now run in {work_folder}")
    folder = computer.get_workdir()
    poll = computer.get_minimum_job_poll_interval()
    # Without a configured value, the default of the transport applies, which is 0 for the local one.
    safe = computer.get_configuration().get("safe_interval", 0.0)
    if poll <= POLL_INTERVAL and safe <= POLL_INTERVAL:
        return SetupItem(name, State.FOUND, f"jobs run in {folder}")
    if change:
        computer.set_minimum_job_poll_interval(POLL_INTERVAL)
        computer.configure(safe_interval=SAFE_INTERVAL)
        return SetupItem(name, State.MADE, f"jobs are now polled every {POLL_INTERVAL:g} s")
    detail = (
        f"jobs are polled every {max(poll, safe):g} s, slow for short ones; `--replace` makes it {POLL_INTERVAL:g} s"
    )
    return SetupItem(name, State.FOUND, detail)
