"""`fix plumed` of sicmlip-lmp against the same run of LAMMPS with PLUMED (fixtures/plumed/md-pines-62)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bias_helpers import RUN, prepare_pines, thermo_rows

from aiida_sicmlip.science.bias.tables import read_table

pytestmark = pytest.mark.program

STEPS = 260


@pytest.fixture(scope="module")
def folder(tmp_path_factory, lammps_in) -> Path:
    """Run the input as it stands, but shorter and with every step in the log; return its folder."""
    folder = prepare_pines(tmp_path_factory.mktemp("dynamics"))
    text = (folder / "in.lmp").read_text().replace("thermo 10", "thermo 1").replace("run 400", f"run {STEPS}")
    result = lammps_in(folder)(text)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.mark.parametrize(
    ("first", "last", "of_variables", "of_bias"),
    [(0, 200, 1e-6, 1e-6), (201, 220, 1e-5, 1e-4), (221, 250, 1e-4, 1e-3), (251, STEPS, 5e-3, 5e-2)],
    ids=["before the first kernel", "under the first", "under the next", "later"],
)
def test_variables_and_bias(folder, first, last, of_variables, of_bias):
    """The first kernel comes at step 200; from then on the rounding of the model's single precision reaches the atoms.

    Forces jump where two distances of a block exchange their order. Two runs part where that falls between the same
    two steps in one of them only: by some 1e-4 at once, in this run after step 255 or later, as the rounding will.
    """
    own, reference = read_table(folder / "COLVAR"), read_table(RUN / "COLVAR")
    assert len(own.columns["time"]) == STEPS + 1
    assert list(own.columns) == list(reference.columns)
    for name, numbers in reference.columns.items():
        allowed = of_variables if name == "time" or name.startswith("cv.") else of_bias
        assert np.abs(own.columns[name] - numbers[: STEPS + 1])[first : last + 1].max() < allowed, name
    assert np.ptp(own.columns["opes.bias"][201:]) > 1


def test_energies(folder):
    """`f_2` of LAMMPS' own fix is late by one step, here it is that of the step; `pe` without it is EDIP's."""
    own, reference = thermo_rows(folder / "log.lammps"), thermo_rows(RUN / "thermo.txt")
    assert own[:, 0].tolist() == list(range(STEPS + 1))
    colvar = read_table(folder / "COLVAR").columns["opes.bias"]
    assert np.abs(own[:, 5] - colvar).max() < 1e-8
    compared = reference[(reference[:, 0] > 0) & (reference[:, 0] <= 240)]
    assert len(compared) == 24
    steps = compared[:, 0].astype(int)
    assert np.abs(own[steps - 1, 5] - compared[:, 5]).max() < 1e-3
    assert np.abs((own[steps, 2] - own[steps, 5]) - (compared[:, 2] - compared[:, 5])).max() < 1e-3
    assert np.abs(own[steps, 1] - compared[:, 1]).max() < 0.1  # K


def test_outfile(folder):
    text = (folder / "p.log").read_text()
    assert "the built-in evaluator, not PLUMED" in text
    assert "1 UNITS, 435 DISTANCE, 1 PYTORCH_MODEL, 1 OPES_METAD_EXPLORE, 1 PRINT" in text
    assert "30 of 62" in text
    assert "deprecated" not in text
