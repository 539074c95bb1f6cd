"""The disagreement of a committee in ``sicmlip-lmp`` against that of members asked one by one, and what it stops."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_sicmlip.common import filenames
from aiida_sicmlip.engine.compiled_potential import CompiledPotential
from aiida_sicmlip.science.dynamics.brake import DISAGREEMENT
from aiida_sicmlip.science.dynamics.lammps_input import exploration_input, rotation_to_lammps, write_structure_data
from aiida_sicmlip.science.dynamics.lammps_log import find_errors, parse_thermo
from aiida_sicmlip.science.evaluation.committee import force_disagreement

pytestmark = pytest.mark.program

SPECIES = ["Si", "C"]
MPIEXEC = Path(sysconfig.get_path("scripts")) / "mpiexec"
DUMP = """dump text all custom 5 text.dump id xu yu zu c_disagreement
dump_modify text sort id format float %.15g
"""


def structure(shape: str) -> Atoms:
    """Silicon carbide with displaced atoms."""
    atoms = bulk("SiC", "zincblende", a=4.36, cubic=shape != "triclinic")
    atoms = atoms.repeat({"small": (1, 1, 1), "cubic": (2, 2, 1), "triclinic": (2, 2, 1)}[shape])
    if shape == "triclinic":
        strain = np.array([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [-0.05, 0.07, 0.0]])
        atoms.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.1, seed=3)
    return atoms


def run_input(models: list[Path], **changes) -> str:
    """Return the input of a run that the first model drives and the others accompany, with springs on two atoms."""
    settings = {
        "species": SPECIES,
        "potential_commands": ["pair_style allegro", f"pair_coeff * * {models[0]} Si C"],
        "temperature": 300.0,
        "timestep_ps": 0.001,
        "damping_ps": 0.1,
        "equilibration_steps": 0,
        "production_steps": 20,
        "dump_every": 5,
        "seed": 4,
        "held_atoms": [1, 2],
        "check_every": 5,
        "committee": [str(path) for path in models[1:]],
    }
    return exploration_input(**{**settings, **changes})


def expected_disagreement(models: list[Path], atoms: Atoms) -> np.ndarray:
    """Return the disagreement of the members on each atom, each of them asked alone."""
    forces = []
    for path in models:
        model = CompiledPotential.load(path, "cpu")
        types = [model.species.index(symbol) for symbol in atoms.symbols]
        forces.append(model.compute(atoms.positions, atoms.cell.array, atoms.pbc, types).forces)
    return force_disagreement(forces)


def read_dump(path: Path) -> np.ndarray:
    """Return positions and disagreement of the atoms in each frame, (F, N, 4)."""
    blocks = path.read_text().split("ITEM: ATOMS")[1:]
    rows = [[line.split()[1:] for line in block.split("ITEM")[0].splitlines()[1:]] for block in blocks]
    return np.array(rows, dtype=float)


@pytest.mark.parametrize("shape", ["small", "cubic", "triclinic"])
def test_disagreement_is_that_of_the_members_asked_one_by_one(allegro_committee, run_lammps, shape):
    """In each frame; springs and images of atoms in cells smaller than the cutoff do not change it."""
    atoms = structure(shape)
    (run_lammps.folder / filenames.STRUCTURE_FILE).write_text(write_structure_data(atoms, SPECIES))
    text = run_input(allegro_committee).replace("run             20 upto", DUMP + "run 20 upto")
    result = run_lammps(text, "-log", "run.log")
    log = (run_lammps.folder / "run.log").read_text()
    assert find_errors(log, result.stderr).finished, result.stderr + log[-2000:]
    thermo = parse_thermo(log)
    cell, _ = rotation_to_lammps(atoms.cell.array)
    frames = read_dump(run_lammps.folder / "text.dump")
    assert len(frames) == 5 == len(thermo["Step"])
    for row, frame in enumerate(frames):
        expected = expected_disagreement(allegro_committee, Atoms(atoms.numbers, frame[:, :3], cell=cell, pbc=True))
        np.testing.assert_allclose(frame[:, 3], expected, atol=1e-8)
        assert thermo["c_disagreement"][row] == pytest.approx(expected.max(), abs=1e-8)
    assert expected.max() > 1e-3


@pytest.mark.skipif(not MPIEXEC.exists(), reason="the environment has no mpiexec of the package mpich")
def test_processes_share_the_committee(allegro_committee, run_lammps):
    atoms = structure("cubic")
    (run_lammps.folder / filenames.STRUCTURE_FILE).write_text(write_structure_data(atoms, SPECIES))
    found = []
    for count in (1, 2):
        result = run_lammps(run_input(allegro_committee), "-log", "run.log", launcher=[MPIEXEC, "-n", str(count)])
        log = (run_lammps.folder / "run.log").read_text()
        assert find_errors(log, result.stderr).finished, result.stderr + log[-2000:]
        found.append(parse_thermo(log)["c_disagreement"])
    np.testing.assert_allclose(found[1], found[0], atol=1e-7)


def test_run_is_stopped_at_the_bound_of_the_disagreement(allegro_committee, run_lammps):
    """At the first check beyond it: the same run without a bound tells where that is."""
    atoms = structure("cubic")
    (run_lammps.folder / filenames.STRUCTURE_FILE).write_text(write_structure_data(atoms, SPECIES))
    hot = {"temperature": 3000.0, "production_steps": 150}
    run_lammps(run_input(allegro_committee, **hot), "-log", "free.log")
    free = parse_thermo((run_lammps.folder / "free.log").read_text())
    values = free["c_disagreement"]
    bound = float((values[0] + values.max()) / 2)
    first = int(np.flatnonzero(values > bound)[0])
    assert first > 0
    run_lammps(run_input(allegro_committee, **hot, max_disagreement=bound), "-log", "run.log")
    end = find_errors((run_lammps.folder / "run.log").read_text())
    assert end.finished and end.halted_in_production
    assert end.halt is not None and end.halt.cause == DISAGREEMENT
    assert end.halt.step == free["Step"][first]
    assert end.halt.value == pytest.approx(values[first], rel=1e-4)


def test_later_segment_goes_on_with_its_committee(allegro_committee, run_lammps):
    atoms = structure("cubic")
    (run_lammps.folder / filenames.STRUCTURE_FILE).write_text(write_structure_data(atoms, SPECIES))
    run_lammps(run_input(allegro_committee, restart_every=10), "-log", "whole.log")
    whole = parse_thermo((run_lammps.folder / "whole.log").read_text())["c_disagreement"]
    text = run_input(
        allegro_committee, restart_every=10, continue_from="exploration.restart.10", continue_step=10
    ).replace("trajectory.dcd", "second.dcd")
    run_lammps(text, "-log", "second.log")
    second = parse_thermo((run_lammps.folder / "second.log").read_text())
    assert second["Step"].tolist() == [10, 15, 20]
    np.testing.assert_allclose(second["c_disagreement"], whole[2:], atol=1e-6)


HEAD = "units metal\natom_style atomic\natom_modify map yes\nread_data structure.data\n"
ALLEGRO = HEAD + "pair_style allegro\npair_coeff * * {first} Si C\n"
COMPUTE = "compute d all committee/disagreement "
THERMO = "thermo_style custom step c_d\nrun 0\n"
CASES = {
    "no_members": (
        ALLEGRO + COMPUTE + "types Si C members",
        "write `compute <ID> all committee/disagreement types",
    ),
    "no_words": (ALLEGRO + COMPUTE + "{second}", "write `compute <ID> all committee/disagreement types"),
    "unknown_species": (ALLEGRO + COMPUTE + "types Si Ge members {second}", "gives the species `Ge` to atom type 2"),
    "no_file": (ALLEGRO + COMPUTE + "types Si C members none.nequip.pt2", "`none.nequip.pt2` does not exist"),
    "other_pair_style": (
        HEAD + "pair_style lj/cut 4.0\npair_coeff * * 0.01 1.5\n" + COMPUTE + "types Si C members {second}\n" + THERMO,
        "has to be driven by one `pair_style allegro`",
    ),
    "good": (ALLEGRO + COMPUTE + "types Si C members {second}\n" + THERMO, ""),
}


def test_wrong_use_is_refused_with_a_message(allegro_committee, run_lammps):
    atoms = structure("small")
    (run_lammps.folder / filenames.STRUCTURE_FILE).write_text(write_structure_data(atoms, SPECIES))
    files = {"first": allegro_committee[0], "second": allegro_committee[1]}
    cases = {name: text.format(**files) for name, (text, _) in CASES.items()}
    messages = run_lammps.messages(cases, "pair_bridge:PairBridge")
    for name, (_, expected) in CASES.items():
        assert expected in messages[name], (name, messages[name])
    assert messages["good"] == ""
