"""The command line of `sicmlip-potential`, without the work behind it."""

from __future__ import annotations

import json
import subprocess
import sys

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
from aiida_sicmlip.engine.reports import exit_status, reported


def test_importing_the_program_imports_nothing_heavy():
    heavy = ("torch", "nequip", "aiida", "lammps", "ase", "numpy")
    code = f"import aiida_sicmlip.engine.programs.potential, sys; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["train", "compile", "evaluate", "label"])
def test_each_command_explains_itself(tmp_path, command):
    result = run_potential(tmp_path, command, "--help")
    assert result.returncode == 0
    assert "--report" in result.stdout
    assert command in run_potential(tmp_path, "--help").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
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
