"""A Slurm of one machine, started by hand and gone with its folder: munged, slurmctld, slurmd."""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
SEARCH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
CONFIGURATION = """\
ClusterName=box
SlurmctldHost={host}
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
# Jobs are remembered for a day, as nothing keeps accounts; one that is over its time is killed soon.
MinJobAge=86400
KillWait=5
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} CPUs=2 RealMemory=4000 Gres=gpu:2 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=60 State=UP
"""


def missing_program() -> str | None:
    """Return the first program that is not installed."""
    return next((name for name in PROGRAMS if shutil.which(name, path=SEARCH) is None), None)


class SlurmBox:
    """Starts on entry, stops on exit; ``environment`` is what Slurm's commands need to find it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": SEARCH}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> SlurmBox:
        # The key is munged's secret: it refuses folders and files that others can write or read.
        self.folder.chmod(0o755)
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        host = socket.gethostname().split(".")[0]
        ports = dict(zip(("controller_port", "node_port"), free_ports(2), strict=True))
        text = CONFIGURATION.format(folder=self.folder, host=host, user=pwd.getpwuid(os.geteuid()).pw_name, **ports)
        (self.folder / "slurm.conf").write_text(text)
        # GPUs that are none: Slurm counts them and hands out their numbers.
        (self.folder / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
        files = [f"--{name}={self.folder}/munge.{name.split('-')[0]}" for name in ("key-file", "pid-file", "log-file")]
        files += [f"--seed-file={self.folder}/munge.seed", f"--socket={self.folder}/munge.socket"]
        try:
            self._start("munged", "--foreground", "--force", *files)
            self._wait_until((self.folder / "munge.socket").exists, "munged")
            self._start("slurmctld", "-D", "-c")
            self._start("slurmd", "-D", "-N", host)
            self._wait_until(lambda: " idle" in self.command("sinfo", "-h", "-o", "%P %t"), "slurmctld")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if all(daemon.poll() is None for daemon in self._daemons):
            self._end_jobs()
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()

    def _end_jobs(self, patience: float = 20.0) -> None:
        """Cancel what still runs: steps of jobs are no children of the daemons and would outlive them."""
        self.command("scancel", "--full", "--user", pwd.getpwuid(os.geteuid()).pw_name)
        end = time.monotonic() + patience
        while self.command("squeue", "-h") and time.monotonic() < end:
            time.sleep(0.2)

    def job(self, number: str) -> dict[str, str]:
        """Return what Slurm says of a job, which it remembers after its end."""
        return dict(re.findall(r"(\S+?)=(\S*)", self.command("scontrol", "show", "job", number)))

    def command(self, *words: str) -> str:
        """Return what a command of Slurm prints; nothing where it fails."""
        environment = {**os.environ, **self.environment}
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False).stdout

    def _start(self, *words: str) -> None:
        program = shutil.which(words[0], path=SEARCH) or words[0]
        log = (self.folder / f"{words[0]}.out").open("wb")
        self._daemons.append(
            subprocess.Popen(
                [program, *words[1:]], env={**os.environ, **self.environment}, stdout=log, stderr=subprocess.STDOUT
            )
        )

    def _wait_until(self, condition: Callable[[], bool], name: str, patience: float = 30.0) -> None:
        end = time.monotonic() + patience
        while not condition():
            if time.monotonic() > end or any(daemon.poll() is not None for daemon in self._daemons):
                logs = "\n".join(
                    path.read_text("utf-8", "replace")[-2000:] for path in sorted(self.folder.glob("*.out"))
                )
                raise RuntimeError(f"{name} did not come up:\n{logs}")
            time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for entry in sockets:
        entry.bind(("", 0))
    ports = [entry.getsockname()[1] for entry in sockets]
    for entry in sockets:
        entry.close()
    return ports
