"""The shell script that installs what pip cannot, with stand-ins for the programs that it calls."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import aiida_sicmlip

SCRIPT = Path(aiida_sicmlip.__file__).parent.parent / "install" / "system_packages.sh"
EVERYTHING = ("pw.x", "g++", "python")


class Machine:
    """A search path that holds only the programs that a test puts there; what apt-get is asked for is written down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "bin"
        self.folder.mkdir()
        self.log = folder / "apt.log"

    def add(self, *names: str, script: str = "exit 0") -> None:
        for name in names:
            path = self.folder / name
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)

    def add_apt(self, user: int, status: int = 0) -> None:
        self.add("apt-get", script=f'echo "$@" >> {self.log}\nexit {status}')
        self.add("id", script=f"echo {user}")

    def install(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", str(SCRIPT), "python"],
            capture_output=True,
            text=True,
            env={"PATH": str(self.folder)},
            check=False,
        )

    def asked(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_nothing_is_installed_where_all_is_there(machine: Machine) -> None:
    machine.add(*EVERYTHING)
    machine.add_apt(user=0)
    result = machine.install()
    assert (result.returncode, result.stdout, result.stderr, machine.asked()) == (0, "", "", [])


def test_root_installs_what_is_missing(machine: Machine) -> None:
    machine.add("python", "clang++")
    machine.add_apt(user=0)
    assert machine.install().returncode == 0
    update, install = machine.asked()
    assert update.startswith("update")
    assert install.endswith("--no-install-recommends quantum-espresso quantum-espresso-data")


def test_sudo_without_password_is_used(machine: Machine) -> None:
    machine.add("pw.x", "python")
    machine.add_apt(user=1000)
    machine.add("sudo", script='shift\n"$@"')
    machine.add("true")
    assert machine.install().returncode == 0
    assert machine.asked()[-1].endswith("--no-install-recommends g++")


def test_without_rights_a_sentence_says_what_to_install(machine: Machine) -> None:
    machine.add("g++", "pw.x")
    machine.add("python", script="exit 1")
    machine.add_apt(user=1000)
    result = machine.install()
    assert result.returncode == 0
    assert "sudo apt-get install --no-install-recommends python3-venv" in result.stderr
    assert machine.asked() == []


def test_failing_apt_is_reported_and_not_fatal(machine: Machine) -> None:
    machine.add("g++", "python")
    machine.add_apt(user=0, status=100)
    result = machine.install()
    assert result.returncode == 0
    assert "could not install quantum-espresso quantum-espresso-data" in result.stderr


def test_other_systems_get_a_message(machine: Machine) -> None:
    machine.add("g++", "python")
    result = machine.install()
    assert result.returncode == 0
    assert "quantum-espresso quantum-espresso-data; please install them" in result.stderr
