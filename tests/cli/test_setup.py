"""`aiida-sicmlip setup` in AiiDA folders of its own, run as a user runs it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aiida_sicmlip.cli import main

THINGS = [
    "profile",
    "journal mode",
    "computer `localhost`",
    "code `pw@localhost`",
    "code `sicmlip-lmp@localhost`",
    "code `sicmlip@localhost`",
    "pseudopotentials `sicmlip`",
]
"""What a complete set-up names, but for the LAMMPS plugin, which needs a compiler."""

UPF = """<UPF version="2.0.1">
  <PP_HEADER element="{element}" pseudo_type="NC" z_valence="4.0"/>
</UPF>
"""


class Home:
    """A folder with an AiiDA set-up of its own, a stand-in for pw.x, and pseudopotentials.

    :param cache: folder of the compiled LAMMPS plugin; one of its own if not given.
    """

    def __init__(self, folder: Path, cache: Path | None = None) -> None:
        self.folder = folder
        self.cache = cache or folder / "cache"
        self.pw = self.write_program("bin/pw.x")
        self.pseudos = [self.write_upf(f"{element}.upf", element) for element in ("Si", "C")]
        self.given = [f"--pw={self.pw}", *(f"--pseudo-file={path}" for path in self.pseudos)]

    def write_program(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return path

    def write_upf(self, name: str, element: str) -> Path:
        path = self.folder / "pseudo" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(UPF.format(element=element))
        return path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "AIIDA_PATH": str(self.folder), "SICMLIP_CACHE": str(self.cache)}
        return subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, env=environment, cwd=self.folder, check=False
        )

    def setup(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("-c", "from aiida_sicmlip.cli import main; main()", "setup", *arguments)


def states(output: str) -> dict[str, str]:
    """Return the state of each thing in the table that setup prints."""
    found = {}
    for line in output.splitlines():
        state, _, rest = line.partition(" ")
        for name in [*THINGS, "LAMMPS plugin", "daemon"]:
            if rest.strip().startswith(name):
                found[name] = state
    return found


@pytest.fixture
def setup(aiida_in, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Sets up a home in this process, which has loaded AiiDA already: home, arguments."""

    def run(home: Home, *arguments: str) -> Result:
        monkeypatch.setenv("SICMLIP_CACHE", str(home.cache))
        with aiida_in(home.folder):
            return CliRunner().invoke(main, ["setup", *arguments])

    return run


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, subprocess.CompletedProcess[str]]:
    """A complete set-up, and what the command that made it said; tests leave it as it is."""
    home = Home(tmp_path_factory.mktemp("ready"))
    return home, home.setup(*home.given)


def test_first_run_makes_everything(ready: tuple[Home, subprocess.CompletedProcess[str]]) -> None:
    _, result = ready
    assert result.returncode == 0, result.stdout + result.stderr
    found = states(result.stdout)
    assert {name: found.get(name) for name in THINGS} == dict.fromkeys(THINGS, "made")
    assert "daemon start 2`" in result.stdout
    assert "Warning" not in result.stderr


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_second_run_finds_everything(
    ready: tuple[Home, subprocess.CompletedProcess[str]], setup: Callable[..., Result], arguments: list[str]
) -> None:
    home, _ = ready
    result = setup(home, *home.given, *arguments)
    assert result.exit_code == 0, result.output
    found = states(result.stdout)
    assert {name: found.get(name) for name in THINGS} == dict.fromkeys(THINGS, "found")


def test_what_was_made(ready: tuple[Home, subprocess.CompletedProcess[str]], aiida_in) -> None:
    from aiida import load_profile, orm

    with aiida_in(ready[0].folder):
        assert load_profile().process_control_backend == "core.zeromq"
        computer = orm.load_computer("localhost")
        assert computer.get_minimum_job_poll_interval() == 1.0
        assert computer.get_configuration() == {"safe_interval": 0.0, "use_login_shell": False}
        assert computer.get_default_mpiprocs_per_machine() == 1
        codes = [orm.load_code(f"{label}@localhost") for label in ("pw", "sicmlip-lmp", "sicmlip")]
        assert [(code.default_calc_job_plugin, code.with_mpi) for code in codes] == [
            ("quantumespresso.pw", None),
            ("sicmlip.exploration", None),
            (None, None),
        ]
        assert "export OMP_NUM_THREADS=1" in codes[0].prepend_text
        family = orm.load_group("sicmlip")
        files = {element: family.get_pseudo(element).filename for element in family.elements}
        assert files == {"Si": "Si.upf", "C": "C.upf"}


def test_database_is_in_write_ahead_mode(ready: tuple[Home, subprocess.CompletedProcess[str]]) -> None:
    home, _ = ready
    (database,) = home.folder.glob(".aiida/repository/*/database.sqlite")
    connection = sqlite3.connect(database)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_check_of_nothing_says_what_is_missing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    result = home.setup("--check", *home.given)
    assert result.returncode == 1
    found = states(result.stdout)
    assert {found[name] for name in THINGS if name in found} == {"missing"}
    assert "aiida-sicmlip setup" in result.stdout
    assert not list(tmp_path.glob(".aiida/repository/*"))
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def own(ready: tuple[Home, subprocess.CompletedProcess[str]], setup: Callable[..., Result], tmp_path: Path) -> Home:
    """A complete set-up that the test may change."""
    home = Home(tmp_path, ready[0].cache)
    assert setup(home, *home.given).exit_code == 0
    return home


