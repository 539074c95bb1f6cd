"""A folder with a profile, a daemon and small settings in which the whole loop runs for real."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

PROFILE = "loop"
SMALLEST_STRUCTURES = """
structures:
  vacancy:
    host: {crystal: zincblende, species: [Si, C], lattice_constant: 4.4, repeats: [1, 1, 1], cell: conventional}
    defects:
      - {kind: vacancy, species: C}
  divacancy: {host: {repeats: [1, 1, 1], cell: conventional}}
"""
"""Two start structures of seven and six atoms, as a part of a settings file."""
# One process that asks again and again: a command would load AiiDA each time, at the cost of what it waits for.
WAIT = """
import sys, time
from aiida import load_profile, orm
profile, pk, timeout = sys.argv[1:]
load_profile(profile)
end = time.monotonic() + float(timeout)
while time.monotonic() < end:
    state = orm.QueryBuilder().append(orm.Node, filters={"id": int(pk)}, project="attributes.process_state").one()[0]
    if state in ("finished", "excepted", "killed"):
        print("ended")
        break
    time.sleep(1)
"""


class LoopFolder:
    """Runs the commands of a user with an AiiDA configuration of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bin = Path(sys.executable).parent
        search_path = os.pathsep.join([str(self.bin), os.environ.get("PATH", os.defpath)])
        self.environment = {**os.environ, "AIIDA_PATH": str(path), "OMP_NUM_THREADS": "1", "PATH": search_path}
        self.submissions = path / "submissions.txt"
        (path / ".aiida").mkdir(parents=True, exist_ok=True)

    def command(self, *words: str, timeout: float = 600) -> str:
        """Run a command of the environment and return what it printed; fail with that where it fails."""
        result = self.run(*words, timeout=timeout)
        assert result.returncode == 0, f"{' '.join(words)}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def run(self, *words: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment, whatever comes of it."""
        with self.begin(*words) as command:
            try:
                printed, said = command.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                command.kill()
                raise
        return subprocess.CompletedProcess(words, command.returncode, printed, said)

    def begin(self, *words: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
        """Begin a command of the environment."""
        return subprocess.Popen(
            [str(self.bin / words[0]), *words[1:]],
            env=self.environment,
            cwd=self.path,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )

    def set_up(self, *words: str) -> None:
        """Make the profile, with programs that note each start, so that a calculation that runs twice is seen.

        :param words: further options of the set-up.
        """
        options = [*words]
        for option, program in (
            ("--pw", shutil.which("pw.x")),
            ("--lmp", str(self.bin / "sicmlip-lmp")),
            ("--sicmlip", str(self.bin / "sicmlip")),
        ):
            wrapper = self.path / f"noting{option[1:]}"
            wrapper.write_text(f'#!/bin/bash\necho "$PWD" >> {self.submissions}\nexec {program} "$@"\n')
            wrapper.chmod(0o755)
            options += [option, str(wrapper)]
        self.command("aiida-sicmlip", "setup", "-p", PROFILE, "--work-folder", str(self.path / "work"), *options)

    def start_daemon(self, workers: int = 2) -> None:
        """Start the daemon, and once more where its workers hear nothing.

        AiiDA starts workers and broker at once. After a kill -9 of the broker its old address is still written down,
        and workers that read it before the new one is there wait for a broker that is gone.
        """
        for _ in range(5):
            self.command("verdi", "-p", PROFILE, "daemon", "start", str(workers), timeout=300)
            if self._workers_listen():
                return
            self.stop_daemon()
        raise AssertionError("the workers of the daemon do not find its broker")

    def _workers_listen(self, timeout: float = 30) -> bool:
        """Wait for the ZeroMQ broker to have workers; another broker is not asked."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            folders = list((self.path / ".aiida" / "broker").glob("*"))
            if not folders:
                return True
            for folder in folders:
                with contextlib.suppress(OSError, json.JSONDecodeError):
                    status = json.loads((folder / "broker.status").read_text())
                    if status["task_subscribers"] and psutil.pid_exists(status["pid"]):
                        return True
            time.sleep(0.3)
        return False

    def stop_daemon(self) -> None:
        """Stop the daemon, by force where it does not stop by itself."""
        subprocess.run(
            [str(self.bin / "verdi"), "-p", PROFILE, "daemon", "stop"],
            env=self.environment,
            capture_output=True,
            timeout=120,
            check=False,
        )
        self.kill_daemon()

    def daemon_processes(self) -> list[psutil.Process]:
        """Return the daemon, its workers and its broker; not the jobs, which run on without them."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            command = " ".join(process.info["cmdline"] or [])
            if f"-p {PROFILE} " in f"{command} " or "circus" in command:
                try:
                    mine = process.environ().get("AIIDA_PATH", "").startswith(str(self.path))
                except psutil.Error:
                    continue
                if mine:
                    found.append(process)
        return found

    def kill_daemon(self, part: str = "") -> int:
        """Kill -9 the processes of the daemon whose command holds ``part``, or all; return how many that were."""
        processes = [process for process in self.daemon_processes() if part in " ".join(process.cmdline())]
        for process in processes:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(processes, timeout=10)
        return len(processes)

    def submit(self, settings: str, *options: str) -> int:
        """Submit a run with the command line and return its PK."""
        (self.path / "settings.yaml").write_text(settings, encoding="utf-8")
        printed = self.command("aiida-sicmlip", "run", "settings.yaml", "-p", PROFILE, *options)
        return int(printed.split("Submitted ActiveLearningWorkChain <")[1].split(">")[0])

    def state(self, pk: int) -> str:
        """Return what the command line says of a run."""
        return self.command("aiida-sicmlip", "status", str(pk), "--once", "-p", PROFILE)

    def wait(self, pk: int, timeout: float) -> None:
        """Wait for a run to end."""
        ended = self.command("python", "-c", WAIT, PROFILE, str(pk), str(timeout), timeout=timeout + 120)
        if ended.strip() != "ended":
            raise AssertionError(f"run {pk} has not ended after {timeout} s:\n{self.state(pk)}\n{self.report(pk)}")

    def starts(self) -> list[str]:
        """Return the work folder of each start of a program; a folder that stands twice was computed twice."""
        return [place for place in self.submissions.read_text().split() if place.startswith(str(self.path / "work"))]

    def report(self, pk: int) -> str:
        """Return the report of a run and its list of processes, for messages of failed tests."""
        return self.command("verdi", "-p", PROFILE, "process", "report", str(pk)) + self.command(
            "verdi", "-p", PROFILE, "process", "list", "-a"
        )
