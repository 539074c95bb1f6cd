"""What a biased run leaves behind, whole or cut off by a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.dynamics.colvar import newest_state, read_colvar

REFERENCE = Path(__file__).parents[2] / "fixtures" / "plumed"
STATE = (REFERENCE / "pines-explore-3cv" / "STATE").read_text()
TIMESTEP = 0.001
MAGIC = b"LammpS RestartT\0"


def write_restart(folder: Path, step: int, content: bytes = MAGIC + bytes(50) + MAGIC) -> None:
    """Write a restart file of a step."""
    (folder / f"exploration.restart.{step}").write_bytes(content)


def write_state(folder: Path, name: str, step: int) -> None:
    """Write the state of a bias, PLUMED's own, as if it were of that step."""
    rows = [
        line if line.startswith("#") else f" {step * TIMESTEP:.16g} {line.split(maxsplit=1)[1]}"
        for line in STATE.splitlines()
    ]
    (folder / name).write_text("\n".join(rows) + "\n")


def test_table_of_plumed():
    colvar = read_colvar(REFERENCE / "pines-explore-3cv" / "COLVAR")
    assert colvar.variables.shape == (600, 3)
    assert colvar.time[1] == 0.1
    assert colvar.variables[0].tolist() == [0.268033862, -0.074607745, 0.014548466]
    assert np.array_equal(colvar.bias, colvar.quantities["bias"])
    assert set(colvar.quantities) == {"bias", "rct", "zed", "neff", "nker"}


def test_table_that_a_kill_cut(tmp_path):
    text = (REFERENCE / "pines-explore-3cv" / "COLVAR").read_text()
    (tmp_path / "COLVAR").write_text(text[:-20])
    assert len(read_colvar(tmp_path / "COLVAR").time) == 599


def test_columns_are_found_by_name(tmp_path):
    (tmp_path / "COLVAR").write_text(
        "#! FIELDS time upper_walls_0.bias cv.node-1 cv.node-0 opes.bias\n 0.5 0.25 11 10 2\n"
    )
    colvar = read_colvar(tmp_path / "COLVAR")
    assert colvar.variables.tolist() == [[10, 11]]
    assert colvar.bias.tolist() == [2.25]
    assert colvar.quantities["upper_walls_0.bias"].tolist() == [0.25]


@pytest.mark.parametrize("fields", ["time d1 opes.bias", "cv.node-0 opes.bias", "time cv.node-1 opes.bias"])
def test_other_tables_are_refused(tmp_path, fields):
    (tmp_path / "COLVAR").write_text(f"#! FIELDS {fields}\n")
    with pytest.raises(InputError, match="are needed"):
        read_colvar(tmp_path / "COLVAR")


def test_nothing_was_saved(tmp_path):
    assert newest_state(tmp_path, timestep=TIMESTEP, biased=True) is None
    assert newest_state(tmp_path, timestep=TIMESTEP, biased=False) is None
    write_state(tmp_path, "STATE", 400)
    assert newest_state(tmp_path, timestep=TIMESTEP, biased=True) is None
    (tmp_path / "previous.restart").write_bytes(MAGIC * 4)
    assert newest_state(tmp_path, timestep=TIMESTEP, biased=False) is None


def test_both_of_the_same_step(tmp_path):
    for step in (200, 1000, 400):
        write_restart(tmp_path, step)
    unbiased = newest_state(tmp_path, timestep=TIMESTEP, biased=False)
    assert (unbiased.step, unbiased.restart_file.name, unbiased.state_file) == (1000, "exploration.restart.1000", None)
    assert newest_state(tmp_path, timestep=TIMESTEP, biased=True) is None
    write_state(tmp_path, "STATE", 1000)
    write_state(tmp_path, "bck.last.STATE", 400)
    biased = newest_state(tmp_path, timestep=TIMESTEP, biased=True)
    assert (biased.step, biased.state_file.name) == (1000, "STATE")


def test_killed_between_the_bias_and_lammps(tmp_path):
    """The bias saved step 1000, LAMMPS did not: the step before has both."""
    for step in (200, 400, 600):
        write_restart(tmp_path, step)
    write_state(tmp_path, "STATE", 1000)
    write_state(tmp_path, "bck.last.STATE", 600)
    found = newest_state(tmp_path, timestep=TIMESTEP, biased=True)
    assert (found.step, found.restart_file.name, found.state_file.name) == (
        600,
        "exploration.restart.600",
        "bck.last.STATE",
    )


@pytest.mark.parametrize("content", [b"", MAGIC, MAGIC + bytes(50), bytes(50) + MAGIC, b"short"])
def test_killed_while_lammps_wrote(tmp_path, content):
    write_restart(tmp_path, 600)
    write_restart(tmp_path, 1000, content)
    assert newest_state(tmp_path, timestep=TIMESTEP, biased=False).step == 600
    write_state(tmp_path, "STATE", 1000)
    write_state(tmp_path, "bck.last.STATE", 600)
    assert newest_state(tmp_path, timestep=TIMESTEP, biased=True).step == 600


@pytest.mark.parametrize("keep", [0, 10, 400, -30, -1])
def test_killed_while_the_bias_wrote(tmp_path, keep):
    write_restart(tmp_path, 600)
    write_state(tmp_path, "STATE", 1000)
    whole = (tmp_path / "STATE").read_text()
    (tmp_path / "STATE").write_text(whole[:keep])
    assert newest_state(tmp_path, timestep=TIMESTEP, biased=True) is None
    write_state(tmp_path, "bck.last.STATE", 600)
    assert newest_state(tmp_path, timestep=TIMESTEP, biased=True).state_file.name == "bck.last.STATE"