def test_other_program_for_a_code_is_refused_and_then_replaced(
    own: Home, setup: Callable[..., Result], aiida_in
) -> None:
    from aiida import load_profile, orm

    other = own.write_program("elsewhere/pw.x")
    arguments = [f"--pw={other}", *own.given[1:]]

    refused = setup(own, *arguments)
    assert refused.exit_code == 1
    assert states(refused.stdout)["code `pw@localhost`"] == "differs"
    assert f"runs {own.pw}, not {other}" in refused.stdout
    assert "--replace" in refused.stdout
    replaced = setup(own, "--replace", *arguments)
    assert states(replaced.stdout)["code `pw@localhost`"] == "made"
    with aiida_in(own.folder):
        load_profile()
        query = orm.QueryBuilder().append(orm.InstalledCode, filters={"label": {"like": "pw%"}})
        codes = [(str(code.filepath_executable), code.label == "pw", code.is_hidden) for code in query.all(flat=True)]
    # The first program still has its node, and no third one was made when the change was refused.
    assert sorted(codes) == sorted([(str(own.pw), False, True), (str(other), True, False)])


def test_a_profile_of_an_earlier_version_gets_the_code_that_it_lacks(
    own: Home, setup: Callable[..., Result], aiida_in
) -> None:
    from aiida import load_profile, orm
    from aiida.tools import delete_nodes

    with aiida_in(own.folder):
        load_profile()
        delete_nodes([orm.load_code("sicmlip@localhost").pk], dry_run=False)
    assert states(setup(own, *own.given, "--check").stdout)["code `sicmlip@localhost`"] == "missing"
    again = setup(own, *own.given)
    assert again.exit_code == 0
    found = states(again.stdout)
    assert found.pop("code `sicmlip@localhost`") == "made"
    assert {found[name] for name in THINGS if name in found} == {"found"}


def test_other_pseudopotential_is_refused(
    ready: tuple[Home, subprocess.CompletedProcess[str]], setup: Callable[..., Result], tmp_path: Path
) -> None:
    home, _ = ready
    other = tmp_path / "Si.other.upf"
    other.write_text(UPF.format(element="Si") + "<!-- another -->\n")
    result = setup(home, home.given[0], f"--pseudo-file={other}", f"--pseudo-file={home.pseudos[1]}")
    assert result.exit_code == 1
    assert states(result.stdout)["pseudopotentials `sicmlip`"] == "differs"
    assert "contains Si.upf for Si" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pw=nowhere/pw.x"], "which is not a file"),
        (["--pseudo-folder=nowhere"], "`--pseudo-folder` is nowhere, which is not a folder"),
        (["--pseudo-file=bin/pw.x"], "which is not a UPF file"),
        (["--species=Si Q"], "`Q`, which is not an element"),
        (["--pseudo-family=a", "--pseudo-install=sssp"], "give one of them"),
    ],
)
def test_wrong_input_is_a_message(
    ready: tuple[Home, subprocess.CompletedProcess[str]],
    setup: Callable[..., Result],
    arguments: list[str],
    message: str,
) -> None:
    home, _ = ready
    result = setup(home, *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_family_that_is_not_there_is_missing(
    ready: tuple[Home, subprocess.CompletedProcess[str]], setup: Callable[..., Result]
) -> None:
    home, _ = ready
    result = setup(home, home.given[0], "--pseudo-family=SSSP/0.0")
    assert result.exit_code == 1
    assert "aiida-pseudo list" in result.stdout


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[Home]:
    """A folder whose daemon is stopped afterwards."""
    home = Home(tmp_path)
    yield home
    home.run("-m", "aiida", "daemon", "stop")


@pytest.mark.program
def test_daemon_starts_and_is_found(stopped: Home) -> None:
    started = stopped.setup(*stopped.given, "--workers=2")
    assert started.returncode == 0, started.stdout + started.stderr
    assert states(started.stdout)["daemon"] == "made"
    # The daemon holds the database open; the set-up must still be able to look.
    again = stopped.setup(*stopped.given, "--start-daemon")
    assert states(again.stdout)["daemon"] == "found"
    assert "2 workers" in again.stdout


@pytest.mark.program
def test_programs_of_the_distribution(tmp_path: Path) -> None:
    home = Home(tmp_path)
    result = home.setup()
    assert result.returncode == 0, result.stdout + result.stderr
    assert states(result.stdout)["LAMMPS plugin"] == "made"
    assert "Si: Si.pbe-nl-rrkjus_psl.1.0.0.UPF, C: C.pbe-n-kjpaw_psl.0.1.UPF" in result.stdout
