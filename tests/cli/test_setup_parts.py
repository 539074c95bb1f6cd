"""The parts of the set-up that need no profile."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from aiida_sicmlip.cli import COMMANDS, main
from aiida_sicmlip.cli.cmd_setup import elements, table
from aiida_sicmlip.cli.setup import SetupItem, SetupRequest, State
from aiida_sicmlip.cli.setup.codes import find_program, prepend_text, required_codes
from aiida_sicmlip.cli.setup.computer import open_mpi_launcher
from aiida_sicmlip.cli.setup.disks import network_type
from aiida_sicmlip.cli.setup.profile import journal_mode
from aiida_sicmlip.cli.setup.pseudopotentials import choose_files
from aiida_sicmlip.cli.setup.services import broker_settings, database_settings, differing_setting
from aiida_sicmlip.common.exceptions import InputError

MOUNTS = r"""/dev/sda1 / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
server:/users /users nfs4 rw,vers=4.2 0 0
/dev/sdb1 /users/local xfs rw 0 0
scratch@tcp:/fs /lustre/project lustre rw 0 0
user@host:/data /mnt/my\040data fuse.sshfs rw 0 0
tmpfs /run/overlay tmpfs rw 0 0
mergerfs /pool fuse.mergerfs rw 0 0
server:/late /srv ext4 rw 0 0
server:/late /srv nfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib/aiida", None),
        ("/users/shared/.aiida", "nfs4"),
        ("/users/local/data", None),
        ("/users2", None),
        ("/lustre/project/aiida", "lustre"),
        ("/mnt/my data/aiida", "fuse.sshfs"),
        ("/pool/aiida", None),
        ("/srv/aiida", "nfs"),
    ],
)
def test_network_disks_are_told_from_local_ones(folder: str, kind: str | None) -> None:
    assert network_type(Path(folder), MOUNTS) == kind


def test_disk_without_a_mount_table_is_local() -> None:
    assert network_type(Path("/anywhere"), "") is None


def test_journal_mode_is_changed_and_kept(tmp_path: Path) -> None:
    database = tmp_path / "database.sqlite"
    sqlite3.connect(database).execute("CREATE TABLE t (x)").connection.close()
    assert journal_mode(database) == "delete"
    assert journal_mode(database, change_to="wal") == "wal"
    assert journal_mode(database) == "wal"


def test_journal_mode_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        journal_mode(tmp_path / "database.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_addresses_of_services() -> None:
    """Ports and the virtual host have defaults; what is escaped in an address is not in the settings."""
    database = database_settings("postgresql://me:p%40ss@db.example.org/al", Path("/files"))
    assert database.pop("database_engine") == "postgresql_psycopg"
    assert database == {
        "database_hostname": "db.example.org",
        "database_port": 5432,
        "database_name": "al",
        "database_username": "me",
        "database_password": "p@ss",
        "repository_uri": "file:///files",
    }
    broker = broker_settings("amqps://me:secret@mq.example.org/runs")
    assert broker == {
        "broker_protocol": "amqps",
        "broker_username": "me",
        "broker_password": "secret",
        "broker_host": "mq.example.org",
        "broker_port": 5671,
        "broker_virtual_host": "runs",
    }
    other = database_settings("postgresql://me:other@db.example.org:5433/al", Path("/files"))
    assert differing_setting(database, other) == "database_port"
    assert differing_setting(database, {**database, "database_password": "other"}) is None


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("mysql://me:secret@host/al", "does not begin with `postgresql://` and a host; give postgresql://USER"),
        ("postgresql:///al", "does not begin with"),
        ("postgresql://me:secret@host", "has no database"),
        ("postgresql://host/al", "has no user"),
        ("postgresql://me:secret@host:many/al", "is not an address"),
    ],
)
def test_addresses_that_cannot_be_used(address: str, words: str) -> None:
    """The message does not show the password."""
    with pytest.raises(InputError) as caught:
        database_settings(address, Path("/files"))
    assert words in str(caught.value) and "secret" not in str(caught.value)
    with pytest.raises(InputError, match="`--broker` does not begin with `amqp://`"):
        broker_settings(address.replace(":many", ""))


OPEN_MPI = "libopen-pal.so.40 => /lib/libopen-pal.so.40 (0x00)\n"


@pytest.mark.parametrize(
    ("program", "is_root", "libraries", "lines"),
    [
        ("pw.x", False, OPEN_MPI, ["export OMP_NUM_THREADS=1"]),
        ("pw.x", True, "libmpi.so.12 => /lib/libmpi.so.12", ["export OMP_NUM_THREADS=1"]),
        (
            "pw.x",
            True,
            OPEN_MPI,
            ["export OMP_NUM_THREADS=1", "export OMPI_ALLOW_RUN_AS_ROOT=1", "export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"],
        ),
        ("sicmlip-lmp", True, OPEN_MPI, []),
    ],
)
def test_prepend_text(program: str, is_root: bool, libraries: str, lines: list[str]) -> None:
    assert prepend_text(program, is_root, libraries).splitlines() == lines


def test_program_that_cannot_be_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pw.x"
    path.write_text("")
    with pytest.raises(InputError, match=r"`--pw` is .* not executable"):
        find_program(required_codes(SetupRequest(pw=path))[0])


def test_links_to_programs_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "pw.x"
    path.symlink_to(sys.executable)
    assert find_program(required_codes(SetupRequest(pw=path))[0]) == path


