"""`fix plumed` of sicmlip-lmp in the language of LAMMPS: several runs, `clear`, restarts; and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from bias_helpers import EDIP, FIX, OPES, STATIC, prepare_run, thermo_rows

from aiida_sicmlip.science.bias.tables import read_table

pytestmark = pytest.mark.program

DYNAMICS = """
velocity all create 1500 4711 mom yes rot yes dist gaussian
fix 1 all nvt temp 1500 1500 0.1
"""
THERMO = "thermo_style custom step temp pe f_bias\nthermo_modify format float %.12g\nthermo 10\n"


def _steps(path: Path) -> list[int]:
    return np.rint(read_table(path).columns["time"] / 0.001).astype(int).tolist()


def test_a_step_counts_once(run_lammps):
    """Two runs print and deposit at each step as one run does, although the step between is evaluated twice."""
    folder = prepare_run(run_lammps.folder, OPES)
    text = EDIP + DYNAMICS + FIX + THERMO + "run 40\nrun 0\nrun 20 pre no\nreset_timestep 1000\nrun 10\n"
    result = run_lammps(text)
    assert result.returncode == 0, result.stdout + result.stderr
    steps = [*range(61), *range(1000, 1011)]
    assert _steps(folder / "COLVAR") == steps
    # The step 1000 is a new one by its number.
    assert _steps(folder / "KERNELS") == [20, 40, 60, 1000]
    log = (folder / "plumed.log").read_text()
    assert "1 UNITS, 2 DISTANCE, 1 OPES_METAD_EXPLORE, 1 PRINT" in log
    assert "4 of 62" in log


def test_unfix_and_clear(run_lammps):
    """The files are closed by `unfix` and by `clear`, after which another bias can be set up."""
    folder = prepare_run(run_lammps.folder, OPES)
    text = EDIP + DYNAMICS + FIX + "run 5\nunfix bias\nrun 5\n" + FIX + "run 5\nclear\n"
    text += EDIP + DYNAMICS + FIX + "run 3\n"
    result = run_lammps(text)
    assert result.returncode == 0, result.stdout + result.stderr
    assert _steps(folder / "bck.0.COLVAR") == list(range(6))
    assert _steps(folder / "bck.1.COLVAR") == list(range(10, 16))
    assert _steps(folder / "COLVAR") == list(range(4))
    assert (folder / "bck.1.plumed.log").read_text() == (folder / "plumed.log").read_text()


@pytest.mark.parametrize(("length", "tolerance"), [(110, 1e-9), (120, 5e-3)], ids=["between kernels", "at a kernel"])
def test_continuation_in_another_process(tmp_path, lammps_in, length, tolerance):
    """A run, and a second one from its restart file and STATE, against one run of both lengths.

    Between kernels both are the same to the digits of STATE. Where the first run ends with a kernel, the second one
    begins with forces that know it and the long one does not, as with PLUMED: they part by half a kick of one kernel.
    """
    plumed = OPES.replace("STATE_WSTRIDE=50", f"STATE_WSTRIDE={length}")
    whole = prepare_run(_folder(tmp_path, "whole"), plumed)
    first = prepare_run(_folder(tmp_path, "first"), plumed)
    second = prepare_run(
        _folder(tmp_path, "second"), plumed.replace("PACE=20", "PACE=20 STATE_RFILE=previous.STATE RESTART=YES")
    )
    begin = EDIP + DYNAMICS + FIX + THERMO
    assert lammps_in(whole)(begin + f"run {length + 60}\n").returncode == 0
    assert lammps_in(first)(begin + f"run {length}\nwrite_restart previous.restart\n").returncode == 0
    (first / "previous.restart").rename(second / "previous.restart")
    (first / "STATE").rename(second / "previous.STATE")
    continued = EDIP.replace("read_data cell.data", "read_restart previous.restart")
    continued += "fix 1 all nvt temp 1500 1500 0.1\n" + FIX + THERMO + f"run {length + 60} upto\n"
    result = lammps_in(second)(continued)
    assert result.returncode == 0, result.stdout + result.stderr

    assert _steps(first / "COLVAR") == list(range(length + 1))
    assert _steps(second / "COLVAR") == list(range(length, length + 61))
    assert _steps(first / "KERNELS") + _steps(second / "KERNELS") == _steps(whole / "KERNELS")
    one, two = read_table(whole / "COLVAR"), read_table(second / "COLVAR")
    for name, numbers in two.columns.items():
        # The step that both parts print: the second one's bias counts the kernel that the first one deposited then.
        assert numbers[1:] == pytest.approx(one.columns[name][length + 1 :], abs=tolerance), name
    ends, whole_ends = (thermo_rows(folder / "log.lammps")[-1] for folder in (second, whole))
    assert ends == pytest.approx(whole_ends, rel=100 * tolerance)


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


FIX_LINE = FIX.strip()
RERUN = "dump 1 all custom 1 all.dump id type x y z\nrun 2\nrerun all.dump dump x y z\n"
REFUSED = {
    "minimisation": (FIX + "minimize 0 1e-3 10 10", "a minimisation cannot be biased"),
    "rerun": (FIX + RERUN, "a rerun cannot be biased"),
    "respa": (FIX + "run_style respa 2 2 pair 1\nrun 1", "use `run_style verlet`"),
    "timestep": (FIX + "timestep 0.002\nrun 0", "set `timestep` before this fix"),
    "timestep between runs": (FIX + "run 0\ntimestep 0.002", "set `timestep` before this fix"),
    "group": ("group some id 1 2\n" + FIX.replace("all", "some"), "the group must be `all`"),
    "twice": (FIX + FIX.replace("bias", "other"), "there is one already, `fix bias ... plumed`"),
    "pressure": ("fix 2 all nph iso 0 0 1\n" + FIX, "`fix 2 ... nph` needs the pressure"),
    "no input": ("fix bias all plumed outfile plumed.log", "it needs the file with the actions"),
    "no name": ("fix bias all plumed plumedfile", "the word `plumedfile` needs the name of a file"),
    "word": (FIX_LINE + " path_integral off", "the word `path_integral` is not known"),
    "no file": (FIX.replace("plumed.dat", "missing.dat"), "The file `missing.dat` with the actions"),
    "action": (FIX.replace("plumed.dat", "other.dat"), "`m: METAD` (line 2 of plumed.dat)"),
    "atom": (FIX.replace("plumed.dat", "atom.dat"), "has atom 63, but the atoms of the run are 1 to 62"),
    "outfile": (FIX.replace("plumed.log", "missing/plumed.log"), "The outfile `missing/plumed.log` cannot be written"),
    "number of atoms": (
        FIX + "run 0\ngroup gone id 62\ndelete_atoms group gone compress no\nrun 0",
        "the number of atoms",
    ),
    "gaps": (
        "group gone id 3\ndelete_atoms group gone compress no\n" + FIX,
        "atom IDs must be 1, 2, ... without gaps",
    ),
    "boundary": ("change_box all boundary p p f\n" + FIX, "periodic in all three directions or in none"),
}


@pytest.fixture(scope="module")
def messages(tmp_path_factory, lammps_in) -> dict[str, str]:
    """What LAMMPS says to each of the inputs that are refused."""
    folder = prepare_run(tmp_path_factory.mktemp("refused"), STATIC)
    (folder / "other.dat").write_text("d: DISTANCE ATOMS=1,2\nm: METAD ARG=d PACE=10\n")
    (folder / "atom.dat").write_text("d: DISTANCE ATOMS=1,63\n")
    cases = {name: EDIP + "fix 1 all nve\n" + text for name, (text, _) in REFUSED.items()}
    cases["units"] = "units real\nregion r block 0 1 0 1 0 1\ncreate_box 1 r\n" + FIX
    cases["accepted"] = EDIP + "fix 1 all nve\n" + FIX + "run 1\n"
    return lammps_in(folder).messages(cases, "bias_bridge:BiasBridge")


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_message(messages, name):
    assert messages[name].startswith("ERROR: fix plumed: ")
    assert REFUSED[name][1] in messages[name]


def test_units_and_an_input_that_is_accepted(messages):
    assert "fix plumed: the input has `units real`" in messages["units"]
    assert messages["accepted"] == ""


class BreaksDown(torch.nn.Module):
    """Not a number once the distance is beyond 3.3 A."""

    def forward(self, distances: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(3.3 - distances)


def test_a_variable_that_is_not_finite_ends_the_run(run_lammps):
    plumed = OPES.replace("opes: ", "cv: PYTORCH_MODEL FILE=model.ptc ARG=d0\nopes: ").replace(
        "ARG=d0,d1 ", "ARG=cv.node-0,d1 "
    )
    folder = prepare_run(run_lammps.folder, plumed)
    torch.jit.script(BreaksDown()).save(str(folder / "model.ptc"))
    result = run_lammps(EDIP + DYNAMICS + FIX + THERMO + "run 100\n")
    assert result.returncode != 0
    log = (folder / "log.lammps").read_text()
    assert "ERROR: fix plumed: `cv.node-0` of plumed.dat is nan at step " in log
    steps = _steps(folder / "COLVAR")
    assert f"at step {steps[-1] + 1}:" in log
    assert 5 < len(steps) < 100
