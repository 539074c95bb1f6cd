"""What an exploration's log says of distances and forces, with `pair_style allegro` of ``sicmlip-lmp``."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list

from aiida_sicmlip.common import filenames
from aiida_sicmlip.science.dynamics.lammps_input import exploration_input, rotation_to_lammps, write_structure_data
from aiida_sicmlip.science.dynamics.lammps_log import find_errors, parse_thermo

pytestmark = pytest.mark.program

SPECIES = ["Si", "C"]
TEXT_DUMP = """dump text all custom 5 text.dump id xu yu zu &
f_model_forces[1] f_model_forces[2] f_model_forces[3] fx fy fz
dump_modify text sort id format float %.12g
"""


@pytest.mark.parametrize("cubic", [True, False], ids=["orthorhombic", "triclinic"])
def test_min_distance_and_max_force(allegro_model, run_lammps, cubic):
    atoms = bulk("SiC", "zincblende", a=4.36, cubic=cubic).repeat((2, 1, 1) if cubic else (2, 2, 1))
    if not cubic:
        strain = np.array([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [-0.05, 0.07, 0.0]])
        atoms.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.1, seed=3)
    (run_lammps.folder / filenames.STRUCTURE_FILE).write_text(write_structure_data(atoms, SPECIES))
    text = exploration_input(
        species=SPECIES,
        potential_commands=["pair_style allegro", f"pair_coeff * * {allegro_model.pair_allegro} Si C"],
        temperature=300.0,
        timestep_ps=0.001,
        damping_ps=0.1,
        equilibration_steps=10,
        production_steps=20,
        dump_every=5,
        seed=4,
        maximum_temperature=9000.0,
        held_atoms=[1, 2],
        restart_every=10,
    )
    result = run_lammps(text.replace("run             20 upto", TEXT_DUMP + "run 20 upto"), "-log", "run.log")
    log = (run_lammps.folder / "run.log").read_text()
    assert find_errors(log, result.stderr).finished, result.stderr
    thermo = parse_thermo(log)
    blocks = (run_lammps.folder / "text.dump").read_text().split("ITEM: ATOMS")[1:]
    values = [[line.split()[1:] for line in block.splitlines()[1 : len(atoms) + 1]] for block in blocks]
    frames = np.array(values, dtype=float)
    cell, _ = rotation_to_lammps(atoms.cell.array)
    assert len(frames) == thermo["Production"].sum() == 5
    for row, frame in zip(np.flatnonzero(thermo["Production"]), frames, strict=True):
        distances = neighbor_list("d", Atoms(atoms.numbers, frame[:, :3], cell=cell, pbc=True), 3.0)
        assert thermo["c_min_distance"][row] == pytest.approx(distances.min(), abs=1e-7)
        assert thermo["c_max_force"][row] == pytest.approx(np.linalg.norm(frame[:, 3:6], axis=1).max(), rel=1e-7)
    # Only what springs hold feels more than the model; the anchors are the atoms' places before the equilibration.
    springs = np.abs(frames[-1, :, 6:] - frames[-1, :, 3:6]).max(axis=1)
    assert (springs[[1, 2]] > 0.05).all()
    assert np.delete(springs, [1, 2]).max() < 1e-9