@pytest.mark.parametrize(("answer", "is_found"), [("mpirun (Open MPI) 4.1.4", True), ("HYDRA build details:", False)])
def test_launcher_of_open_mpi(tmp_path: Path, answer: str, is_found: bool) -> None:
    program = tmp_path / "mpirun"
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)
    assert open_mpi_launcher(str(tmp_path)) == (str(program) if is_found else None)


def write_upf(folder: Path, name: str, element: str) -> Path:
    path = folder / name
    path.write_text(f'<PP_HEADER element="{element}" z_valence="4.0"/>')
    return path


def test_files_of_a_folder_are_taken_for_the_species_only(tmp_path: Path) -> None:
    silicon, carbon = write_upf(tmp_path, "a.UPF", "Si"), write_upf(tmp_path, "b.upf", "C")
    write_upf(tmp_path, "c.upf", "H")
    (tmp_path / "README.upf").write_text("not a pseudopotential")
    assert choose_files(["Si", "C"], tmp_path, []) == {"Si": silicon, "C": carbon}


def test_several_files_for_an_element_need_a_choice(tmp_path: Path) -> None:
    first, carbon = write_upf(tmp_path, "a.upf", "Si"), write_upf(tmp_path, "c.upf", "C")
    write_upf(tmp_path, "b.upf", "Si")
    with pytest.raises(InputError, match=r"several pseudopotentials for Si \(a.upf, b.upf\).*--pseudo-file"):
        choose_files(["Si", "C"], tmp_path, [])
    assert choose_files(["Si", "C"], tmp_path, [first]) == {"Si": first, "C": carbon}


def test_files_that_do_not_cover_the_species_are_refused(tmp_path: Path) -> None:
    silicon = write_upf(tmp_path, "a.upf", "Si")
    with pytest.raises(InputError, match="no pseudopotential for C"):
        choose_files(["Si", "C"], None, [silicon])
    with pytest.raises(InputError, match="two files for Si"):
        choose_files(["Si"], None, [silicon, write_upf(tmp_path, "b.upf", "Si")])
    with pytest.raises(InputError, match="no UPF files"):
        choose_files(["Si"], Path(__file__).parent, [])


UPF = """<UPF version="2.0.1">
<PP_INFO>\n &input\n<PP_INPUTFILE>\n</PP_INFO>
<PP_HEADER element="Si" z_valence="4.0" mesh_size="4"/>
<PP_MESH><PP_R type="real">
0.0 1.0d-1\n2.0E-1 0.3
</PP_R></PP_MESH>
<PP_LOCAL>1 2 3 4</PP_LOCAL>
<PP_RHOATOM>1 2 3 4</PP_RHOATOM>
</UPF>
"""


def test_a_whole_pseudopotential_is_taken(tmp_path: Path) -> None:
    (tmp_path / "Si.upf").write_text(UPF)
    assert choose_files(["Si"], None, [tmp_path / "Si.upf"]) == {"Si": tmp_path / "Si.upf"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (UPF[UPF.index("0.3") :], "", "ends before the end of its section `PP_R`"),
        (UPF[UPF.index("</PP_RHO") :], "", "ends before the end of its section `PP_RHOATOM`"),
        ("</UPF>", "", "ends before the end of its section `UPF`"),
        ("</PP_MESH>", "", "closes the section `UPF`, which is not open"),
        (" 0.3", "", "has 3 numbers in its section `PP_R`, but a mesh of 4 points"),
        ("1 2 3 4", "1 2 3 nan", "`PP_LOCAL` that is no finite number"),
    ],
)
@pytest.mark.parametrize("in_folder", [True, False])
def test_pseudopotentials_are_read_to_their_end(
    tmp_path: Path, old: str, new: str, words: str, in_folder: bool
) -> None:
    path = tmp_path / "Si.upf"
    path.write_text(UPF.replace(old, new, 1))
    with pytest.raises(InputError, match=words):
        choose_files(["Si"], *((tmp_path, []) if in_folder else (None, [path])))


@pytest.mark.parametrize("text", ["Si C", "Si,C", " Si, C Si"])
def test_elements_are_divided_by_blanks_or_commas(text: str) -> None:
    assert elements(text) == ("Si", "C")


@pytest.mark.parametrize("text", ["", "Si Xx", "silicon"])
def test_elements_must_exist(text: str) -> None:
    with pytest.raises(InputError, match="which is not an element"):
        elements(text)


def test_table_is_aligned() -> None:
    items = [SetupItem("a", State.FOUND, "first"), SetupItem("longer", State.MISSING, "second")]
    lines = [click.unstyle(line) for line in table(items)]
    assert [line.index(item.detail) for line, item in zip(lines, items, strict=True)] == [17, 17]


def test_help_of_the_group_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from aiida_sicmlip.cli import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "finally:\n"
        "    heavy = {'aiida', 'torch', 'numpy', 'ase', 'yaml'} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert [name for name in COMMANDS if f"  {name} " not in result.stdout] == []


def test_help_of_each_command_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from aiida_sicmlip.cli import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    try:\n"
        "        main([name, '--help'])\n"
        "    except SystemExit as end:\n"
        "        assert not end.code, name\n"
        "    heavy = {'aiida', 'torch'} & set(sys.modules)\n"
        "    assert not heavy, (name, heavy)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("Usage:") == len(COMMANDS)


def test_unknown_command_is_named() -> None:
    result = CliRunner().invoke(main, ["setpu"])
    assert result.exit_code == 2
    assert "No such command 'setpu'" in result.output
